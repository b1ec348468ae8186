"""Tests that one of ``rotations`` turns a picture back, and that the edge's value fills corners."""

from typing import Any

import cv2
import numpy as np
import pytest

from entrenous.fingerprint.borders import luma_thumbnail
from entrenous.fingerprint.crops import ANGLES_DEG, rotations


@pytest.mark.parametrize("degrees", ANGLES_DEG)
def test_one_angle_undoes_the_rotation(photographs: dict[str, Any], degrees: float) -> None:
    grey = luma_thumbnail(photographs["astronaut"])
    height, width = grey.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1.0)
    back = rotations(cv2.warpAffine(grey, matrix, (width, height)))
    middle = (slice(128, -128), slice(128, -128))
    off = [float(np.abs(one[middle] - grey[middle]).mean()) for one in back]
    assert int(np.argmin(off)) == ANGLES_DEG.index(degrees)
    assert min(off) < 6


def test_corners_replicate_the_edge() -> None:
    assert np.allclose(rotations(np.full((40, 70), 90.0, dtype=np.float32)), 90)
