"""What two files alone say: how the found one lies on the original, and its evidence.

No key, label or score comes in here; a report and its check both begin with this
(docs/spec/report.md, section 3).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from entrenous.craft.align.look import looks
from entrenous.craft.align.register import Registration, register
from entrenous.craft.crypto.hashing import sha256
from entrenous.craft.mark.prepare import Prepared, prepare
from entrenous.model.picture import Picture
from entrenous.model.report import Examined
from entrenous.trace.photo.hear import hear

_SEED: Final = 0  # of OpenCV's own choices; the same for everybody


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What was examined: its figures, one number per chip, and the original made ready to be
    marked.
    """

    figures: Examined
    per_chip: NDArray[np.float32]
    prepared: Prepared


def examine(found: Picture, original: Picture) -> Evidence | None:
    """The evidence of a found picture; None when it does not lie on the original.

    On one thread, so that the same versions on the same kind of processor give the same bits.

    Raises:
        TooSmallToMark.
    """
    with _one_thread():
        original_rgb = np.asarray(original)
        registration = _registered(np.asarray(found), original_rgb)
        if registration is None:
            return None
        prepared = prepare(original_rgb)
        heard = hear(found, registration, prepared)
        per_chip = np.ascontiguousarray(heard.per_chip, "<f4")
    figures = Examined(
        homography=registration.warp.homography,
        inliers=registration.inliers,
        misfit=registration.misfit,
        chips=per_chip.size,
        evidence_sha256=sha256(per_chip.tobytes()),
    )
    return Evidence(figures, per_chip, prepared)


def _registered(
    found_rgb: NDArray[np.uint8], original_rgb: NDArray[np.uint8]
) -> Registration | None:
    """Quickly if that does, as a trace does it; else with all patience."""
    looked = looks(found_rgb)
    for patient in (False, True):
        registration = register(looked, original_rgb, thorough=patient)
        if registration is not None:
            return registration
    return None


@contextmanager
def _one_thread() -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    cv2.setRNGSeed(_SEED)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
