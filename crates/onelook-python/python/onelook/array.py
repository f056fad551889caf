"""NumPy arrays with the few methods of tensors that scripts for PyTorch call on results."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

__all__ = ["Array"]


class Array(np.ndarray):
    """A NumPy array on which `.cpu()`, `.numpy()` and the like may be called.

    It shares its memory with the array that it was made of. An array of one element is a number, as
    tensors are: `int(box.cls)`.
    """

    def __int__(self) -> builtins.int:
        return builtins.int(self.item())

    def __float__(self) -> builtins.float:
        return builtins.float(self.item())

    def cpu(self) -> Array:
        """The same array: it is in the computer's memory already."""
        return self

    def cuda(self, *_: Any, **__: Any) -> Array:
        """The same array."""
        return self

    def detach(self) -> Array:
        """The same array."""
        return self

    def to(self, *_: Any, **__: Any) -> Array:
        """The same array."""
        return self

    def numpy(self) -> np.ndarray[Any, Any]:
        """The same memory as a plain NumPy array."""
        return self.view(np.ndarray)

    def int(self) -> Array:
        """As 32-bit integers."""
        return self.astype(np.int32).view(Array)

    def long(self) -> Array:
        """As 64-bit integers."""
        return self.astype(np.int64).view(Array)

    def float(self) -> Array:
        """As 32-bit floating point."""
        return self.astype(np.float32).view(Array)

    def bool(self) -> Array:
        """As truth values."""
        return self.astype(np.bool_).view(Array)

    def numel(self) -> Any:
        """How many elements there are."""
        return self.size


def array(values: Any) -> Array:
    """The values' own memory, where they are an array."""
    return np.asarray(values).view(Array)
