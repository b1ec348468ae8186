"""Write a picture: samples and colour numbers, nothing else (docs/spec/pictures.md, section 5).

This module also determines how much more finely than the original a copy must be encoded, so that
both look the same.
"""

import io
import math
import os
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from entrenous.base.picture import Picture, PictureEncoding, PictureFormat

_MODE_BY_CHANNELS: Final = {3: "RGB", 4: "RGBX"}


def write_picture(
    picture: Picture, pixels: NDArray[np.uint8] | None = None, *, finer: int = 0
) -> bytes:
    """Encode a file in ``picture.encoding.format.copy_format``. Several threads may write at once.

    Args:
        picture: the picture; its alpha, profile and encoding are kept.
        pixels: (H, W, 3) uint8, which are written in place of the picture's samples and have the
            same size. A fourth channel is allowed and ignored, because Pillow accepts such pixels
            without copying.
        finer: by how many steps to encode more finely than the original (see
            :func:`quality_steps_needed`).

    Raises:
        ValueError: ``pixels`` has a different shape or type than the picture.
    """
    image = image_of(picture, pixels)
    options = _encoder_options(picture.encoding, finer)
    with _new_memory_file() as out:
        image.save(out, picture.encoding.format.copy_format, icc_profile=picture.profile, **options)
        out.seek(0)
        return out.read()


def image_of(picture: Picture, pixels: NDArray[np.uint8] | None = None) -> Image.Image:
    """Return the image that :func:`write_picture` encodes.

    The image is grey if the original is grey, and is put on white if the format has no alpha.

    Raises:
        ValueError: as :func:`write_picture`.
    """
    image = _colour_samples(picture, pixels)
    if picture.encoding.grey and picture.profile is None:
        image = image.convert("L")
    if picture.alpha is None and picture.encoding.format.copy_format is PictureFormat.JPEG:
        return image
    if image.mode == "RGBX":
        image = image.convert("RGB")
    if picture.alpha is None:
        return image
    size = (picture.width_px, picture.height_px)
    alpha = Image.frombuffer("L", size, picture.alpha, "raw", "L", 0, 1)
    if picture.encoding.format.copy_format is PictureFormat.JPEG:
        return _on_white(image, alpha)
    image.putalpha(alpha)
    return image


def _colour_samples(picture: Picture, pixels: NDArray[np.uint8] | None) -> Image.Image:
    size = (picture.width_px, picture.height_px)
    if pixels is None:
        return Image.frombuffer("RGB", size, picture.samples, "raw", "RGB", 0, 1)
    if pixels.shape[:2] != size[::-1] or pixels.shape[2:] not in ((3,), (4,)):
        raise ValueError("pixels must be height x width x 3 or 4 numbers")
    if pixels.dtype != np.uint8:
        raise ValueError("pixels must be of type uint8")
    layout = _MODE_BY_CHANNELS[pixels.shape[2]]
    return Image.frombuffer(layout, size, np.ascontiguousarray(pixels), "raw", layout, 0, 1)


def _on_white(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Put the picture on white, as a page would show it, because JPEG has no alpha."""
    white = Image.new(image.mode, image.size, "white")
    white.paste(image, mask=alpha)
    return white


def _encoder_options(encoding: PictureEncoding, finer: int) -> dict[str, Any]:
    if encoding.format.copy_format is PictureFormat.JPEG:
        return jpeg_options(encoding, finer)
    if encoding.format.copy_format is PictureFormat.WEBP:
        return webp_options(encoding, finer)
    return {"compress_level": 6}


def _new_memory_file() -> BinaryIO:
    """Return an anonymous file in memory.

    Pillow releases the interpreter lock while it writes to a descriptor, so all processors can
    encode.
    """
    if hasattr(os, "memfd_create"):  # memfd_create exists on Linux only
        return os.fdopen(os.memfd_create("copy"), "w+b")
    return io.BytesIO()


PSNR_DB_MIN: Final = 42.2  # over red, green and blue; the documentation promises 42
FALLBACK_QUALITY: Final = 92  # used if the original's tables are unknown, or too coarse for a copy
# Sum of the luma table of ITU-T T.81, table K.1, scaled to libjpeg's quality 75. Coarser tables
# would weaken the mark: with the tables of quality 50, a copy's score is halved.
_LUMA_TABLE_SUM_MAX: Final = 1860


@dataclass(frozen=True, slots=True)
class QualityStep:
    """A quality of libjpeg or libwebp; ``sharp`` means full-size chroma or, for WebP, lossless."""

    quality: int
    sharp: bool = False


_JPEG_STEPS: Final = (
    QualityStep(FALLBACK_QUALITY),
    QualityStep(96),
    QualityStep(98),
    QualityStep(97, sharp=True),
    QualityStep(98, sharp=True),
    QualityStep(99, sharp=True),
    QualityStep(100, sharp=True),
)
_WEBP_STEPS: Final = (
    QualityStep(FALLBACK_QUALITY),
    QualityStep(96),
    QualityStep(100),
    QualityStep(100, sharp=True),
)
QUALITY_STEP_COUNTS: Final = {
    PictureFormat.JPEG: len(_JPEG_STEPS),
    PictureFormat.WEBP: len(_WEBP_STEPS),
}


def jpeg_options(encoding: PictureEncoding, finer: int) -> dict[str, Any]:
    """Return Pillow's options for a JPEG; ``finer`` is as in :func:`write_picture`."""
    own = encoding.subsampling or "4:4:4"
    if finer == 0 and encoding.tables and sum(encoding.tables[0]) <= _LUMA_TABLE_SUM_MAX:
        tables = [list(table) for _, table in sorted(encoding.tables.items())]
        return {"qtables": tables, "subsampling": own}
    step = _JPEG_STEPS[min(finer, len(_JPEG_STEPS) - 1)]
    return {"quality": step.quality, "subsampling": "4:4:4" if step.sharp else own}


def webp_options(encoding: PictureEncoding, finer: int) -> dict[str, Any]:
    step = _WEBP_STEPS[min(finer, len(_WEBP_STEPS) - 1)]
    if encoding.lossless or step.sharp:
        return {"lossless": True, "exact": True, "quality": 50, "method": 4}
    return {"quality": step.quality, "method": 4}


# a multiple of 16, the largest block of a JPEG, so that a band is coded as in the whole picture
_BAND_ROWS: Final = 32
_COMPARED_SAMPLE_PIXELS: Final = 1_500_000
Pixels = NDArray[np.uint8]


def quality_steps_needed(picture: Picture, trial: Pixels) -> int:
    """Return the fewest steps with which a copy's PSNR is at least ``PSNR_DB_MIN``.

    For a large picture, only some bands are encoded. The mark alone may cause nearly all of the
    error that is allowed, so it may be that no step is fine enough. Then the finest one is
    returned.

    Args:
        picture: the original.
        trial: (H, W, 3 or 4) uint8, a copy with a trial mark, which is as strong as other marks.
    """
    steps = QUALITY_STEP_COUNTS.get(picture.encoding.format.copy_format, 1)
    if steps == 1 or picture.encoding.lossless:
        return 0
    sample, marked = _sample_bands(picture, trial)
    want = _on_white_rgb(image_of(sample))
    for finer in range(steps - 1):
        # these bytes were written by this process, so they may be decoded without a sandbox
        with Image.open(io.BytesIO(write_picture(sample, marked, finer=finer))) as written:
            if _psnr_db(want, _on_white_rgb(written)) >= PSNR_DB_MIN:
                return finer
    return steps - 1


def _sample_bands(picture: Picture, trial: Pixels) -> tuple[Picture, Pixels]:
    """Return bands of whole rows, evenly spread over the picture, one below the other."""
    rows = max(_BAND_ROWS, _COMPARED_SAMPLE_PIXELS // picture.width_px)
    count = rows // _BAND_ROWS
    if picture.height_px <= rows:
        return picture, trial
    tops = np.linspace(0, picture.height_px // _BAND_ROWS - 1, count, dtype=int) * _BAND_ROWS
    taken = (tops[:, None] + np.arange(_BAND_ROWS)).ravel()
    alpha = None
    if picture.alpha is not None:
        rows_of_alpha = np.frombuffer(picture.alpha, np.uint8).reshape(picture.height_px, -1)
        alpha = rows_of_alpha[taken].tobytes()
    samples = np.asarray(picture)[taken].tobytes()
    return replace(picture, height_px=taken.size, samples=samples, alpha=alpha), trial[taken]


def _on_white_rgb(image: Image.Image) -> Pixels:
    """Return the colours of an image on white."""
    if image.mode not in ("RGBA", "LA"):
        return np.asarray(image.convert("RGB"))
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))


def _psnr_db(want: Pixels, got: Pixels) -> float:
    error = cv2.norm(want, got, cv2.NORM_L2SQR) / want.size
    return math.inf if error == 0.0 else 10.0 * math.log10(255.0**2 / error)
