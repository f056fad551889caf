"""Results of a run as files, where users of the reference look for them: `runs/TASK/predict`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
    style: dict[str, bool]

    def write(self, result: Results) -> None:
        """Writes what was asked for."""
        result.save_dir = str(self.directory)
        stem = Path(result.path).stem or "image"
        if result.frame is not None:
            stem = f"{stem}_{result.frame}"
        if self.images:
            ending = ".png" if result.path.lower().endswith(".png") else ".jpg"
            result.save(self.directory / f"{stem}{ending}", **self.style)
        if self.labels:
            result.save_txt(self.directory / "labels" / f"{stem}.txt", self.with_confidence)
        if self.crops:
            result.save_crop(self.directory / "crops", f"{stem}.jpg")


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
