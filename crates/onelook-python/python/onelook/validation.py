"""The figures of a validation, with the names that users of the reference know."""

from __future__ import annotations

from typing import Any

__all__ = ["BoxMetrics", "Metrics"]


class BoxMetrics:
    """Figures of boxes."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    @property
    def map(self) -> float:
        """Mean average precision over IoU 0.50 to 0.95."""
        return float(self._values["stats"][0])

    @property
    def map50(self) -> float:
        """Mean average precision at IoU 0.50."""
        return float(self._values["stats"][1])

    @property
    def map75(self) -> float:
        """Mean average precision at IoU 0.75."""
        return float(self._values["stats"][2])

    @property
    def maps(self) -> list[float]:
        """Average precision over IoU 0.50 to 0.95 of each class that has objects."""
        return [float(found["map"]) for found in self._values["classes"]]

    @property
    def mp(self) -> float:
        """Mean precision at the confidence of the largest F1."""
        return float(self._values["precision"])

    @property
    def mr(self) -> float:
        """Mean recall at the confidence of the largest F1."""
        return float(self._values["recall"])


class Metrics:
    """What a validation came to; computed as pycocotools does."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values
        """All figures, as `onelook val --json` gives them."""
        self.box = BoxMetrics(values)
        """Figures of boxes."""

    @property
    def speed(self) -> dict[str, float]:
        """Milliseconds per image and stage."""
        return dict(self.values["speed"])

    @property
    def results_dict(self) -> dict[str, float]:
        """The main figures by the names of the reference."""
        return {
            "metrics/precision(B)": self.box.mp,
            "metrics/recall(B)": self.box.mr,
            "metrics/mAP50(B)": self.box.map50,
            "metrics/mAP50-95(B)": self.box.map,
        }

    def __repr__(self) -> str:
        images, instances = self.values["images"], self.values["instances"]
        figures = f"mAP50-95 {self.box.map:.4f}, mAP50 {self.box.map50:.4f}"
        return f"<onelook.Metrics {images} images, {instances} objects: {figures}>"
