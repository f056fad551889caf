"""Results as HTML, for notebooks."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING

from . import _native

if TYPE_CHECKING:
    from .results import Results

_MOST_ROWS = 20


def html(result: Results) -> str:
    """The annotated image beside a table of its objects."""
    jpeg = base64.b64encode(_native.encode_jpeg(result.plot(), "bgr", 85)).decode()
    objects = result.summary()
    rows = "".join(_row(number, found) for number, found in enumerate(objects[:_MOST_ROWS]))
    more = len(objects) - _MOST_ROWS
    rest = f"<tr><td colspan=4>and {more} more</td></tr>" if more > 0 else ""
    speed = ", ".join(f"{name} {value:.1f} ms" for name, value in result.speed.items())
    height, width = result.orig_shape
    return (
        '<div style="display:flex;gap:1em;flex-wrap:wrap;align-items:flex-start">'
        f'<img style="max-width:min(640px,100%)" alt="{escape(result.verbose())}" '
        f'src="data:image/jpeg;base64,{jpeg}">'
        f"<div><b>{escape(result.path)}</b>, {width}x{height}: {escape(result.verbose())}"
        "<table><tr><th>#</th><th>class</th><th>confidence</th><th>box</th></tr>"
        f"{rows}{rest}</table><small>{escape(speed)}</small></div></div>"
    )


def _row(number: int, found: dict[str, object]) -> str:
    box = found.get("box")
    place = ", ".join(f"{value:.0f}" for value in box.values()) if isinstance(box, dict) else ""
    name = escape(str(found["name"]))
    if "track_id" in found:
        name += f" {found['track_id']}"
    return f"<tr><td>{number}</td><td>{name}</td><td>{found['confidence']:.2f}</td><td>{place}</td></tr>"
