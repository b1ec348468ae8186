"""The JPEG that is imitated is the JPEG that encoders write."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from entrenous.craft.mark.recode import coded


@pytest.mark.parametrize("quality", [30, 50, 85])
def test_coding_equals_a_real_encoder(quality: int) -> None:
    grey = skimage.data.camera()[:301, :275]
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "JPEG", quality=quality)
    with Image.open(file) as picture:
        real, table = np.asarray(picture), picture.quantization[0]
    imitated = np.rint(coded(grey.astype(np.float32), table))
    assert np.mean(np.abs(imitated - real) <= 1) > 0.97
    assert np.abs(imitated - real).mean() < 0.05 * np.abs(grey.astype(float) - real).mean() + 0.1


def test_a_table_of_zeros_does_not_divide_by_zero() -> None:
    plane = np.full((9, 17), 100.0, np.float32)
    assert np.allclose(coded(plane, [0] * 64), 100.0, atol=1.0)
