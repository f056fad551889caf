//! Errors of the library as exceptions of the package, with the same texts.

use std::io::ErrorKind;

use onelook::Error;
use onelook::media::SourceError;
use pyo3::prelude::*;

/// The exception of an error: a class of `onelook.errors`, which Python defines because its classes
/// have two bases each.
pub fn exception(error: &Error) -> PyErr {
    let is_missing = match error {
        Error::File { source, .. } => source.kind() == ErrorKind::NotFound,
        Error::Source(error) => matches!(error, SourceError::Missing { .. }),
        _ => false,
    };
    let class = match error.kind() {
        _ if is_missing => "MissingError",
        "file" => "FileError",
        "model" | "compile" | "head" => "ModelError",
        "fetch" => "FetchError",
        "device" => "DeviceError",
        "setting" => "SettingError",
        "image" | "encode" => "ImageError",
        "source" => "SourceError",
        "dataset" => "DatasetError",
        "tracking" => "TrackingError",
        _ => "OnelookError",
    };
    raised(class, error.to_string())
}

/// An exception of `onelook.errors` by its name.
pub fn raised(class: &str, message: String) -> PyErr {
    Python::attach(|py| {
        let class = py
            .import("onelook.errors")
            .and_then(|errors| errors.getattr(class));
        match class.and_then(|class| class.call1((message,))) {
            Ok(exception) => PyErr::from_value(exception),
            Err(error) => error,
        }
    })
}

/// Results of the library as results of Python.
pub trait OrRaise<T> {
    /// The value, or the exception of its error.
    fn or_raise(self) -> PyResult<T>;
}

impl<T, E: Into<Error>> OrRaise<T> for Result<T, E> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(|error| exception(&error.into()))
    }
}
