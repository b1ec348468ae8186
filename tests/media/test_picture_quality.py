"""Tests of the quality steps that a copy needs, and of the PSNR that the copy reaches."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from entrenous.base.picture import Picture, PictureFormat
from entrenous.media.picture_reader import read_picture
from entrenous.media.picture_writer import QUALITY_STEP_COUNTS, quality_steps_needed, write_picture
from entrenous.media.resize import shrink_picture
from tests.media.conftest import EncodeImage

LOSSY_FILE_NAMES = ["jpeg", "jpeg-progressive", "jpeg-cmyk", "jpeg-grey", "webp", "heic", "avif"]


def with_noise(picture: Picture, seed: int = 1) -> NDArray[np.uint8]:
    """Return the pixels with the same noise in each channel, at a PSNR of about 45 dB."""
    noise = np.random.default_rng(seed).normal(0, 1.38, (picture.height_px, picture.width_px, 1))
    return np.clip(np.rint(np.asarray(picture) + noise), 0, 255).astype(np.uint8)


def psnr_db(picture: Picture, data: bytes) -> float:
    seen = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float)
    return 10 * math.log10(255**2 / max(1e-9, np.mean((np.asarray(picture) - seen) ** 2)))


@pytest.mark.parametrize("name", LOSSY_FILE_NAMES)
def test_noisy_copy_reaches_the_promised_psnr(name: str, picture_files: dict[str, bytes]) -> None:
    picture = read_picture(picture_files[name])
    finer = quality_steps_needed(picture, with_noise(picture, 1))
    assert psnr_db(picture, write_picture(picture, with_noise(picture, 2), finer=finer)) >= 42.0


@pytest.mark.parametrize("name", [*LOSSY_FILE_NAMES, "png", "webp-lossless", "gif", "tiff"])
def test_step_needed_is_reproducible_and_in_range(
    name: str, picture_files: dict[str, bytes]
) -> None:
    picture = read_picture(picture_files[name])
    finer = quality_steps_needed(picture, with_noise(picture))
    assert finer == quality_steps_needed(read_picture(picture_files[name]), with_noise(picture))
    assert finer < QUALITY_STEP_COUNTS.get(picture.encoding.format.copy_format, 1)


@pytest.mark.parametrize("quality", [76, 88, 95])
def test_jpeg_of_sufficient_quality_needs_no_finer_step(
    quality: int, photo: Image.Image, encode_image: EncodeImage
) -> None:
    """Encoding again with the picture's own tables loses little."""
    picture = read_picture(encode_image(photo, "JPEG", quality=quality, subsampling="4:4:4"))
    assert quality_steps_needed(picture, with_noise(picture)) == 0


def test_resized_jpeg_needs_a_finer_step(
    astronaut: NDArray[np.uint8], encode_image: EncodeImage
) -> None:
    large = read_picture(encode_image(Image.fromarray(astronaut), "JPEG", quality=80))
    picture = shrink_picture(large, 300)
    finer = quality_steps_needed(picture, with_noise(picture))
    assert finer > 0
    assert psnr_db(picture, write_picture(picture, with_noise(picture), finer=finer)) >= 42.0
    assert psnr_db(picture, write_picture(picture, with_noise(picture), finer=finer - 1)) < 42.3


def test_finer_steps_never_lower_the_psnr(picture_files: dict[str, bytes]) -> None:
    for name in ("heic", "webp"):
        picture = read_picture(picture_files[name])
        steps = range(QUALITY_STEP_COUNTS[picture.encoding.format.copy_format])
        psnrs_db = [psnr_db(picture, write_picture(picture, finer=finer)) for finer in steps]
        assert psnrs_db == sorted(psnrs_db)
        assert psnrs_db[-1] > 48.0


@pytest.mark.slow
def test_step_chosen_for_a_large_picture_reaches_the_psnr(
    astronaut: NDArray[np.uint8], encode_image: EncodeImage
) -> None:
    tiled = np.tile(astronaut, (4, 4, 1))
    picture = read_picture(encode_image(Image.fromarray(tiled), "JPEG", quality=60))
    trial = with_noise(picture)
    assert (
        psnr_db(picture, write_picture(picture, trial, finer=quality_steps_needed(picture, trial)))
        > 42.0
    )


def test_step_needed_with_alpha_is_in_range(photo: Image.Image, encode_image: EncodeImage) -> None:
    image = photo.convert("RGBA")
    image.putalpha(Image.radial_gradient("L").resize(photo.size))
    picture = read_picture(encode_image(image, "WEBP", quality=80))
    assert picture.alpha is not None
    finer = quality_steps_needed(picture, with_noise(picture))
    assert 0 <= finer < QUALITY_STEP_COUNTS[PictureFormat.WEBP]
    opaque = replace(picture, alpha=None)
    assert psnr_db(opaque, write_picture(opaque, with_noise(opaque), finer=3)) > 42.0


@pytest.mark.parametrize("name", ["jpeg", "jpeg-grey", "png", "webp", "heic"])
def test_pixels_with_a_fourth_channel_give_the_same_file(
    name: str, picture_files: dict[str, bytes]
) -> None:
    picture = read_picture(picture_files[name])
    three = with_noise(picture)
    four = np.dstack([three, np.full(three.shape[:2], 77, np.uint8)])
    assert write_picture(picture, three) == write_picture(picture, four)
