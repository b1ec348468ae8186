"""Compute the evidence from two files alone, and record the versions of the programs used."""

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.base.picture import Picture
from entrenous.crypto.hashing import sha256
from entrenous.trace.picture_fit import detect_evidence
from entrenous.trace.report.nouns import ExaminedEvidence
from entrenous.watermark.alignment.features import wrap_found_picture
from entrenous.watermark.alignment.image_registration import Registration, register
from entrenous.watermark.embed import PreparedPicture, prepare_picture

# seed of OpenCV's random generator; it is fixed so that results can be repeated
_OPENCV_SEED: Final = 0


@dataclass(frozen=True, slots=True, eq=False)
class ExaminationResult:
    """The result of an examination.

    ``per_chip`` has one number per chip; ``prepared`` is the original, prepared for marking.
    """

    figures: ExaminedEvidence
    per_chip: NDArray[np.float32]
    prepared: PreparedPicture


def examine_found_picture(found: Picture, original: Picture) -> ExaminationResult | None:
    """Compute the evidence in a found picture; None if it cannot be registered to the original.

    OpenCV runs on one thread, with a fixed seed. So the same versions give the same bits on the
    same kind of processor.

    Raises:
        TooSmallToMark.
    """
    with _repeatable_opencv():
        original_rgb = np.asarray(original)
        registration = _register_found(np.asarray(found), original_rgb)
        if registration is None:
            return None
        prepared = prepare_picture(original_rgb)
        evidence = detect_evidence(found, registration, prepared)
        per_chip = np.ascontiguousarray(evidence.per_chip, "<f4")
    figures = ExaminedEvidence(
        homography=registration.warp.homography,
        inliers=registration.inliers,
        misfit=registration.misfit,
        chips=per_chip.size,
        evidence_sha256=sha256(per_chip.tobytes()),
    )
    return ExaminationResult(figures, per_chip, prepared)


def _register_found(
    found_rgb: NDArray[np.uint8], original_rgb: NDArray[np.uint8]
) -> Registration | None:
    """Register the found picture with quick methods or, if these fail, with slow ones."""
    views = wrap_found_picture(found_rgb)
    for thorough in (False, True):
        registration = register(views, original_rgb, thorough=thorough)
        if registration is not None:
            return registration
    return None


@contextmanager
def _repeatable_opencv() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    cv2.setRNGSeed(_OPENCV_SEED)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


_RECORDED_PACKAGES: Final = {
    "entrenous": "entrenous",
    "numpy": "numpy",
    "scipy": "scipy",
    "pillow": "pillow",
}


def program_versions() -> Mapping[str, str]:
    """Return the versions of the programs used, by name.

    ``simd`` lists the processor extensions that NumPy uses, because the last bits of its sums
    depend on them. ``program`` is the SHA-256 of Entrenous's source files.
    """
    return {
        **{name: version(package) for name, package in _RECORDED_PACKAGES.items()},
        "opencv": cv2.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processors": str(os.cpu_count()),
        "simd": " ".join(np.show_config(mode="dicts")["SIMD Extensions"]["found"]),
        "program": program_sha256(),
    }


@cache
def program_sha256() -> str:
    """Return the SHA-256, in hexadecimal, of a sorted list of source files and their SHA-256."""
    lines = sorted(
        f"{path} {sha256(data).hex()}\n" for path, data in _source_files(files("entrenous"))
    )
    return sha256("".join(lines).encode()).hex()


def _source_files(folder: Traversable, under: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        path = f"{under}{entry.name}"
        if entry.is_dir():
            yield from _source_files(entry, f"{path}/")
        elif path.endswith(".py"):
            yield path, entry.read_bytes()
