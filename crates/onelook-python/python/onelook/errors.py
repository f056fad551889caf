"""What can go wrong. The texts are those of the command line."""

__all__ = [
    "ClosedError",
    "DatasetError",
    "DeviceError",
    "FetchError",
    "FileError",
    "ImageError",
    "MissingError",
    "ModelError",
    "OnelookError",
    "SettingError",
    "SourceError",
    "TrackingError",
]


class OnelookError(Exception):
    """Any failure of onelook."""


class FileError(OnelookError, OSError):
    """The system refused a file."""


class MissingError(FileError, FileNotFoundError):
    """There is no such file or directory."""


class ModelError(OnelookError):
    """A model file was refused, or the device cannot run it."""


class FetchError(OnelookError, OSError):
    """A model could not be fetched."""


class DeviceError(OnelookError, RuntimeError):
    """There is no such device, or it cannot be used."""


class SettingError(OnelookError, ValueError):
    """A setting has a value that makes no sense."""


class ImageError(OnelookError, ValueError):
    """An image could not be decoded, or an array is no image."""


class SourceError(OnelookError, OSError):
    """A source of images could not be read."""


class DatasetError(OnelookError, ValueError):
    """A data set is not as it should be."""


class TrackingError(OnelookError, ValueError):
    """A tracker's settings cannot be used."""


class ClosedError(OnelookError, RuntimeError):
    """The model was closed."""
