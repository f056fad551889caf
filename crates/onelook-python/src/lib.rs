//! The Python module `onelook._native`: what the package `onelook` needs of the library.
//!
//! NumPy arrays come in and go out without a copy where their layout allows it; no lock of the
//! interpreter is held while images are decoded or a network runs. What users see is written in
//! Python, in `python/onelook`.

mod array;
mod codec;
mod detections;
mod error;
mod files;
mod network;
mod process;
mod source;
mod tracker;
mod validation;

use pyo3::prelude::*;

/// What the package `onelook` needs of the library; its names may change with any version.
#[pymodule]
mod _native {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::array::image_address;
    #[pymodule_export]
    use crate::codec::{decode, encode_jpeg, encode_png};
    #[pymodule_export]
    use crate::detections::Detections;
    #[pymodule_export]
    use crate::files::{file_stem, safe_name};
    #[pymodule_export]
    use crate::network::{Network, Predictor, devices};
    #[pymodule_export]
    use crate::source::{ImageStream, StreamImage};
    #[pymodule_export]
    use crate::tracker::Tracker;
    #[pymodule_export]
    use crate::validation::validate;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
