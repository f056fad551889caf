"""What the model says of one image, with the attributes that users of the reference know."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from . import _native
from .array import Array, array

if TYPE_CHECKING:
    # In `typing` from Python 3.11 on.
    from typing_extensions import Self

__all__ = ["OBB", "Boxes", "Keypoints", "Masks", "Probs", "Results"]

Image: TypeAlias = "np.ndarray[Any, np.dtype[np.uint8]]"


class _InMemory:
    """What scripts call on results to have them in the computer's memory, where they are."""

    def cpu(self) -> Self:
        """The same: results are in the computer's memory already."""
        return self

    def numpy(self) -> Self:
        """The same: results are NumPy arrays already."""
        return self

    def cuda(self, *_: Any, **__: Any) -> Self:
        """The same."""
        return self

    def to(self, *_: Any, **__: Any) -> Self:
        """The same."""
        return self


class _Rows(_InMemory):
    """Rows of numbers about the objects of an image."""

    def __init__(self, data: Any, orig_shape: tuple[int, int]) -> None:
        self.data: Array = array(data)
        """A row per object."""
        self.orig_shape = orig_shape
        """Height and width of the image."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `data`."""
        return self.data.shape

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (int, np.integer)):
            index = [index]
        return type(self)(self.data[index], self.orig_shape)

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, orig_shape={self.orig_shape})"


class _Scored(_Rows):
    """Rows that end with `[track id,] confidence, class`."""

    _PLACE = 4

    @property
    def is_track(self) -> bool:
        """Whether objects have track ids."""
        return bool(self.data.shape[1] == self._PLACE + 3)

    @property
    def conf(self) -> Array:
        """Confidences, 0 to 1."""
        return array(self.data[:, -2])

    @property
    def cls(self) -> Array:
        """Class indices, as floating point."""
        return array(self.data[:, -1])

    @property
    def id(self) -> Array | None:
        """Track ids, as floating point; absent where objects are not tracked."""
        return array(self.data[:, -3]) if self.is_track else None


class Boxes(_Scored):
    """The boxes of an image's objects."""

    @property
    def xyxy(self) -> Array:
        """Left, top, right, bottom in pixels of the image."""
        return array(self.data[:, :4])

    @property
    def xywh(self) -> Array:
        """Centre, width and height in pixels of the image."""
        corners = self.xyxy
        return array(
            np.concatenate(
                [(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], axis=1
            )
        )

    @property
    def xyxyn(self) -> Array:
        """`xyxy` as fractions of the image."""
        return array(self.xyxy / _sides(self.orig_shape))

    @property
    def xywhn(self) -> Array:
        """`xywh` as fractions of the image."""
        return array(self.xywh / _sides(self.orig_shape))


class OBB(_Scored):
    """The turned boxes of an image's objects."""

    _PLACE = 5

    @property
    def xywhr(self) -> Array:
        """Centre, width, height in pixels of the image, and the angle in radians, clockwise."""
        return array(self.data[:, :5])

    @property
    def xyxyxyxy(self) -> Array:
        """The four corners in pixels of the image, `(objects, 4, 2)`."""
        x, y, width, height, angle = (self.data[:, column] for column in range(5))
        cosine, sine = np.cos(angle), np.sin(angle)
        across = np.stack([width / 2 * cosine, width / 2 * sine], axis=-1)
        down = np.stack([-height / 2 * sine, height / 2 * cosine], axis=-1)
        centre = np.stack([x, y], axis=-1)
        corners = [centre + across + down, centre + across - down]
        corners += [centre - across - down, centre - across + down]
        return array(np.stack(corners, axis=1))

    @property
    def xyxyxyxyn(self) -> Array:
        """`xyxyxyxy` as fractions of the image."""
        return array(self.xyxyxyxy / _sides(self.orig_shape)[:2])

    @property
    def xyxy(self) -> Array:
        """The upright boxes around the turned ones."""
        corners = self.xyxyxyxy
        return array(np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1))


class Masks(_Rows):
    """Which pixels belong to each object."""

    def __init__(
        self, data: Any, orig_shape: tuple[int, int], polygons: Sequence[Any] = ()
    ) -> None:
        super().__init__(data, orig_shape)
        self._polygons: list[Array] = list(polygons)

    def __getitem__(self, index: Any) -> Masks:
        chosen = np.atleast_1d(np.arange(len(self))[index])
        polygons = [self._polygons[number] for number in chosen]
        return Masks(self.data[chosen], self.orig_shape, polygons)

    def _of_image(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Whether each pixel of the image belongs to the object, `(objects, height, width)`."""
        height, width = self.orig_shape
        down, right = self.data.shape[1:]
        # Smaller masks are the image scaled, without the padding of the network's input.
        rows = (np.arange(height) + 0.5) * down / height
        columns = (np.arange(width) + 0.5) * right / width
        chosen = self.data.numpy()[:, rows.astype(int)[:, None], columns.astype(int)]
        return chosen.astype(bool)

    @property
    def xy(self) -> list[Array]:
        """The outline of each mask in pixels of the image, `(points, 2)`."""
        return self._polygons

    @property
    def xyn(self) -> list[Array]:
        """`xy` as fractions of the image."""
        return [array(points / _sides(self.orig_shape)[:2]) for points in self._polygons]


class Keypoints(_Rows):
    """The key points of each object."""

    @property
    def xy(self) -> Array:
        """In pixels of the image, `(objects, points, 2)`."""
        return array(self.data[..., :2])

    @property
    def xyn(self) -> Array:
        """`xy` as fractions of the image."""
        return array(self.xy / _sides(self.orig_shape)[:2])

    @property
    def has_visible(self) -> bool:
        """Whether the model tells how likely each point is visible."""
        return bool(self.data.shape[-1] == 3)

    @property
    def conf(self) -> Array | None:
        """How likely each point is visible, 0 to 1."""
        return array(self.data[..., 2]) if self.has_visible else None


class Probs(_Rows):
    """The probability of each class, where the model classifies whole images."""

    def __init__(self, data: Any, orig_shape: tuple[int, int] = (0, 0)) -> None:
        super().__init__(data, orig_shape)

    @property
    def top5(self) -> list[int]:
        """The five most probable classes, highest first."""
        return [int(index) for index in np.argsort(-self.data, kind="stable")[:5]]

    @property
    def top1(self) -> int:
        """The most probable class."""
        return self.top5[0]

    @property
    def top5conf(self) -> Array:
        """Their probabilities."""
        return array(self.data[self.top5])

    @property
    def top1conf(self) -> Array:
        """Its probability."""
        return array(self.data[self.top1])


class Results(_InMemory):
    """What the model says of one image."""

    def __init__(
        self,
        detections: _native.Detections,
        image: Image,
        color: str,
        names: Mapping[int, str],
        path: str,
        time: float | None = None,
        frame: int | None = None,
    ) -> None:
        self._detections = detections
        self._image = image
        self._color = color
        self._made: dict[str, Any] = {}
        self.names = dict(names)
        """Class names by class index."""
        self.path = path
        """Path or address of the image."""
        self.time = time
        """Seconds since the start of the video or camera; absent for images."""
        self.frame = frame
        """Which frame of the video it is, from 1; absent for images."""
        self.save_dir: str | None = None
        """Where `save=True` has written to."""

    def _once(self, name: str, make: Any) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    @property
    def orig_img(self) -> Image:
        """The image, blue, green, red as OpenCV has it, `(height, width, 3)`.

        An array in this order that was given is itself, not a copy of it.
        """

        def make() -> Image:
            if self._color == "bgr" or self._image.ndim == 2:
                return self._image
            return np.ascontiguousarray(self._image[..., ::-1])

        image: Image = self._once("orig_img", make)
        return image

    @property
    def orig_shape(self) -> tuple[int, int]:
        """Height and width of the image."""
        height, width = self._detections.image_size
        return height, width

    @property
    def speed(self) -> dict[str, float]:
        """Milliseconds per stage; images of one batch share its time evenly."""
        preprocess, inference, postprocess = self._detections.speed
        return {"preprocess": preprocess, "inference": inference, "postprocess": postprocess}

    @property
    def boxes(self) -> Boxes | None:
        """The objects' boxes; absent where boxes are turned or whole images are classified."""

        def make() -> Boxes | None:
            if self.probs is not None or self.obb is not None:
                return None
            return Boxes(self._detections.boxes(), self.orig_shape)

        boxes: Boxes | None = self._once("boxes", make)
        return boxes

    @property
    def obb(self) -> OBB | None:
        """The objects' turned boxes, where the model gives such."""

        def make() -> OBB | None:
            rows = self._detections.turned_boxes()
            return None if rows is None else OBB(rows, self.orig_shape)

        turned: OBB | None = self._once("obb", make)
        return turned

    @property
    def masks(self) -> Masks | None:
        """The objects' masks, where the model gives such and there are objects."""

        def make() -> Masks | None:
            pixels = self._detections.masks()
            if pixels is None:
                return None
            polygons = [array(points) for points in self._detections.polygons()]
            return Masks(pixels, self.orig_shape, polygons)

        masks: Masks | None = self._once("masks", make)
        return masks

    @property
    def keypoints(self) -> Keypoints | None:
        """The objects' key points, where the model gives such and there are objects."""

        def make() -> Keypoints | None:
            points = self._detections.keypoints()
            return None if points is None else Keypoints(points, self.orig_shape)

        points: Keypoints | None = self._once("keypoints", make)
        return points

    @property
    def probs(self) -> Probs | None:
        """The classes' probabilities, where the model classifies whole images."""

        def make() -> Probs | None:
            values = self._detections.probabilities()
            return None if values is None else Probs(values, self.orig_shape)

        probs: Probs | None = self._once("probs", make)
        return probs

    @property
    def is_track(self) -> bool:
        """Whether objects have track ids."""
        return self._detections.is_track

    def __len__(self) -> int:
        return 1 if self.probs is not None else len(self._detections)

    def __getitem__(self, index: Any) -> Results:
        chosen = np.atleast_1d(np.arange(len(self._detections))[index])
        return self._with(self._detections.select([int(number) for number in chosen]))

    def __iter__(self) -> Iterator[Results]:
        return (self[index] for index in range(len(self._detections)))

    def _with(self, detections: _native.Detections) -> Results:
        return Results(
            detections, self._image, self._color, self.names, self.path, self.time, self.frame
        )

    def _name(self, index: int) -> str:
        return self.names.get(index, str(index))

    def verbose(self) -> str:
        """What was found, in words, such as `4 persons, 1 bus`."""
        if self.probs is not None:
            top = [f"{self._name(index)} {self.probs.data[index]:.2f}" for index in self.probs.top5]
            return ", ".join(top)
        rows = self.obb if self.obb is not None else self.boxes
        if rows is None or not len(rows):
            return "(no detections)"
        counts = np.unique(rows.cls.astype(int), return_counts=True)
        words = [
            f"{count} {self._name(int(index))}{'s' if count > 1 else ''}"
            for index, count in zip(*counts, strict=True)
        ]
        return ", ".join(words)

    def __repr__(self) -> str:
        height, width = self.orig_shape
        return f"<onelook.Results {self.path!r}: {height}x{width} {self.verbose()}>"

    def summary(self, normalize: bool = False, decimals: int = 5) -> list[dict[str, Any]]:
        """A dictionary per object, as the command line's `--json` writes them."""
        if self.probs is not None:
            top, conf = self.probs.top1, round(float(self.probs.top1conf), decimals)
            return [{"name": self._name(top), "class": top, "confidence": conf}]
        objects: list[dict[str, Any]] = json.loads(self._detections.json(self._name_list()))
        height, width = self.orig_shape if normalize else (1, 1)
        sides = {"x": width, "y": height}

        def scaled(key: str, value: Any) -> Any:
            side = sides.get(key[0], 1)
            if isinstance(value, list):
                return [round(item / side, decimals) for item in value]
            return round(value / side, decimals)

        for number, found in enumerate(objects):
            found["confidence"] = round(found["confidence"], decimals)
            if self.obb is not None:
                corners = self.obb.xyxyxyxy[number]
                found["box"] = {
                    f"{axis}{corner + 1}": float(corners[corner, column])
                    for corner in range(4)
                    for column, axis in enumerate("xy")
                }
            for part in ("box", "segments", "keypoints"):
                if part in found:
                    values = found[part].items()
                    found[part] = {key: scaled(key, value) for key, value in values}
        return objects

    def _name_list(self) -> list[str]:
        count = max(self.names, default=-1) + 1
        return [self.names.get(index, str(index)) for index in range(count)]

    def to_json(self, normalize: bool = False, decimals: int = 5) -> str:
        """`summary` as JSON."""
        return json.dumps(self.summary(normalize, decimals), indent=2)

    def _flat(self, normalize: bool, decimals: int) -> list[dict[str, Any]]:
        rows = []
        for found in self.summary(normalize, decimals):
            box = found.pop("box", {})
            rows.append({**found, **box})
        return rows

    def to_csv(self, normalize: bool = False, decimals: int = 5) -> str:
        """`summary` as CSV with a line of headings, the box in four columns."""
        import csv
        import io

        rows = self._flat(normalize, decimals)
        text = io.StringIO()
        columns: dict[str, None] = {}
        for row in rows:
            columns.update(dict.fromkeys(row))
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def to_df(self, normalize: bool = False, decimals: int = 5) -> Any:
        """`summary` as a data frame of pandas, or of polars where only that is installed."""
        rows = self._flat(normalize, decimals)
        try:
            import pandas

            return pandas.DataFrame(rows)
        except ImportError:
            try:
                import polars
            except ImportError:
                raise ImportError("to_df() needs pandas or polars: pip install pandas") from None
            return polars.DataFrame(rows)

    def to_supervision(self) -> Any:
        """The objects as `supervision.Detections`."""
        import supervision

        rows = self.obb if self.obb is not None else self.boxes
        if rows is None:
            raise TypeError("supervision has no detections of a model that classifies images")
        classes = rows.cls.numpy().astype(int)
        data: dict[str, Any] = {
            "class_name": np.array([self._name(int(index)) for index in classes], dtype=object)
        }
        if self.obb is not None:
            data["xyxyxyxy"] = self.obb.xyxyxyxy.numpy()
        masks = None if self.masks is None else self.masks._of_image()
        ids = rows.id
        return supervision.Detections(
            xyxy=rows.xyxy.numpy(),
            confidence=rows.conf.numpy(),
            class_id=classes,
            mask=masks,
            tracker_id=None if ids is None else ids.numpy().astype(int),
            data=data,
        )

    def plot(
        self,
        conf: bool = True,
        line_width: float | None = None,
        *,
        img: Image | None = None,
        labels: bool = True,
        boxes: bool = True,
        color: str = "bgr",
        save: bool = False,
        filename: str | os.PathLike[str] | None = None,
    ) -> Image:
        """The image with its objects drawn on it, `(height, width, 3)`, in this order of channels."""
        given, order = (self._image, self._color) if img is None else (img, "bgr")
        if order != color:
            # Another order of the same memory; no copy is made of it.
            given = given if given.ndim == 2 else given[..., ::-1]
        drawn: Image = self._detections.draw(
            given,
            color,
            self._name_list(),
            line_width=None if line_width is None else max(1, round(line_width)),
            labels=labels,
            conf=conf,
            boxes=boxes,
        )
        if save:
            _write_image(Path(filename or f"results_{Path(self.path).name}"), drawn, color)
        return drawn

    def save(self, filename: str | os.PathLike[str] | None = None, **options: Any) -> str:
        """Writes the annotated image as JPEG or, by the name's ending, PNG; gives the path."""
        path = Path(filename or f"results_{Path(self.path).name}")
        return _write_image(path, self.plot(**options), "bgr")

    def show(self, **options: Any) -> None:
        """Shows the annotated image: in a notebook where it stands, else in the system's viewer."""
        try:
            shell = get_ipython()  # type: ignore[name-defined]
        except NameError:
            shell = None
        if shell is not None:
            import IPython.display as notebook

            jpeg = _native.encode_jpeg(self.plot(**options), "bgr")
            notebook.display(notebook.Image(data=jpeg))
            return
        import tempfile
        import webbrowser

        with tempfile.NamedTemporaryFile(suffix=".png", delete=False) as file:
            file.write(_native.encode_png(self.plot(**options), "bgr"))
        webbrowser.open(Path(file.name).as_uri())

    def save_txt(self, txt_file: str | os.PathLike[str], save_conf: bool = False) -> str:
        """Appends a line per object, `class x y width height [confidence]`, as fractions."""
        if self.probs is not None:
            lines = [f"{self.probs.data[index]:.2f} {self._name(index)}" for index in self.probs.top5]
        else:
            lines = self._detections.labels(save_conf)
        path = Path(txt_file)
        if lines:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        return str(path)

    def save_crop(
        self, save_dir: str | os.PathLike[str], file_name: str | os.PathLike[str] = "im.jpg"
    ) -> None:
        """Writes each object's part of the image to `save_dir/CLASS/NAME.jpg`."""
        if self.boxes is None:
            return
        height, width = self.orig_shape
        stem = Path(file_name).stem
        for box in self.boxes:
            x1, y1, x2, y2 = box.xyxy[0].tolist()
            left, top = max(0, int(x1)), max(0, int(y1))
            right, bottom = min(width, int(np.ceil(x2))), min(height, int(np.ceil(y2)))
            if right <= left or bottom <= top:
                continue
            folder = Path(save_dir) / _native.safe_name(self._name(int(box.cls[0])))
            folder.mkdir(parents=True, exist_ok=True)
            path, number = folder / f"{stem}.jpg", 1
            while path.exists():
                number += 1
                path = folder / f"{stem}{number}.jpg"
            _write_image(path, self._image[top:bottom, left:right], self._color)

    def _repr_html_(self) -> str:
        from .display import html

        return html(self)


def _sides(shape: tuple[int, int]) -> np.ndarray[Any, Any]:
    height, width = shape
    return np.array([width, height, width, height], dtype=np.float32)


def _write_image(path: Path, image: Image, color: str) -> str:
    """Writes a PNG where the name ends so, else a JPEG."""
    is_png = path.suffix.lower() == ".png"
    if not is_png and path.suffix.lower() not in {".jpg", ".jpeg"}:
        path = path.with_suffix(".jpg")
    encoded = _native.encode_png(image, color) if is_png else _native.encode_jpeg(image, color)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded)
    return str(path)
