"""Tests of simulated leaks of one copy, and of pictures that are merged from several copies."""

import numpy as np
import pytest
import skimage.data

from bench.attacks import ATTACKS, CORE, FAINT, HARD, OTHER, RUIN, Rgb, leak
from bench.attacks.collusion import MERGE_NAMES, collude, collude_and_post, merge
from bench.attacks.frame import inner_box
from bench.attacks.save import load
from bench.tracing.memory_sender import decoded

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def small_picture() -> Rgb:
    return np.ascontiguousarray(skimage.data.astronaut()[40:240, 100:340])


@pytest.fixture(scope="module")
def copies(small_picture: Rgb) -> list[Rgb]:
    rng = np.random.default_rng(3)
    steps = rng.integers(-3, 4, (4, *small_picture.shape[:2], 1))
    return [np.clip(small_picture + step, 0, 255).astype(np.uint8) for step in steps]


@pytest.mark.parametrize("name", ATTACKS)
def test_leak_is_readable_and_the_same_for_the_same_seed(name: str, small_picture: Rgb) -> None:
    before = small_picture.copy()
    first, again = (leak(name, small_picture, np.random.default_rng(5)) for _ in range(2))
    assert first == again
    found = decoded(first)
    assert found.shape[2] == 3
    assert min(found.shape[:2]) >= 25
    assert (small_picture == before).all()


@pytest.mark.parametrize(
    "name", ["crop30+q70", "rot10+q70", "noise15", "wobble", "screen-photo", "caption+q70"]
)
def test_another_seed_makes_another_file_for_random_attacks(name: str, small_picture: Rgb) -> None:
    one, other = (leak(name, small_picture, np.random.default_rng(seed)) for seed in (5, 6))
    assert one != other


def test_each_attack_is_in_one_set() -> None:
    assert len(ATTACKS) == sum(map(len, (CORE, HARD, OTHER, RUIN, FAINT)))


@pytest.mark.parametrize(("share", "name"), [(0.5, "crop50+q70"), (0.1, "crop10+q70")])
def test_crop_keeps_the_share_of_the_area_in_its_name(
    share: float, name: str, small_picture: Rgb
) -> None:
    for seed in range(5):
        found = load(leak(name, small_picture, np.random.default_rng(seed)))
        kept = found.shape[0] * found.shape[1] / (small_picture.shape[0] * small_picture.shape[1])
        assert kept == pytest.approx(share, rel=0.06)


def test_mirrored_copy_is_mirrored(small_picture: Rgb) -> None:
    found = load(leak("mirror+q70", small_picture, np.random.default_rng(0)))
    assert np.corrcoef(found.ravel(), small_picture[:, ::-1].ravel())[0, 1] > 0.98


def test_rotated_picture_is_cropped_without_background() -> None:
    black = np.zeros((200, 300, 3), np.uint8)
    for name in ("rot3+q70", "rot10+q70", "rot37+q70"):
        assert load(leak(name, black, np.random.default_rng(1))).max() < 12
    assert inner_box(300, 200, 0.0) == (298, 198)


@pytest.mark.parametrize("name", MERGE_NAMES)
def test_merge_is_repeatable_and_only_one_leaves_the_range_of_the_copies(
    name: str, copies: list[Rgb]
) -> None:
    merged = merge(name, copies, np.random.default_rng(1))
    assert merged.shape == copies[0].shape
    if name != "min+max-median":
        stack = np.stack(copies)
        assert (merged >= stack.min(axis=0)).all()
        assert (merged <= stack.max(axis=0)).all()
    assert collude(name, copies, np.random.default_rng(1)) == collude(
        name, copies, np.random.default_rng(1)
    )


def test_tall_pictures_are_merged_completely(copies: list[Rgb]) -> None:
    tall = [np.concatenate([copy] * 3) for copy in copies]
    merged = merge("median", tall, np.random.default_rng(1))
    assert (merged == np.rint(np.median(np.stack(tall), axis=0))).all()


def test_reposted_merge_is_at_most_1080_px(copies: list[Rgb]) -> None:
    large = [np.repeat(np.repeat(copy, 8, axis=0), 8, axis=1) for copy in copies[:2]]
    assert max(load(collude_and_post(large, np.random.default_rng(1))).shape[:2]) == 1_080
