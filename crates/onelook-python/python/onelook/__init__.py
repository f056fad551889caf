"""Object detection with YOLO11 and its family.

    import onelook

    model = onelook.Model("yolo11n.pt")
    for result in model("bus.jpg"):
        print(result.boxes.xyxy, result.boxes.conf, result.boxes.cls)
"""

from . import errors
from ._native import __version__, devices
from .array import Array
from .errors import OnelookError
from .model import Model
from .results import OBB, Boxes, Keypoints, Masks, Probs, Results
from .validation import Metrics

YOLO = Model
"""The name that scripts for the reference use."""

__all__ = [
    "OBB",
    "YOLO",
    "Array",
    "Boxes",
    "Keypoints",
    "Masks",
    "Metrics",
    "Model",
    "OnelookError",
    "Probs",
    "Results",
    "__version__",
    "devices",
    "errors",
]
