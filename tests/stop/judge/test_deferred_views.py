"""Tests of the deferred scan's views: edits found by them, and the number of views."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data

from entrenous.base.identifiers import ClaimId
from entrenous.base.picture import Picture
from entrenous.fingerprint.pdq import fingerprint
from entrenous.stop.judge.decide import find_hits
from entrenous.stop.judge.deferred_scan import best_deferred_hits, views_for_deferred_scan
from entrenous.stop.judge.scan import hash_whole_picture
from entrenous.stop.nouns import RELEASED_BANK
from entrenous.stop.registration import Claim, ClaimState, Registration
from tests.stop.platform_for_tests import GateSetup, picture

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def her_picture() -> Any:
    """Return a picture of 512 x 512 pixels, the size that the edits below expect."""
    return skimage.data.astronaut()


def place_on_page(pixels: Any) -> Any:
    """Return a tall light page, like a screenshot of an app, with the picture and words on it."""
    page = np.full((1_100, 640, 3), 245, dtype=np.uint8)
    page[300 : 300 + 600, 20:620] = cv2.resize(pixels, (600, 600))
    for row in (80, 140, 960, 1_040):
        cv2.putText(page, "words of an app", (40, row), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (0, 0, 0), 3)
    return page


def make_collage(pixels: Any) -> Any:
    others = [skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket()]
    cells = [cv2.resize(one, (300, 300)) for one in (*others, pixels)]
    return np.vstack([np.hstack(cells[:2]), np.hstack(cells[2:])])


def write_text_over(pixels: Any) -> Any:
    out = pixels.copy()
    for row in (60, 490):
        cv2.putText(out, "SOME WORDS", (30, row), cv2.FONT_HERSHEY_DUPLEX, 2.2, (0, 0, 0), 14)
        cv2.putText(out, "SOME WORDS", (30, row), cv2.FONT_HERSHEY_DUPLEX, 2.2, (255,) * 3, 5)
    return out


def rotate_and_crop(pixels: Any) -> Any:
    matrix = cv2.getRotationMatrix2D((256, 256), 6.0, 1.0)
    return np.ascontiguousarray(cv2.warpAffine(pixels, matrix, (512, 512))[50:462, 50:462])


def rotate_slightly(pixels: Any) -> Any:
    matrix = cv2.getRotationMatrix2D((256, 256), 2.0, 1.0)
    return np.ascontiguousarray(cv2.warpAffine(pixels, matrix, (512, 512))[18:494, 18:494])


def crop_to_registered_part(pixels: Any) -> Any:
    return pixels[43:427, 85:]  # a registered part has almost the same edges


def crop_two_edges(pixels: Any) -> Any:
    return pixels[15:, 20:]


def crop_all_edges(pixels: Any) -> Any:
    """Crop all four edges; nine tenths of the height and nine tenths of the width are left."""
    return pixels[20:481, 40:501]


def release_registration(upload: Picture, gate_setup: GateSetup) -> Registration:
    """Return a registration of the upload in the bank of released uploads."""
    claim = Claim(
        id=ClaimId("0f" * 16),
        bank=RELEASED_BANK,
        state=ClaimState.CONFIRMED,
        kind="pdq",
        quality=100,
        made_at=gate_setup.clock.now(),
    )
    return Registration(claim, (fingerprint(upload).bits,))


EDITS_FOUND_BY_PARTS: dict[str, Callable[[Any], Any]] = {
    "cut-out": crop_to_registered_part,
    "partly covered": write_text_over,
    "turned a little, cut-out": rotate_and_crop,
    "in a larger picture": lambda pixels: place_on_page(crop_to_registered_part(pixels)),
}
EDITS_FOUND_WITHOUT_PARTS: dict[str, Callable[[Any], Any]] = {
    "in a larger picture": place_on_page,
    "mirror, in a larger picture": lambda pixels: make_collage(np.fliplr(pixels)),
    "edges cut off": crop_two_edges,
    "mirror, edges cut off": lambda pixels: np.fliplr(crop_all_edges(pixels)),
    "written over": write_text_over,
    "turned a little": rotate_slightly,
}


@pytest.mark.parametrize("how", EDITS_FOUND_BY_PARTS)
def test_edited_pictures_are_found_by_registered_parts(
    gate_setup: GateSetup, her_picture: Any, how: str
) -> None:
    claim = gate_setup.protect(her_picture).claim
    upload = picture(EDITS_FOUND_BY_PARTS[how](her_picture))
    assert not list(find_hits(hash_whole_picture(upload).whole, gate_setup.platform, part=False))
    ((match, _),) = best_deferred_hits(upload, gate_setup.platform)
    assert (match.claim, match.part) == (claim, True)
    assert match.how.startswith(how)


@pytest.mark.parametrize("how", EDITS_FOUND_WITHOUT_PARTS)
def test_edited_pictures_are_found_without_registered_parts(
    gate_setup: GateSetup, her_picture: Any, how: str
) -> None:
    claim = gate_setup.protect(her_picture, parts=False).claim
    ((match, _),) = best_deferred_hits(
        picture(EDITS_FOUND_WITHOUT_PARTS[how](her_picture)), gate_setup.platform
    )
    assert (match.claim, match.how, match.part) == (claim, how, True)


def test_unrelated_picture_is_not_found_by_the_deferred_scan(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.protect(her_picture)
    for pixels in (skimage.data.coffee(), place_on_page(skimage.data.rocket())):
        assert best_deferred_hits(picture(pixels), gate_setup.platform) == []


def test_released_tile_of_a_collage_releases_no_other_tile(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    gate_setup.protect(her_picture)
    gate_setup.platform.bank.register(
        release_registration(picture(skimage.data.coffee()), gate_setup)
    )
    hits = best_deferred_hits(picture(make_collage(her_picture)), gate_setup.platform)
    assert [claim.bank for _, claim in hits if claim.bank == RELEASED_BANK] == []
    assert len(hits) == 1


def part_flags_of_views(upload: Picture, *, has_parts: bool) -> list[bool]:
    return [batch.part for batch in views_for_deferred_scan(upload, lambda: has_parts)]


def test_no_views_of_parts_are_made_if_the_bank_has_none(her_picture: Any) -> None:
    upload = picture(place_on_page(her_picture))
    without = part_flags_of_views(upload, has_parts=False)
    every = part_flags_of_views(upload, has_parts=True)
    assert without == [part for part in every if not part] != []
    assert any(every)


def test_parts_registered_before_the_first_look_up_are_found(
    gate_setup: GateSetup, her_picture: Any
) -> None:
    """An index counts no hashes of parts before its first look-up, which finds these parts."""
    claim = gate_setup.protect(her_picture).claim
    assert gate_setup.platform.index.part_hash_count() == 0
    ((match, _),) = best_deferred_hits(picture(write_text_over(her_picture)), gate_setup.platform)
    assert (match.claim, match.how) == (claim, "partly covered")


def test_number_of_deferred_views_is_bounded(her_picture: Any) -> None:
    framed = np.pad(place_on_page(her_picture), ((30, 30), (30, 30), (0, 0)))
    nested = write_text_over(her_picture)
    for level in (0, 255, 100):
        nested = np.pad(nested, ((9, 9), (9, 9), (0, 0)), constant_values=level)
    for pixels in (her_picture, framed, nested, make_collage(her_picture)):
        batches = list(views_for_deferred_scan(picture(pixels)))
        assert sum(len(one.views) for one in batches if not one.part) <= 11_668
        assert sum(len(one.views) for one in batches if one.part) <= 26_000


@pytest.mark.parametrize("shape", [(1, 1), (4, 300), (300, 4), (64, 64)])
def test_flat_and_tiny_pictures_match_nothing(
    gate_setup: GateSetup, her_picture: Any, shape: Any
) -> None:
    gate_setup.protect(her_picture)
    plain = np.full((*shape, 3), 120, dtype=np.uint8)
    assert best_deferred_hits(picture(plain), gate_setup.platform) == []
