//! NumPy arrays as images and back, without a copy where the pixels of a row lie side by side.

use std::slice;

use numpy::{
    Element, IntoPyArray, PyArray, PyArray3, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods,
    PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods,
};
use onelook::media::Limits;
use onelook::types::{Frame, FrameView, PixelFormat};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefReference;

use crate::error::{OrRaise, raised};

/// Bytes of a pixel with three channels.
const CHANNELS: usize = 3;

/// An array that is looked at as an image; it is not written to meanwhile by this module.
pub struct ImageArray<'py> {
    pixels: Pixels<'py>,
    size: [usize; 2],
    format: PixelFormat,
}

enum Pixels<'py> {
    /// As they lie in the array.
    Borrowed {
        /// The image's first byte.
        first: *const u8,
        stride: usize,
        length: usize,
        _owner: Owner<'py>,
    },
    /// Without gaps.
    Copied(Vec<u8>),
}

/// What keeps an array's memory where it is.
struct Owner<'py> {
    _array: PyReadonlyArrayDyn<'py, u8>,
    /// NumPy gives an array no other memory, whatever its users ask for, while there are weak references to it.
    _pins: Vec<Bound<'py, PyWeakrefReference>>,
}

impl<'py> Owner<'py> {
    /// The array, and the arrays that it is a view of.
    fn of(array: PyReadonlyArrayDyn<'py, u8>) -> PyResult<Self> {
        let mut pins = Vec::new();
        let mut next = Some(array.as_any().clone());
        while let Some(object) = next.filter(|object| object.is_instance_of::<PyUntypedArray>()) {
            pins.push(PyWeakrefReference::new(&object)?);
            next = Some(object.getattr("base")?);
        }
        Ok(Self {
            _array: array,
            _pins: pins,
        })
    }
}

/// Order of the channels by its name.
pub fn colour(name: &str) -> PyResult<PixelFormat> {
    match name {
        "bgr" => Ok(PixelFormat::Bgr),
        "rgb" => Ok(PixelFormat::Rgb),
        _ => Err(raised(
            "SettingError",
            format!("color: expected 'bgr' or 'rgb', not '{name}'"),
        )),
    }
}

impl<'py> ImageArray<'py> {
    /// `[height, width]`, `[height, width, 1]` or `[height, width, 3]` of `uint8`, with any strides.
    ///
    /// # Errors
    /// It is no such array, or an empty one.
    pub fn of(object: &Bound<'py, PyAny>, colour: PixelFormat) -> PyResult<Self> {
        let untyped = object.cast::<PyUntypedArray>().map_err(|_| {
            PyTypeError::new_err(format!(
                "an image must be a NumPy array, not {}",
                object.get_type()
            ))
        })?;
        let array = object.cast::<PyArrayDyn<u8>>().map_err(|_| {
            let dtype = untyped.dtype();
            let hint = match dtype.kind() {
                b'f' => ": of 0 to 1 it is made by (image * 255).astype('uint8')",
                b'u' if dtype.itemsize() == 2 => {
                    ": of 16 bits it is made by (image // 257).astype('uint8')"
                }
                b'b' => ": it is made by image.astype('uint8') * 255",
                _ => "",
            };
            let message =
                format!("an image must have the dtype uint8 (0 to 255), not {dtype}{hint}");
            PyTypeError::new_err(message)
        })?;
        let (size, format) = match *array.shape() {
            [height, width] | [height, width, 1] => ([height, width], PixelFormat::Grey),
            [height, width, CHANNELS] => ([height, width], colour),
            ref shape => {
                let hint = match shape {
                    [_, _, 4] => ": image[..., :3] leaves the transparency out",
                    [1 | 3, _, _] => ": image.transpose(1, 2, 0) puts the channels last",
                    [_, _, _, _] => ": give a list of images",
                    _ => "",
                };
                let message = format!(
                    "an image must have the shape (height, width), (height, width, 1) or \
                     (height, width, 3), not {shape:?}{hint}"
                );
                return Err(raised("ImageError", message));
            }
        };
        check_size(size)?;
        let readonly = array.try_readonly().map_err(|_| {
            let message = "the array is being written to by another thread";
            raised("ImageError", message.to_owned())
        })?;
        let image = match in_place(array.strides(), size, format) {
            Some(place) => Self {
                pixels: Pixels::Borrowed {
                    // With the channels in reverse order, the array's first element is the last byte of a pixel.
                    first: array.data().cast_const().wrapping_sub(place.back),
                    stride: place.stride,
                    length: place.length(size),
                    _owner: Owner::of(readonly)?,
                },
                size,
                format: place.format,
            },
            None => Self {
                pixels: Pixels::Copied(readonly.as_array().iter().copied().collect()),
                size,
                format,
            },
        };
        image.checked().or_raise()?;
        Ok(image)
    }

    fn checked(&self) -> Result<FrameView<'_>, onelook::types::FrameError> {
        let [height, width] = self.size;
        let (bytes, stride) = match &self.pixels {
            Pixels::Copied(bytes) => (&bytes[..], width * self.format.bytes_per_pixel()),
            Pixels::Borrowed {
                first,
                stride,
                length,
                ..
            } => {
                // SAFETY: `in_place` has found, from the shape and strides that NumPy kept when this was
                // made, that the array's elements are bytes of these `length` from `first`; the owner
                // keeps them alive and in their place. That no Python thread writes to an array while a
                // call reads it is asked of callers, as NumPy's own functions ask it: what reads the
                // bytes takes no index and no length from them, so such a write shows in the boxes only.
                let bytes = unsafe { slice::from_raw_parts(*first, *length) };
                (bytes, *stride)
            }
        };
        FrameView::new(bytes, width, height, stride, self.format)
    }

    /// Whether the pixels are read where they lie in the array.
    pub fn is_borrowed(&self) -> bool {
        matches!(self.pixels, Pixels::Borrowed { .. })
    }

    /// The image.
    pub fn view(&self) -> FrameView<'_> {
        self.checked().expect("checked when it was made")
    }
}

/// An array may seem to be far larger than its memory, as that of `numpy.broadcast_to` does.
fn check_size([height, width]: [usize; 2]) -> PyResult<()> {
    let most = Limits::default().max_pixels;
    match (height as u64).checked_mul(width as u64) {
        Some(pixels) if pixels <= most => Ok(()),
        _ => Err(raised(
            "ImageError",
            format!("an image of {height}x{width} is too large: at most {most} pixels are taken"),
        )),
    }
}

/// Where an image's first byte is read, and whether that is the array's own memory: what tests compare
/// with the address that NumPy tells.
#[pyfunction]
#[pyo3(signature = (image, color = "bgr"))]
pub fn image_address(image: &Bound<'_, PyAny>, color: &str) -> PyResult<(usize, bool)> {
    let image = ImageArray::of(image, colour(color)?)?;
    Ok((image.view().row(0).as_ptr().addr(), image.is_borrowed()))
}

/// How an array's elements lie where they need no copy.
#[derive(Debug, PartialEq)]
struct InPlace {
    format: PixelFormat,
    back: usize,
    stride: usize,
}

impl InPlace {
    fn length(&self, [height, width]: [usize; 2]) -> usize {
        (height - 1) * self.stride + width * self.format.bytes_per_pixel()
    }
}

/// Where pixels lie side by side and rows follow downwards; `None` where a copy is needed, or where there
/// are no pixels.
fn in_place(strides: &[isize], size: [usize; 2], format: PixelFormat) -> Option<InPlace> {
    let [height, width] = size;
    if height == 0 || width == 0 {
        return None;
    }
    let bytes = format.bytes_per_pixel();
    let (format, back) = match (format, strides.get(2)) {
        (PixelFormat::Grey, _) | (_, Some(1)) => (format, 0),
        (PixelFormat::Rgb, Some(-1)) => (PixelFormat::Bgr, CHANNELS - 1),
        (PixelFormat::Bgr, Some(-1)) => (PixelFormat::Rgb, CHANNELS - 1),
        _ => return None,
    };
    if width > 1 && strides[1] != bytes as isize {
        return None;
    }
    let row = width * bytes;
    let stride = match height {
        1 => row,
        _ => usize::try_from(strides[0]).ok().filter(|&it| it >= row)?,
    };
    Some(InPlace {
        format,
        back,
        stride,
    })
}

/// The frame's own memory as an array of `[height, width, 3]`.
pub fn from_frame<'py>(py: Python<'py>, frame: Frame) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let shape = [frame.height(), frame.width(), CHANNELS];
    shaped(py, frame.into_pixels(), shape)
}

/// The values' own memory as an array of this shape.
pub fn shaped<'py, T: Element, const N: usize>(
    py: Python<'py>,
    values: Vec<T>,
    shape: [usize; N],
) -> PyResult<Bound<'py, PyArray<T, numpy::ndarray::Dim<[usize; N]>>>>
where
    numpy::ndarray::Dim<[usize; N]>: numpy::ndarray::Dimension,
    [usize; N]: numpy::ndarray::IntoDimension<Dim = numpy::ndarray::Dim<[usize; N]>>,
{
    values.into_pyarray(py).reshape(shape)
}
