"""What users name as a source in, images out, one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from . import _native
from .errors import ImageError, SourceError
from .log import LOGGER

__all__ = ["Loaded", "Sources"]


@dataclass
class Loaded:
    """One image."""

    name: str
    image: Any
    color: str
    index: int
    """Position of the image or video in the source, from 0."""
    time: float | None = None
    """Seconds since the start of its video."""
    frame: int | None = None
    """Which frame of a video it is, from 1."""
    is_live: bool = False


class Sources:
    """The images of a source.

    A string or path is a file, directory, glob, list file, address, video, camera's address or camera's
    number; bytes and files opened for reading are encoded images; arrays and PIL images are images. A
    list or tuple is as many sources, a generator as many images as it gives.
    """

    def __init__(
        self,
        source: Any,
        *,
        color: str,
        vid_stride: int = 1,
        stream_buffer: bool = False,
        ffmpeg: str | os.PathLike[str] | None = None,
    ) -> None:
        self._color = color
        self._settings: dict[str, Any] = {
            "vid_stride": vid_stride,
            "stream_buffer": stream_buffer,
            "ffmpeg": ffmpeg,
        }
        self._streams: list[_native.ImageStream] = []
        self.total: int | None = None
        """How many images there are, where that is known."""
        self._images = self._open(source)

    def __iter__(self) -> Iterator[Loaded]:
        try:
            yield from self._images
        finally:
            self.close()

    def close(self) -> None:
        """Ends cameras and videos."""
        for stream in self._streams:
            stream.close()

    def _open(self, source: Any) -> Iterator[Loaded]:
        if isinstance(source, (str, os.PathLike)) or _is_number(source):
            return self._stream([_word(source)])
        if isinstance(source, (list, tuple)):
            if source and all(isinstance(it, (str, os.PathLike)) or _is_number(it) for it in source):
                return self._stream([_word(it) for it in source])
            self.total = len(source)
            return self._given(source)
        if _is_image(source):
            self.total = 1
            return self._given([source])
        if isinstance(source, Iterable):
            return self._given(source)
        raise _unknown(source)

    def _stream(self, words: list[str]) -> Iterator[Loaded]:
        stream = _native.ImageStream(words, **self._settings)
        self._streams.append(stream)
        self.total = stream.length

        def images() -> Iterator[Loaded]:
            for item in stream:
                if item.error is not None:
                    # One broken image among many is told and passed over.
                    if stream.entries == 1:
                        raise item.error
                    LOGGER.warning("%s", item.error)
                    continue
                yield Loaded(
                    item.name,
                    item.image,
                    "rgb",
                    item.index,
                    item.time,
                    item.frame,
                    item.is_live,
                )

        return images()

    def _given(self, images: Iterable[Any]) -> Iterator[Loaded]:
        for index, image in enumerate(images):
            name = f"image{index}.jpg"
            if isinstance(image, (str, os.PathLike)) or _is_number(image):
                for loaded in self._stream([_word(image)]):
                    loaded.index = index
                    yield loaded
                continue
            if hasattr(image, "read"):
                name = str(getattr(image, "name", name))
                image = _read(image)
            if isinstance(image, (bytes, bytearray, memoryview)):
                yield Loaded(name, _native.decode(bytes(image), name), "rgb", index)
            elif isinstance(image, np.ndarray):
                # A fourth channel is transparency.
                image = image[..., :3] if image.shape[2:] == (4,) else image
                yield Loaded(name, image, self._color, index)
            elif _is_pil(image):
                name = getattr(image, "filename", "") or name
                yield Loaded(name, _pil_pixels(image), "rgb", index)
            else:
                raise _unknown(image)


def _word(source: Any) -> str:
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else str(source)


def _is_number(source: Any) -> bool:
    return isinstance(source, int) and not isinstance(source, bool)


def _is_pil(image: Any) -> bool:
    return hasattr(image, "convert") and hasattr(image, "mode") and hasattr(image, "size")


def _pil_pixels(image: Any) -> Any:
    """Pixels of a PIL image, turned as its EXIF data say."""
    # The tag of the orientation; 1 is upright.
    if hasattr(image, "getexif") and image.getexif().get(0x0112, 1) != 1:
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
    if image.mode in {"RGB", "L"}:
        return np.asarray(image)
    if image.mode.startswith("I;16"):
        return (np.asarray(image) // 257).astype(np.uint8)
    if image.mode in {"I", "F"}:
        raise ImageError(
            f"a PIL image of the mode {image.mode} has no largest value: scale it to 0 to 255 and "
            "give it as mode L or RGB"
        )
    try:
        return np.asarray(image.convert("RGB"))
    except ValueError as error:
        raise ImageError(f"a PIL image of the mode {image.mode}: {error}") from None


def _is_image(source: Any) -> bool:
    is_encoded = isinstance(source, (bytes, bytearray, memoryview)) or hasattr(source, "read")
    return isinstance(source, np.ndarray) or is_encoded or _is_pil(source)


def _read(file: BinaryIO) -> bytes:
    data = file.read()
    if isinstance(data, str):
        raise SourceError(f"{file!r} was opened as text: open it with 'rb'")
    return data


def _unknown(source: Any) -> Exception:
    kinds = "a path, an address, bytes, a NumPy array, a PIL image, or several of them"
    hint = ""
    if hasattr(source, "detach") and hasattr(source, "cpu"):
        hint = ": give a tensor as an array of uint8, (height, width, 3)"
    return ImageError(f"a source must be {kinds}, not {type(source).__name__}{hint}")
