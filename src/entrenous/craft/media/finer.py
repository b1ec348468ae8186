"""How much finer than its original must a copy be written, to stay as near to it as it has to?"""

import io
import math
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from entrenous.craft.media.form import PSNR_DB_LEAST, STEPS
from entrenous.craft.media.write import image_of, write_picture
from entrenous.model.picture import Picture

_BAND_PX: Final = 32  # a multiple of 16, the tallest block of a JPEG: bands are coded as they lie
_SAMPLE_PX: Final = 1_500_000

Pixels = NDArray[np.uint8]


def finer_needed(picture: Picture, trial: Pixels) -> int:
    """The fewest steps with which a copy keeps ``PSNR_DB_LEAST`` to the original's pixels.

    Of a large picture bands are encoded, not the whole. When no step is fine enough (the mark alone
    may use up nearly all there is), the finest one.

    Args:
        picture: the original.
        trial: (H, W, 3 or 4) uint8, a copy of it that nobody gets, marked as strongly as others.
    """
    steps = STEPS.get(picture.encoding.format.written, 1)
    if steps == 1 or picture.encoding.lossless:
        return 0
    sample, marked = _bands(picture, trial)
    want = _seen(image_of(sample))
    for finer in range(steps - 1):
        with Image.open(io.BytesIO(write_picture(sample, marked, finer=finer))) as written:
            if _psnr_db(want, _seen(written)) >= PSNR_DB_LEAST:  # our own bytes, no stranger's
                return finer
    return steps - 1


def _bands(picture: Picture, trial: Pixels) -> tuple[Picture, Pixels]:
    """Bands of whole rows, spread evenly, laid under one another."""
    rows = max(_BAND_PX, _SAMPLE_PX // picture.width_px)
    count = rows // _BAND_PX
    if picture.height_px <= rows:
        return picture, trial
    tops = np.linspace(0, picture.height_px // _BAND_PX - 1, count, dtype=int) * _BAND_PX
    taken = (tops[:, None] + np.arange(_BAND_PX)).ravel()
    alpha = None
    if picture.alpha is not None:
        rows_of_alpha = np.frombuffer(picture.alpha, np.uint8).reshape(picture.height_px, -1)
        alpha = rows_of_alpha[taken].tobytes()
    samples = np.asarray(picture)[taken].tobytes()
    return replace(picture, height_px=taken.size, samples=samples, alpha=alpha), trial[taken]


def _seen(image: Image.Image) -> Pixels:
    """Its colours; what is transparent shows white paper."""
    if image.mode not in ("RGBA", "LA"):
        return np.asarray(image.convert("RGB"))
    paper = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(paper, image.convert("RGBA")).convert("RGB"))


def _psnr_db(want: Pixels, got: Pixels) -> float:
    error = cv2.norm(want, got, cv2.NORM_L2SQR) / want.size
    return math.inf if error == 0.0 else 10.0 * math.log10(255.0**2 / error)
