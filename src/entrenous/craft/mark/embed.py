"""Put one copy's mark into a picture."""

from typing import Final

import cv2
import numpy as np

from entrenous.craft.mark.code import chips
from entrenous.craft.mark.luma import Pixels
from entrenous.craft.mark.prepare import Prepared
from entrenous.craft.mark.weave import enlarged

_STEPS: Final = 256  # of the dither: one byte per pixel


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
    rows, columns = prepared.layout.full
    if len(dither_stream) < rows * columns:
        raise ValueError(f"this picture needs {rows * columns} bytes of dither")
    mark = enlarged(prepared.pattern(chips(copy_stream, prepared.layout.chips)), (rows, columns))
    dither = np.frombuffer(dither_stream, np.uint8, rows * columns).reshape(rows, columns)
    steps = np.rint(mark * np.float32(_STEPS)).astype(np.int16)
    steps += dither
    steps >>= 8  # an arithmetic shift rounds down, for negative numbers too
    return np.asarray(
        cv2.add(prepared.pixels_rgb, cv2.merge([steps] * 3), dtype=cv2.CV_8U), np.uint8
    )
