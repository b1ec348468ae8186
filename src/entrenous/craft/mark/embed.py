"""Put one copy's mark into a picture."""

from collections.abc import Sequence

import cv2
import numpy as np

from entrenous.craft.mark.code import chips
from entrenous.craft.mark.lay_on import Canvas, canvas, lay_on
from entrenous.craft.mark.luma import Pixels
from entrenous.craft.mark.prepare import Prepared


def embed(prepared: Prepared, copy_stream: bytes, dither_stream: bytes) -> Pixels:
    """The picture with one copy's mark added to its luma, (H, W, 3) uint8.

    The same whole number is added to R, G and B. It is the mark plus a uniform dither, rounded
    down; all copies of a message share the dither, so that averaging copies does not round their
    marks away (docs/spec/mark.md, section 4).

    Args:
        prepared: the picture.
        copy_stream: ``code.stream_bytes`` uniform bytes, for this copy alone.
        dither_stream: ``code.dither_bytes`` uniform bytes, for this message alone.

    Raises:
        ValueError: a stream is too short.
    """
    marked = canvas(*prepared.layout.full)
    paint(prepared, colours(prepared), copy_stream, dither_stream, onto=marked)
    return np.ascontiguousarray(marked.pixels[:, :, :3])


def colours(prepared: Prepared) -> tuple[Pixels, ...]:
    """The picture's red, green and blue, (H, W) uint8 each: taken apart once for all copies."""
    return tuple(np.asarray(plane, np.uint8) for plane in cv2.split(prepared.pixels_rgb))


def paint(
    prepared: Prepared,
    apart: Sequence[Pixels],
    copy_stream: bytes,
    dither_stream: bytes,
    *,
    onto: Canvas,
) -> None:
    """As :func:`embed`, onto a canvas that can be used again for the next copy.

    Encoders take four channels without a copy of their own, and memory that is used again need not
    be cleared first: at 12 megapixels that is half the cost of a copy. ``apart`` is what
    :func:`colours` gives.

    Raises:
        ValueError: a stream is too short.
    """
    rows, columns = prepared.layout.full
    if len(dither_stream) < rows * columns:
        raise ValueError(f"this picture needs {rows * columns} bytes of dither")
    mark = prepared.pattern(chips(copy_stream, prepared.layout.chips))
    dither = np.frombuffer(dither_stream, np.uint8, rows * columns).reshape(rows, columns)
    lay_on(apart, mark, dither, onto)
