"""A copy is encoded like its original, and finer only as far as necessary."""

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
from tests.media.conftest import Write

NAMES = ["jpeg", "jpeg-progressive", "jpeg-cmyk", "jpeg-grey", "webp", "heic", "avif"]


def marked(picture: Picture, seed: int = 1) -> NDArray[np.uint8]:
    """Add equal noise to all channels, for a PSNR of about 45 dB, like that of a mark."""
    noise = np.random.default_rng(seed).normal(0, 1.38, (picture.height_px, picture.width_px, 1))
    return np.clip(np.rint(np.asarray(picture) + noise), 0, 255).astype(np.uint8)


def psnr_db(picture: Picture, data: bytes) -> float:
    seen = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float)
    return 10 * math.log10(255**2 / max(1e-9, np.mean((np.asarray(picture) - seen) ** 2)))


@pytest.mark.parametrize("name", NAMES)
def test_every_copy_reaches_the_promised_psnr(name: str, files: dict[str, bytes]) -> None:
    picture = read_picture(files[name])
    finer = quality_steps_needed(picture, marked(picture, 1))
    assert psnr_db(picture, write_picture(picture, marked(picture, 2), finer=finer)) >= 42.0


@pytest.mark.parametrize("name", [*NAMES, "png", "webp-lossless", "gif", "tiff"])
def test_same_picture_needs_the_same_step(name: str, files: dict[str, bytes]) -> None:
    picture = read_picture(files[name])
    finer = quality_steps_needed(picture, marked(picture))
    assert finer == quality_steps_needed(read_picture(files[name]), marked(picture))
    assert finer < QUALITY_STEP_COUNTS.get(picture.encoding.format.copy_format, 1)


@pytest.mark.parametrize("quality", [76, 88, 95])
def test_a_jpeg_keeps_its_own_tables_where_they_fit(
    quality: int, photo: Image.Image, write: Write
) -> None:
    """Coefficients already lie on the grid of these tables, so encoding hardly costs quality."""
    picture = read_picture(write(photo, "JPEG", quality=quality, subsampling="4:4:4"))
    assert quality_steps_needed(picture, marked(picture)) == 0


def test_a_jpeg_made_smaller_is_written_finer(astronaut: NDArray[np.uint8], write: Write) -> None:
    large = read_picture(write(Image.fromarray(astronaut), "JPEG", quality=80))
    picture = shrink_picture(large, 300)
    finer = quality_steps_needed(picture, marked(picture))
    assert finer > 0
    assert psnr_db(picture, write_picture(picture, marked(picture), finer=finer)) >= 42.0
    assert psnr_db(picture, write_picture(picture, marked(picture), finer=finer - 1)) < 42.3


def test_every_step_is_finer_or_sharper(files: dict[str, bytes]) -> None:
    for name in ("heic", "webp"):
        picture = read_picture(files[name])
        steps = range(QUALITY_STEP_COUNTS[picture.encoding.format.copy_format])
        nearness = [psnr_db(picture, write_picture(picture, finer=finer)) for finer in steps]
        assert nearness == sorted(nearness)
        assert nearness[-1] > 48.0


@pytest.mark.slow
def test_bands_suffice_for_a_large_picture(astronaut: NDArray[np.uint8], write: Write) -> None:
    tiled = np.tile(astronaut, (4, 4, 1))
    picture = read_picture(write(Image.fromarray(tiled), "JPEG", quality=60))
    trial = marked(picture)
    assert (
        psnr_db(picture, write_picture(picture, trial, finer=quality_steps_needed(picture, trial)))
        > 42.0
    )


def test_alpha_is_seen_on_white(photo: Image.Image, write: Write) -> None:
    image = photo.convert("RGBA")
    image.putalpha(Image.radial_gradient("L").resize(photo.size))
    picture = read_picture(write(image, "WEBP", quality=80))
    assert picture.alpha is not None
    finer = quality_steps_needed(picture, marked(picture))
    assert 0 <= finer < QUALITY_STEP_COUNTS[PictureFormat.WEBP]
    opaque = replace(picture, alpha=None)
    assert psnr_db(opaque, write_picture(opaque, marked(opaque), finer=3)) > 42.0


@pytest.mark.parametrize("name", ["jpeg", "jpeg-grey", "png", "webp", "heic"])
def test_pixels_with_a_fourth_channel_give_the_same_file(
    name: str, files: dict[str, bytes]
) -> None:
    picture = read_picture(files[name])
    three = marked(picture)
    four = np.dstack([three, np.full(three.shape[:2], 77, np.uint8)])
    assert write_picture(picture, three) == write_picture(picture, four)
