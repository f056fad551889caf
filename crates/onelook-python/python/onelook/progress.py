"""A progress bar by tqdm, where it is installed and somebody looks."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["bar"]


class _Nothing:
    total: int | None = None

    def update(self, count: int = 1) -> None:
        """Shows nothing."""

    def refresh(self) -> None:
        """Shows nothing."""

    def close(self) -> None:
        """Shows nothing."""


def bar(wanted: bool | None, total: int | None, words: str, unit: str = "image") -> Any:
    """A bar, or nothing: by default where there is more than one image and a terminal or notebook."""
    is_long = total is None or total > 1
    is_seen = sys.stderr.isatty() or "ipykernel" in sys.modules
    if wanted is False or (wanted is None and not (is_long and is_seen)):
        return _Nothing()
    try:
        from tqdm.auto import tqdm
    except ImportError:
        if wanted:
            raise ImportError("progress=True needs tqdm: pip install tqdm") from None
        return _Nothing()
    return tqdm(total=total, desc=words, unit=unit)
