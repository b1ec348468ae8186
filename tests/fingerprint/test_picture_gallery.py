"""Tests of the picture gallery: the right picture, unrelated ones, and unknown visual words."""

import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from entrenous.fingerprint.keypoints import VOCABULARY_WORDS, Vocabulary
from entrenous.fingerprint.picture_gallery import PointGallery
from entrenous.fingerprint.picture_record import POINT_ENTRY_DTYPE, find_and_pack_points
from tests.sizes import size

pytestmark = pytest.mark.slow

WANTED_NAMES = ("astronaut", "china", "rocket")
OTHER_PICTURE_COUNT = 250


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.load_shipped()


@pytest.fixture(scope="module")
def gallery(photographs: dict[str, Any], vocabulary: Vocabulary) -> PointGallery:
    """Return a gallery of the wanted photographs and 250 unrelated entries.

    Each unrelated entry consists of random points of other photographs. In each point, about a
    tenth of the sign bits are flipped.
    """
    rng = np.random.default_rng(7)
    others = [
        np.frombuffer(find_and_pack_points(photographs[name], vocabulary), POINT_ENTRY_DTYPE)
        for name in ("camera", "coins", "moon", "retina", "hubble_deep_field")
    ]
    pool = np.concatenate(others)
    strangers = []
    for _ in range(OTHER_PICTURE_COUNT):
        some = rng.choice(pool, 400)
        flips = np.packbits(rng.random((400, 64)) < 0.1, axis=1).view("<u8").ravel()
        some["signs"] ^= flips
        strangers.append(some.tobytes())
    return PointGallery.of(
        [find_and_pack_points(photographs[name], vocabulary) for name in WANTED_NAMES] + strangers
    )


def crop(picture: Image.Image, share: float = 0.3) -> Image.Image:
    width, height = picture.size
    side = share**0.5
    left, top = 0.3 * (1 - side) * width, 0.6 * (1 - side) * height
    return picture.crop(
        (round(left), round(top), round(left + side * width), round(top + side * height))
    )


def add_caption(picture: Image.Image) -> Image.Image:
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, picture.width, picture.height // 6), fill="white")
    draw.text((10, 4), "when you see it", fill="black", font_size=picture.height // 10)
    return picture


def draw_screenshot(picture: Image.Image) -> Image.Image:
    screen = Image.new("RGB", (picture.width + 60, 2 * picture.height), (20, 20, 20))
    draw = ImageDraw.Draw(screen)
    for line in range(10):
        draw.text((20, picture.height * 1.5 + 16 * line), "a line of chat, and more", fill="white")
    screen.paste(picture, (30, picture.height // 3))
    return screen


LEAK_EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda p: p,
    "crop to 30 %, mirrored, captioned": lambda p: add_caption(ImageOps.mirror(crop(p))),
    "turned by 37 degrees": lambda p: p.rotate(37, Image.Resampling.BICUBIC, expand=True),
    "screenshot, mirrored": lambda p: draw_screenshot(ImageOps.mirror(p)),
    "its negative": lambda p: ImageOps.invert(p.convert("RGB")),
    "160 px": lambda p: ImageOps.contain(p, (160, 160)),
}


@pytest.mark.parametrize("edit", LEAK_EDITS)
def test_the_right_picture_comes_first(
    edit: str, gallery: PointGallery, photographs: dict[str, Any], vocabulary: Vocabulary
) -> None:
    for row, name in enumerate(WANTED_NAMES[: size(2, len(WANTED_NAMES))]):
        file = io.BytesIO()
        LEAK_EDITS[edit](Image.fromarray(photographs[name])).convert("RGB").save(
            file, "JPEG", quality=60
        )
        leak = np.asarray(Image.open(file).convert("RGB"))
        first = gallery.vote(leak, vocabulary)[0]
        assert first.row == row, name
        assert len(first.where) >= 9, name
        assert first.mirrored == ("mirrored" in edit)


def test_unrelated_picture_shares_only_chance_matches(
    gallery: PointGallery, photographs: dict[str, Any], vocabulary: Vocabulary
) -> None:
    odd = cv2.warpAffine(
        photographs["coins"], np.array([[1.0, 0.9, 0.0], [0.2, 0.5, 60.0]]), (400, 300)
    )
    votes = gallery.vote(np.asarray(odd, np.uint8), vocabulary)
    assert all(len(vote.where) <= 10 for vote in votes)


def test_an_empty_gallery_and_a_flat_picture_have_no_votes(vocabulary: Vocabulary) -> None:
    flat = np.zeros((100, 100, 3), np.uint8)
    noise = np.random.default_rng(1).integers(0, 256, (100, 100, 3), np.uint8)
    assert PointGallery.of([]).vote(noise, vocabulary) == []
    assert PointGallery.of([b"", b""]).vote(noise, vocabulary) == []
    some = PointGallery.of([find_and_pack_points(noise, vocabulary)])
    assert some.vote(flat, vocabulary) == []


def test_entries_with_nonexistent_words_are_accepted() -> None:
    entries = np.zeros(3, POINT_ENTRY_DTYPE)
    entries["word"] = (0, VOCABULARY_WORDS, 65535)
    gallery = PointGallery.of([entries.tobytes()])
    assert gallery.starts[-1] == 3
