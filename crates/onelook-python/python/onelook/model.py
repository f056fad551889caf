"""A model: loaded once, used from any number of threads."""

from __future__ import annotations

import json
import operator
import os
import threading
import weakref
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import _native
from .errors import ClosedError, SettingError
from .log import LOGGER
from .progress import bar
from .results import Results
from .saving import Saving, run_directory
from .sources import Loaded, Sources
from .validation import Metrics

__all__ = ["Model"]

_PREDICTOR = {
    "conf": None,
    "iou": 0.7,
    "imgsz": None,
    "rect": None,
    "classes": None,
    "max_det": 300,
    "agnostic_nms": False,
    "batch": 1,
    "retina_masks": False,
}
_SOURCE = {"vid_stride": 1, "stream_buffer": False, "ffmpeg": None}
_SAVING = {
    "save": False,
    "save_txt": False,
    "save_conf": False,
    "save_crop": False,
    "show_labels": True,
    "show_conf": True,
    "show_boxes": True,
    "line_width": None,
    "project": None,
    "name": None,
    "exist_ok": False,
}
_OTHERS = {"color": "bgr", "verbose": True, "progress": None, "show": False}
_TRACKING = {"tracker": "default", "persist": False, "frame_rate": 30.0}
# Options of the reference that this package has not, with the values that ask for nothing.
_ABSENT: dict[str, list[Any]] = {
    "augment": [False, None],
    "visualize": [False, None],
    "embed": [None],
    "dnn": [False],
    "save_frames": [False],
}


class Model:
    """A model, ready to run.

    `model` is a `.pt`, `.onnx` or `.safetensors` file, or a name such as `yolo11n` that is fetched where
    there is no such file. `device` is `auto`, `cpu`, a GPU's number such as `0` or `cuda:0`, or `-1` for
    the GPU with the least to do. `quantize` is 32, 16 or 8 bits.

    A model may be used from any number of threads, and in forks of its process, where it loads itself
    again when it is first used.
    """

    _network: _native.Network | None = None

    def __init__(
        self,
        model: str | os.PathLike[str] = "yolo11n.pt",
        task: str | None = None,
        *,
        device: str | int | Sequence[int] = "auto",
        threads: int | None = None,
        quantize: int | str = 32,
        end2end: bool | None = None,
        gpu_memory: int | None = None,
        verbose: bool = True,
    ) -> None:
        self._how: dict[str, Any] = {
            "path": os.fspath(model),
            "device": _device(device),
            "threads": threads,
            "precision": str(quantize),
            "end2end": end2end,
            "gpu_memory": gpu_memory,
        }
        self._network = _native.Network(**self._how)
        self._is_forked = False
        self._predictors: dict[str, _native.Predictor] = {}
        self._persistent: tuple[str, _Tracking] | None = None
        self._lock = threading.RLock()
        _MODELS.add(self)
        if task is not None and task != self.task:
            raise SettingError(f"task: the model is for '{self.task}', not '{task}'")
        if verbose:
            network = self._open_network()
            LOGGER.info("%s on %s: %s", network.name, network.device, network.device_reason)
        if (warning := self._open_network().warning) is not None:
            LOGGER.warning("%s", warning)
        if self._open_network().has_random_weights:
            LOGGER.warning("%s has random weights: its boxes mean nothing", self._how["path"])

    def _open_network(self) -> _native.Network:
        network = self._network
        if network is None:
            raise ClosedError("the model was closed: load it again")
        if self._is_forked:
            with self._lock:
                if self._is_forked:
                    self._network = network = _native.Network(**self._how)
                    self._is_forked = False
        return network

    def _fork(self) -> None:
        """A new process has none of the threads, and locks may be held by threads that it has not."""
        self._lock = threading.RLock()
        self._is_forked = self._network is not None
        self._predictors = {}
        self._persistent = None

    # What the model says of itself.

    @property
    def names(self) -> dict[int, str]:
        """Class names by class index."""
        return dict(enumerate(self._open_network().names))

    @property
    def task(self) -> str:
        """What it was trained for: `detect`, `segment`, `pose`, `obb` or `classify`."""
        return self._open_network().task

    @property
    def device(self) -> str:
        """Where it runs, in words."""
        return self._open_network().device

    def to(self, device: Any) -> Model:
        """This model, if it runs on this device: the device is chosen when a model is loaded."""
        self._check_device(device)
        return self

    def fuse(self) -> Model:
        """This model: its layers were fused when it was loaded."""
        self._open_network()
        return self

    def _check_device(self, device: Any) -> None:
        network = self._open_network()
        if not network.is_on(_device(device)):
            raise SettingError(
                f"device: the model runs on {network.device}, not on '{_device(device)}': "
                f"name the device when it is loaded: Model(..., device='{_device(device)}')"
            )

    @property
    def stride(self) -> int:
        """The sides of the network's input are multiples of this."""
        return self._open_network().stride

    def info(self) -> dict[str, Any]:
        """What is known of the model."""
        network = self._open_network()
        height, width = network.image_size
        return {
            "name": network.name,
            "architecture": network.architecture,
            "task": network.task,
            "classes": len(network.names),
            "parameters": network.parameters,
            "gflops": round(network.flops(height, width) / 1e9, 2),
            "imgsz": (height, width),
            "stride": network.stride,
            "device": network.device,
            "device_reason": network.device_reason,
            "notes": dict(network.notes),
        }

    def __repr__(self) -> str:
        if self._network is None:
            return "<onelook.Model: closed>"
        network = self._network
        return f"<onelook.Model {network.name!r}: {network.task}, on {network.device}>"

    def __reduce__(self) -> Any:
        how = {**self._how}
        path, quantize = how.pop("path"), how.pop("precision")
        return (_load, (path, {**how, "quantize": quantize}))

    def close(self) -> None:
        """Gives its memory back, as soon as no other thread uses it. Closed models raise `ClosedError`."""
        with self._lock:
            self._network = None
            self._predictors.clear()
            self._persistent = None

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Predictions.

    def __call__(self, source: Any = None, stream: bool = False, **options: Any) -> Any:
        """The same as `predict`."""
        return self.predict(source, stream, **options)

    def predict(self, source: Any = None, stream: bool = False, **options: Any) -> Any:
        """What the model says of each image of the source.

        A list of `Results`, or with `stream=True` an iterator that holds one at a time. Options and
        defaults are those of the reference and of `onelook predict`: conf, iou, imgsz, rect, classes,
        max_det, agnostic_nms, batch, retina_masks, vid_stride, stream_buffer, save, save_txt, save_conf,
        save_crop, show_labels, show_conf, show_boxes, line_width, project, name, exist_ok, verbose; besides `color`
        (`bgr` or `rgb`, of arrays), `progress` and `ffmpeg`.
        """
        results = self._run(source, None, options)
        return results if stream else list(results)

    def track(self, source: Any = None, stream: bool = False, **options: Any) -> Any:
        """As `predict`, with an id for each object that stays the same from frame to frame.

        `tracker` is default, bytetrack, botsort, ocsort or tracktrack, or a YAML file. With
        `persist=True` the tracker goes on where the last call ended, for frames that are given one by
        one; without times of their own they are taken to be `1 / frame_rate` seconds apart.
        """
        settings = {key: options.pop(key, value) for key, value in _TRACKING.items()}
        options.setdefault("conf", 0.1)
        results = self._run(source, settings, options)
        return results if stream else list(results)

    async def predict_async(self, source: Any = None, **options: Any) -> list[Results]:
        """As `predict`, in another thread: the event loop goes on."""
        import asyncio

        return await asyncio.to_thread(lambda: list(self._run(source, None, options)))

    async def stream_async(self, source: Any = None, **options: Any) -> AsyncIterator[Results]:
        """As `predict(stream=True)`, for `async for`."""
        import asyncio

        sources, results = self._open(source, None, options)
        step: asyncio.Future[Results | None] | None = None
        try:
            while True:
                step = asyncio.ensure_future(asyncio.to_thread(next, results, None))
                # The thread goes on where this is cancelled; it is waited for below.
                result = await asyncio.shield(step)
                if result is None:
                    return
                yield result
        finally:
            sources.close()
            if step is not None:
                await asyncio.wait([step])
            await asyncio.to_thread(results.close)

    def _run(
        self, source: Any, tracking: dict[str, Any] | None, given: dict[str, Any]
    ) -> Iterator[Results]:
        return self._open(source, tracking, given)[1]

    def _open(
        self, source: Any, tracking: dict[str, Any] | None, given: dict[str, Any]
    ) -> tuple[Sources, Generator[Results, None, None]]:
        if source is None:
            raise SettingError("source: name an image, video, directory, address or array")
        options = self._options(given, tracking is not None)
        # What is wrong is said here, not when the first result is asked for.
        tracker = None if tracking is None else self._new_tracker(tracking)
        keep_suppressed = tracker is not None and tracker.wants_suppressed
        predictor = self._predictor(options, keep_suppressed=keep_suppressed)
        sources = Sources(source, color=options["color"], **_only(options, _SOURCE))
        saving = self._saving(options, "predict" if tracking is None else "track")
        return sources, self._results(sources, predictor, tracker, saving, options)

    def _results(
        self,
        sources: Sources,
        predictor: _native.Predictor,
        tracker: _Tracking | None,
        saving: Saving | None,
        options: dict[str, Any],
    ) -> Generator[Results, None, None]:
        names = self.names
        shown = bar(options["progress"], sources.total, "tracking" if tracker else "predicting")
        count = 0
        try:
            for images in _batches(sources, options["batch"]):
                for image, found in zip(images, _predict(predictor, images), strict=True):
                    count += 1
                    if tracker is not None:
                        found = tracker.update(image, found)
                    result = Results(
                        found, image.image, image.color, names, image.name, image.time, image.frame
                    )
                    if saving is not None:
                        saving.write(result, image.index)
                    if options["show"]:
                        result.show()
                    if options["verbose"]:
                        _log(result, found, count, sources.total)
                    shown.update(1)
                    yield result
            if saving is not None:
                LOGGER.info("Results saved to %s", saving.directory)
        finally:
            shown.close()
            sources.close()

    def _options(self, given: dict[str, Any], is_track: bool) -> dict[str, Any]:
        known = {**_PREDICTOR, **_SOURCE, **_SAVING, **_OTHERS}
        options = dict(known)
        for key, value in given.items():
            if key in known:
                options[key] = value
            elif key in {"device", "half", "quantize", "end2end"}:
                self._check_loaded(key, value)
            elif key in _ABSENT:
                if value not in _ABSENT[key]:
                    raise SettingError(f"{key}: this package has no such thing")
            else:
                names = [*known, *(_TRACKING if is_track else ())]
                hint = _hint(key, names)
                raise TypeError(f"there is no option '{key}'{hint}")
        if options["conf"] is None:
            options["conf"] = 0.25
        return options

    def _check_loaded(self, key: str, value: Any) -> None:
        """Options of each call in the reference that are of the model here."""
        if value is None or (key == "half" and not value):
            return
        if key == "device":
            return self._check_device(value)
        word, wanted = {
            "half": ("quantize=16", ("precision", "16")),
            "quantize": (f"quantize={value!r}", ("precision", str(value))),
            "end2end": (f"end2end={value!r}", ("end2end", value)),
        }[key]
        if self._how[wanted[0]] != wanted[1]:
            raise SettingError(f"{key}: set it when the model is loaded: Model(..., {word})")

    def _predictor(self, options: dict[str, Any], **more: Any) -> _native.Predictor:
        settings = {**_only(options, _PREDICTOR), **more}
        settings["imgsz"] = _size(settings["imgsz"])
        settings["classes"] = self._classes(settings["classes"])
        settings["conf"] = _number("conf", settings["conf"])
        settings["iou"] = _number("iou", settings["iou"])
        settings["batch"] = _whole("batch", settings["batch"], 1)
        settings["max_det"] = _whole("max_det", settings["max_det"], 0)
        key = repr(sorted(settings.items()))
        with self._lock:
            network = self._open_network()
            if key not in self._predictors:
                if len(self._predictors) > 64:
                    self._predictors.clear()
                self._predictors[key] = _native.Predictor(network, **settings)
            return self._predictors[key]

    def _classes(self, classes: Any) -> list[int] | None:
        if classes is None:
            return None
        names = {name: index for index, name in self.names.items()}
        numbers = []
        for word in [classes] if isinstance(classes, (int, str)) else classes:
            if isinstance(word, str) and word not in names:
                hint = _hint(word, list(names))
                raise SettingError(f"classes: the model has no class '{word}'{hint}")
            number = names[word] if isinstance(word, str) else int(word)
            numbers.append(_whole("classes", number, 0))
        return numbers

    def _saving(self, options: dict[str, Any], command: str) -> Saving | None:
        if not (options["save"] or options["save_txt"] or options["save_crop"]):
            return None
        project = options["project"] or Path("runs") / self.task
        return Saving(
            directory=run_directory(project, options["name"] or command, options["exist_ok"]),
            images=options["save"],
            labels=options["save_txt"],
            crops=options["save_crop"],
            with_confidence=options["save_conf"],
            style={
                "labels": options["show_labels"],
                "conf": options["show_conf"],
                "boxes": options["show_boxes"],
                "line_width": options["line_width"],
            },
        )

    def _new_tracker(self, tracking: dict[str, Any]) -> _Tracking:
        name, rate = str(tracking["tracker"]), float(tracking["frame_rate"])
        if not rate > 0:
            raise SettingError(f"frame_rate: expected a number above 0, not {rate}")
        if not tracking["persist"]:
            return _Tracking(_native.Tracker(name), rate)
        with self._lock:
            if self._persistent is None or self._persistent[0] != name:
                self._persistent = (name, _Tracking(_native.Tracker(name), rate, persist=True))
            return self._persistent[1]

    # Figures.

    def val(
        self,
        data: str | os.PathLike[str],
        *,
        split: str | None = None,
        images: str | os.PathLike[str] | None = None,
        conf: float = 0.001,
        iou: float = 0.7,
        imgsz: int | Sequence[int] | None = None,
        batch: int = 1,
        rect: bool = True,
        max_det: int = 300,
        progress: bool | None = None,
    ) -> Metrics:
        """Runs a data set, a YOLO `.yaml` or a COCO `.json`, and gives its figures."""
        options = {**_PREDICTOR, "conf": conf, "iou": iou, "imgsz": imgsz, "batch": batch}
        options["max_det"] = max_det
        predictor = self._predictor(options, multi_label=True)
        shown: list[Any] = []

        def step(count: int) -> None:
            if shown:
                shown[0].update(count)
            else:
                shown.append(bar(progress, count, "validating"))

        try:
            text = _native.validate(
                predictor, os.fspath(data), step, split=split, images=images, rect=rect
            )
        finally:
            for it in shown:
                it.close()
        values = json.loads(text)
        for path, reason in values["failed"]:
            LOGGER.warning("%s was left out: %s", path, reason)
        return Metrics(values)

    def verify(self, source: Any, *, against: str = "reference", **options: Any) -> dict[str, Any]:
        """Compares this model's results with those of the same file on another device.

        By default that is the plain executor that all engines are compared with: right, and slow. Gives
        the number of objects that agree, those that only one has, and the largest differences.
        """
        other = Model(self._how["path"], device=against, end2end=self._how["end2end"], verbose=False)
        report: dict[str, Any] = {"images": 0, "matched": 0, "only_first": 0, "only_second": 0}
        report.update(worst_pixels=0.0, worst_score=0.0)
        for first in self._run(source, None, {**options, "verbose": False}):
            second = other._run(first._image, None, {**options, "color": first._color})
            found = first._detections.compare(next(iter(second))._detections)
            report["images"] += 1
            for key in ("matched", "only_first", "only_second"):
                report[key] += found[key]
            for key in ("worst_pixels", "worst_score"):
                report[key] = max(report[key], found[key])
        report["equal"] = not (report["only_first"] or report["only_second"]) and (
            report["worst_pixels"] <= 0.5 and report["worst_score"] <= 0.002
        )
        return report

    def bench(
        self,
        imgsz: int | Sequence[int] | None = None,
        *,
        runs: int = 50,
        warmup: int = 5,
    ) -> dict[str, float]:
        """Milliseconds of whole predictions of one image, letterbox and NMS included."""
        import statistics

        runs, warmup = _whole("runs", runs, 1), _whole("warmup", warmup, 0)
        network = self._open_network()
        height, width = _size(imgsz) or network.image_size
        predictor = self._predictor({**_PREDICTOR, "conf": 0.25, "imgsz": (height, width)})
        times = sorted(1e3 * time for time in predictor.time(height, width, runs, warmup))
        return {
            "min_ms": times[0],
            "median_ms": statistics.median(times),
            "mean_ms": statistics.fmean(times),
            "p99_ms": times[min(len(times) - 1, int(len(times) * 0.99))],
            "images_per_second": 1e3 / statistics.fmean(times),
        }

    def run(self, tensor: np.ndarray[Any, np.dtype[np.float32]]) -> list[Any]:
        """The network alone: `(batch, 3, height, width)`, RGB from 0 to 1, in; its raw outputs out."""
        return self._open_network().run(tensor)


class _Tracking:
    """A tracker and the time of the frames that it sees."""

    def __init__(self, tracker: _native.Tracker, rate: float, persist: bool = False) -> None:
        self._tracker = tracker
        self.wants_suppressed = tracker.wants_suppressed
        self._rate = rate
        self._persist = persist
        self._frames = 0
        self._index = 0

    def update(self, image: Loaded, found: _native.Detections) -> _native.Detections:
        # Each video begins anew; images that follow each other are taken for one.
        is_new = image.index != self._index and image.frame is not None
        if is_new and not self._persist:
            self._tracker.reset()
            self._frames = 0
        self._index = image.index
        time = self._frames / self._rate
        if image.time is not None and not self._persist:
            time = image.time
        self._frames += 1
        return self._tracker.update(image.image, image.color, time, found)


def _load(path: str, how: dict[str, Any]) -> Model:
    return Model(path, **how)


_MODELS: weakref.WeakSet[Model] = weakref.WeakSet()


def _after_fork() -> None:
    for model in list(_MODELS):
        model._fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _device(device: Any) -> str:
    """The word for a device, also for what stands for one in other packages."""
    if isinstance(device, (list, tuple)):
        return ",".join(str(number) for number in device)
    return str(device)


def _hint(word: str, names: list[str]) -> str:
    """The name that was perhaps meant. What few calls need is imported by those that do."""
    import difflib

    close = difflib.get_close_matches(word, names, 1)
    return f": did you mean '{close[0]}'?" if close else ""


def _number(name: str, value: Any) -> float:
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise SettingError(f"{name}: expected a number, not {value!r}")
    return float(value)


def _whole(name: str, value: Any, least: int) -> int:
    """A whole number that is not below `least`, and fits into 32 bits."""
    try:
        number = operator.index(value)
    except TypeError:
        raise SettingError(f"{name}: expected a whole number, not {value!r}") from None
    if not least <= number < 1 << 31:
        raise SettingError(f"{name}: expected a number from {least}, not {value!r}")
    return number


def _size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    sides = list(size) if isinstance(size, (list, tuple, np.ndarray)) else [size]
    if len(sides) == 1:
        sides *= 2
    if len(sides) != 2:
        raise SettingError(f"imgsz: expected a number, or height and width, not {size!r}")
    height, width = (_whole("imgsz", side, 1) for side in sides)
    return height, width


def _only(options: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in names}


def _batches(sources: Sources, size: int) -> Iterator[list[Loaded]]:
    waiting: list[Loaded] = []
    for image in sources:
        waiting.append(image)
        # A live frame is old by the time that its batch is full.
        if len(waiting) >= size or image.is_live:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


def _predict(predictor: _native.Predictor, images: list[Loaded]) -> list[_native.Detections]:
    colors = {image.color for image in images}
    if len(colors) == 1:
        return predictor.predict([image.image for image in images], colors.pop())
    return [predictor.predict([image.image], image.color)[0] for image in images]


def _log(result: Results, found: _native.Detections, count: int, total: int | None) -> None:
    height, width = found.input_size
    time = sum(result.speed.values())
    of = "" if total is None else f"/{total}"
    LOGGER.info(
        "image %d%s %s: %dx%d %s, %.1fms", count, of, result.path, height, width, result.verbose(), time
    )
