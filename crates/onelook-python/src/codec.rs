//! Encoded images as arrays and back.

use numpy::PyArray3;
use onelook::media::{Limits, encode_jpeg as jpeg, encode_png as png};
use onelook::{Error, media};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::array::{ImageArray, colour, from_frame};
use crate::error::OrRaise;

/// Decodes a JPEG, PNG, WebP, BMP, TIFF or GIF; the array is RGB, `(height, width, 3)`.
#[pyfunction]
#[pyo3(signature = (data, name = "image"))]
pub fn decode<'py>(py: Python<'py>, data: &[u8], name: &str) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let frame = py.detach(|| media::decode(data, &Limits::default()));
    let frame = frame.map_err(|source| Error::Image {
        name: name.to_owned(),
        source,
    });
    from_frame(py, frame.or_raise()?)
}

/// Encodes an image as JPEG; `quality` is 1 to 100.
#[pyfunction]
#[pyo3(signature = (image, color = "bgr", quality = 95))]
pub fn encode_jpeg<'py>(
    py: Python<'py>,
    image: &Bound<'py, PyAny>,
    color: &str,
    quality: u8,
) -> PyResult<Bound<'py, PyBytes>> {
    let image = ImageArray::of(image, colour(color)?)?;
    let view = image.view();
    let bytes = py.detach(|| jpeg(&view.to_frame(), quality));
    Ok(PyBytes::new(py, &bytes.or_raise()?))
}

/// Encodes an image as PNG.
#[pyfunction]
#[pyo3(signature = (image, color = "bgr"))]
pub fn encode_png<'py>(
    py: Python<'py>,
    image: &Bound<'py, PyAny>,
    color: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let image = ImageArray::of(image, colour(color)?)?;
    let view = image.view();
    let bytes = py.detach(|| png(&view.to_frame()));
    Ok(PyBytes::new(py, &bytes.or_raise()?))
}
