//! NumPy arrays as images and back, without a copy where the pixels of a row lie side by side.

use std::slice;

use numpy::{
    Element, IntoPyArray, PyArray, PyArray3, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn,
    PyUntypedArray, PyUntypedArrayMethods,
};
use onelook::types::{Frame, FrameView, PixelFormat};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

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
        array: PyReadonlyArrayDyn<'py, u8>,
        /// Bytes from the array's first element back to the image's first byte: with the channels in
        /// reverse order, its first element is the last byte of a pixel.
        back: usize,
        stride: usize,
        length: usize,
    },
    /// Without gaps.
    Copied(Vec<u8>),
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
            PyTypeError::new_err(format!(
                "an image must have the dtype uint8 (0 to 255), not {}",
                untyped.dtype()
            ))
        })?;
        let (size, format) = match *array.shape() {
            [height, width] | [height, width, 1] => ([height, width], PixelFormat::Grey),
            [height, width, CHANNELS] => ([height, width], colour),
            ref shape => {
                return Err(raised(
                    "ImageError",
                    format!(
                        "an image must have the shape (height, width), (height, width, 1) or \
                         (height, width, 3), not {shape:?}"
                    ),
                ));
            }
        };
        let readonly = array.try_readonly().map_err(|_| {
            raised(
                "ImageError",
                "the array is being written to by another thread".to_owned(),
            )
        })?;
        let image = match in_place(array.strides(), size, format) {
            Some(place) => Self {
                pixels: Pixels::Borrowed {
                    length: place.length(size),
                    array: readonly,
                    back: place.back,
                    stride: place.stride,
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
                array,
                back,
                stride,
                length,
            } => {
                // SAFETY: `in_place` has found, from the shape and strides that NumPy keeps, that the
                // array's elements are exactly bytes of these `length`, the first of them `back` bytes
                // before the first element; `array` keeps them alive and unwritten by other users of
                // this crate's borrows. That Python threads do not write to an array while a call reads
                // it is asked of callers, as NumPy's own functions ask it.
                let bytes =
                    unsafe { slice::from_raw_parts(array.as_array().as_ptr().sub(*back), *length) };
                (bytes, *stride)
            }
        };
        FrameView::new(bytes, width, height, stride, self.format)
    }

    /// The image.
    pub fn view(&self) -> FrameView<'_> {
        self.checked().expect("checked when it was made")
    }
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
