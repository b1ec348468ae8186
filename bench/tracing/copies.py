"""Measure how visible a mark is: compare a copy with the picture that it was made from."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

from bench.attacks.kinds import Rgb
from bench.attacks.save import jpeg, load
from bench.photographs import PHOTOGRAPHS, Size
from bench.tracing.memory_sender import decoded, sender
from entrenous.base.limits import COPY_MARK_KEY_CONTEXT
from entrenous.base.secret import Secret
from entrenous.crypto.key_derivation import derive_key_stream
from entrenous.media.picture_writer import write_picture
from entrenous.send.copies.picture_copies import (
    PictureOriginal,
    new_mark_seed,
    prepare_original,
    write_picture_copy,
)
from entrenous.watermark.chip_layout import key_stream_bytes
from entrenous.watermark.embed import embed_mark

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
_JUDGED_PX: Final = 1_600  # SSIMULACRA2 in NumPy is slow: only the middle is compared


@dataclass(frozen=True, slots=True)
class Quality:
    """The similarity of one copy to the sender's decoded picture.

    ``psnr_mark_db``, ``ssim_mark`` and ``ssimulacra2_mark`` are of the marked samples before they
    are encoded; ``psnr_written_db``, ``ssim`` and ``ssimulacra2`` are of the file as sent.
    ``ssimulacra2_q95`` is of the unmarked picture, saved as a JPEG of quality 95. SSIM is that of
    Wang et al. 2004, computed from the luma with a Gaussian window (sigma 1.5 px).
    """

    photo: str
    size: str
    kind: str
    psnr_mark_db: float
    psnr_written_db: float
    ssim_mark: float
    ssim: float
    ssimulacra2_mark: float | None = None
    ssimulacra2: float | None = None
    ssimulacra2_q95: float | None = None


def quality(photo: str, size: Size, seed: int, *, perceptual: bool) -> Quality:
    """Measure one copy; ``perceptual`` adds SSIMULACRA2, which takes seconds.

    Raises:
        FileNotFoundError, TooSmall: the photograph is not available at this size.
    """
    device = sender(f"quality {photo} {size} {seed}")
    original = prepare_original(PHOTOGRAPHS[photo].file_at(size), None, device)
    key = new_mark_seed(device)
    plain, marked = np.asarray(original.picture), marked_samples(original, key)
    written = decoded(write_picture_copy(original, key))
    seen = (
        [ssimulacra2(plain, one) for one in (marked, written, load(jpeg(95)(plain)))]
        if perceptual
        else [None] * 3
    )
    return Quality(
        photo,
        size.value,
        PHOTOGRAPHS[photo].kind.value,
        psnr(plain, marked),
        psnr(plain, written),
        ssim(plain, marked),
        ssim(plain, written),
        *seen,
    )


def marked_samples(original: PictureOriginal, key: Secret) -> Rgb:
    """Return a copy's samples as :func:`write_picture_copy` marks them, before they are encoded.

    Raises:
        AssertionError: the file that these samples give when encoded differs from the one that
            :func:`write_picture_copy` returns.
    """
    size = key_stream_bytes(original.picture.width_px, original.picture.height_px)
    key_stream = derive_key_stream(key, COPY_MARK_KEY_CONTEXT, size)
    marked = embed_mark(original.prepared, key_stream, original.dither_stream)
    written = write_picture(original.picture, marked, finer=original.finer_quality_steps)
    if written != write_picture_copy(original, key):
        raise AssertionError("what is measured is not what is sent")
    return marked


def psnr(one: Rgb, other: Rgb) -> float:
    """Return the peak signal-to-noise ratio in dB, over R, G and B."""
    error = np.mean(np.square(one.astype(np.float32) - other), dtype=np.float64)
    return float(10 * np.log10(255**2 / max(float(error), 1e-12)))


def ssim(one: Rgb, other: Rgb) -> float:
    """Return the structural similarity (SSIM) of the luma."""
    return float(
        structural_similarity(
            one @ _LUMA,
            other @ _LUMA,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def ssimulacra2(one: Rgb, other: Rgb) -> float | None:
    """Return the SSIMULACRA2 score, or None if the package is missing.

    Only the middle is compared if a side is longer than 1,600 px.
    """
    try:
        from ssimulacra2 import compute_ssimulacra2  # noqa: PLC0415 -- it need not be there
    except ModuleNotFoundError:
        return None
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("one.png", "other.png")]
        for path, rgb in zip(paths, (one, other), strict=True):
            Image.fromarray(_middle(rgb)).save(path, compress_level=1)
        return float(compute_ssimulacra2(*paths))


def _middle(rgb: Rgb) -> Rgb:
    top, left = (max(0, (side - _JUDGED_PX) // 2) for side in rgb.shape[:2])
    return np.ascontiguousarray(rgb[top : top + _JUDGED_PX, left : left + _JUDGED_PX])
