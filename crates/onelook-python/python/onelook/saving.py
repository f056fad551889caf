"""Results of a run as files, where users of the reference look for them: `runs/TASK/predict`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import _native
from .results import Results

__all__ = ["Saving", "run_directory"]


@dataclass
class Saving:
    """What is written of each result, and where."""

    directory: Path
    images: bool
    labels: bool
    crops: bool
    with_confidence: bool
    style: dict[str, Any]

    _taken: set[str] = field(default_factory=set)
    _videos: dict[int, str] = field(default_factory=dict)

    def write(self, result: Results, index: int) -> None:
        """Writes what was asked for of a result of the source's image or video `index`."""
        result.save_dir = str(self.directory)
        stem = self._stem(result, index)
        if self.images:
            ending = ".png" if result.path.lower().endswith(".png") else ".jpg"
            result.save(self.directory / f"{stem}{ending}", **self.style)
        if self.labels:
            result.save_txt(self.directory / "labels" / f"{stem}.txt", self.with_confidence)
        if self.crops:
            result.save_crop(self.directory / "crops", f"{stem}.jpg")

    def _stem(self, result: Results, index: int) -> str:
        """A name that no other image, and no other video, of this run has."""
        if result.frame is None:
            return self._new(_native.file_stem(result.path))
        if index not in self._videos:
            self._videos[index] = self._new(_native.file_stem(result.path))
        return self._new(f"{self._videos[index]}_{result.frame}")

    def _new(self, name: str) -> str:
        stem, number = name, 1
        while stem in self._taken:
            number += 1
            stem = f"{name}-{number}"
        self._taken.add(stem)
        return stem


def run_directory(project: str | Path, name: str, exist_ok: bool) -> Path:
    """Makes `project/name`, or `name-2` and so on where it exists already."""
    number = 1
    while True:
        path = Path(project) / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True, exist_ok=exist_ok)
            return path
        except FileExistsError:
            if path.exists() and not path.is_dir():
                raise
            number += 1
