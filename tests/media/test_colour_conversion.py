"""Profiles that decide what a picture shows are applied; usual ones are kept."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from entrenous.media.colour_conversion import colour_conversion_of, keeping_detail
from entrenous.media.icc_profile import MatrixProfile, is_usual, write_profile
from entrenous.media.picture_reader import read_picture
from tests.media.hidden_pictures import HIDING_PROFILES, SAW_CURVE
from tests.media.test_icc_profile import (
    ADOBE_RGB,
    DISPLAY_P3,
    gamma_curve,
    profile_with_planted_tags,
    xyz_bytes,
)

PROPHOTO = replace(
    ADOBE_RGB,
    columns=(
        xyz_bytes(0.79767, 0.28804, 0.0),
        xyz_bytes(0.13519, 0.71188, 0.0),
        xyz_bytes(0.03135, 0.00008, 0.82491),
    ),
    curves=(gamma_curve(1.8),) * 3,
)
REC_2020 = replace(
    DISPLAY_P3,
    columns=(
        xyz_bytes(0.67348, 0.27904, -0.00193),
        xyz_bytes(0.16567, 0.67534, 0.02999),
        xyz_bytes(0.12506, 0.04561, 0.79678),
    ),
)
USUAL_PROFILES = {
    "Adobe RGB": ADOBE_RGB,
    "Display P3": DISPLAY_P3,
    "ProPhoto RGB": PROPHOTO,
    "Rec. 2020": REC_2020,
    "linear": replace(ADOBE_RGB, curves=(b"curv\0\0\0\0\0\0\0\0",) * 3),
}


def points_curve(light: Any) -> bytes:
    values = np.round(np.asarray(light) * 65535).astype(">u2")
    return b"curv\0\0\0\0" + len(values).to_bytes(4, "big") + values.tobytes()


@pytest.mark.parametrize("how", HIDING_PROFILES)
def test_picture_that_a_profile_hides_is_read_as_people_see_it(astronaut: Any, how: str) -> None:
    hidden, samples = astronaut[:200, 100:340], 255 - astronaut[300:500, 100:340]
    picture = read_picture(HIDING_PROFILES[how](samples, hidden))
    assert picture.profile is None
    read = np.asarray(Image.fromarray(np.asarray(picture)).convert("L")).ravel()
    seen, other = (
        np.asarray(Image.fromarray(one).convert("L")).ravel() for one in (hidden, samples)
    )
    assert np.corrcoef(read, seen)[0, 1] > 0.95
    assert np.corrcoef(read, other)[0, 1] < 0.6


@pytest.mark.parametrize("name", USUAL_PROFILES)
def test_usual_profile_is_kept(name: str) -> None:
    assert is_usual(USUAL_PROFILES[name])


def test_measured_curve_with_noise_and_light_in_its_black_is_usual() -> None:
    x = np.linspace(0, 1, 1024)
    noise = np.random.default_rng(5).uniform(-1, 1, 1024) / 65535
    measured = np.clip(0.004 + 0.996 * x**2.3 + noise, 0, 1)
    assert is_usual(replace(ADOBE_RGB, curves=(points_curve(measured),) * 3))


@pytest.mark.parametrize(
    "curve",
    [
        SAW_CURVE,
        points_curve(np.linspace(1, 0, 256)),
        points_curve(np.clip((np.linspace(0, 1, 256) - 0.45) * 10, 0, 1)),
        points_curve([0, 0.2, 0.19, 0.4, 0.39, 0.6, 0.59, 0.8, 0.79, 1]),
        gamma_curve(0.2),
        gamma_curve(9.0),
        b"para\0\0\0\0\0\0\0\0" + (-65536).to_bytes(4, "big", signed=True),
        b"para\0\0\0\0\0\1\0\0" + 12 * b"\0",
        b"para\0\0\0\0\0\3\0\0" + 20 * b"\x7f",
    ],
)
def test_curve_that_falls_or_is_far_from_a_power_is_not_usual(curve: bytes) -> None:
    for at in range(3):
        curves = list(ADOBE_RGB.curves)
        curves[at] = curve
        assert not is_usual(replace(ADOBE_RGB, curves=tuple(curves)))


def test_columns_far_from_those_of_srgb_are_not_usual() -> None:
    red, green, blue = ADOBE_RGB.columns
    for columns in ((green, red, blue), (red, blue, green), (red, green, xyz_bytes(0, 0, 0))):
        assert not is_usual(replace(ADOBE_RGB, columns=columns))


def kept_transform(image: Image.Image, profile: MatrixProfile | bytes) -> str:
    image.info["icc_profile"] = profile if isinstance(profile, bytes) else write_profile(profile)
    colour = colour_conversion_of(image, grey=image.mode == "L")
    return "exact" if keeping_detail(image, colour, b"file").transform is colour.exact else "fast"


def test_exact_conversion_is_used_only_if_the_fast_one_loses_detail(photo: Image.Image) -> None:
    grey = profile_with_planted_tags(write_profile(ADOBE_RGB), {b"kTRC": gamma_curve(2.2)})
    grey = grey[:12] + b"mntrGRAYXYZ " + grey[24:]
    assert kept_transform(photo.convert("L"), grey) == "fast"
    swapped = replace(ADOBE_RGB, columns=ADOBE_RGB.columns[::-1])
    assert kept_transform(photo.copy(), swapped) == "fast"
    pixels = np.asarray(photo)
    for how in ("table", "grey curve"):
        hiding = Image.open(io.BytesIO(HIDING_PROFILES[how](pixels[::-1], pixels)))
        assert kept_transform(hiding, hiding.info["icc_profile"]) == "exact"
