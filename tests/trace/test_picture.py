"""Tests of traces of pictures: several messages, collages, alignment, and missing features."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from entrenous.base.identifiers import RecipientId
from entrenous.base.limits import FALSE_NAMING_CHANCE_MAX
from entrenous.device.device import Device
from entrenous.device.store.ledger import VaultLedger
from entrenous.media.picture_reader import read_picture
from entrenous.trace.originals import (
    OriginalsCache,
    compute_missing_picture_records,
    decode_original_of,
)
from entrenous.trace.picture import (
    RECORDS_COMPUTED_IN_TRACE_MAX,
    PictureTrace,
    trace_picture,
    warp_onto_sent,
)
from entrenous.watermark.verdict import Finding
from tests.trace.offline_device import encode_jpeg, mark_for_people, offline_device, sample_photo

pytestmark = pytest.mark.slow

RECIPIENTS = ("ben", "caro")
# All calls of ``trace_leak`` share this cache, as the traces of a folder share a cache.
ORIGINALS_CACHE = OriginalsCache(read_picture)


def small_photo(name: str) -> Image.Image:
    photo = sample_photo(name)
    photo.thumbnail((400, 400))
    return photo


def open_picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


@pytest.fixture(scope="module")
def sent_pictures() -> tuple[Device, dict[str, tuple[str, dict[str, bytes]]]]:
    device = offline_device()
    made = {
        name: mark_for_people(device, small_photo(name), *RECIPIENTS)
        for name in ("astronaut", "coffee")
    }
    made["astronaut again"] = mark_for_people(device, small_photo("astronaut"), "dina")
    made["cat"] = mark_for_people(device, small_photo("cat"), *RECIPIENTS)
    return device, made


def trace_leak(
    sent_pictures: tuple[Device, dict[str, tuple[str, dict[str, bytes]]]], leak: Image.Image
) -> PictureTrace:
    return trace_picture(encode_jpeg(leak, 85), sent_pictures[0], originals=ORIGINALS_CACHE)


def test_photo_in_two_messages_is_registered_once_and_weighed_for_both(
    sent_pictures: tuple[Device, dict[str, tuple[str, dict[str, bytes]]]],
) -> None:
    name, copies = sent_pictures[1]["astronaut again"]
    seen = trace_leak(sent_pictures, open_picture(copies["dina"]))
    assert seen.trace.message == name
    assert seen.trace.verdict.named == ("dina",)
    assert seen.trace.others == ()
    first, other = seen.fits
    assert other.message.name == sent_pictures[1]["astronaut"][0]
    assert other.verdict.finding is Finding.NOBODY
    assert first.evidence is other.evidence
    assert (seen.compared, seen.tried) == (3, 2)
    assert seen.trace.compared == 3


def test_each_sent_photo_in_a_collage_is_traced(
    sent_pictures: tuple[Device, dict[str, tuple[str, dict[str, bytes]]]],
) -> None:
    collage = Image.new("RGB", (820, 420), "white")
    collage.paste(open_picture(sent_pictures[1]["coffee"][1]["ben"]), (5, 5))
    collage.paste(open_picture(sent_pictures[1]["cat"][1]["caro"]), (415, 5))
    seen = trace_leak(sent_pictures, collage)
    named_by_message = {fit.message.name: fit.verdict.named for fit in seen.fits}
    assert named_by_message == {
        sent_pictures[1]["coffee"][0]: ("ben",),
        sent_pictures[1]["cat"][0]: ("caro",),
    }
    (other,) = seen.trace.others
    assert {seen.trace.message, other.message} == set(named_by_message)
    assert other.verdict.named == named_by_message[other.message]
    assert seen.compared == 4
    assert all(
        fit.verdict.chance[RecipientId(fit.verdict.named[0])] <= FALSE_NAMING_CHANCE_MAX
        for fit in seen.fits
    )


def test_the_leak_is_aligned_with_the_original(
    sent_pictures: tuple[Device, dict[str, tuple[str, dict[str, bytes]]]],
) -> None:
    leak = open_picture(sent_pictures[1]["coffee"][1]["ben"]).crop((30, 20, 390, 260))
    seen = trace_leak(sent_pictures, leak)
    laid, covered = warp_onto_sent(seen.found, seen.fits[0])
    original = np.asarray(decode_original_of(seen.fits[0].picture, sent_pictures[0]))
    assert laid.shape == original.shape
    assert covered.shape == original.shape[:2]
    assert covered.mean() == pytest.approx(360 * 240 / (400 * original.shape[0]), abs=0.03)
    apart = np.abs(laid[covered].astype(int) - original[covered])
    assert np.median(apart) <= 4


def test_unrelated_photo_matches_nothing_and_all_tried_copies_are_counted(
    sent_pictures: tuple[Device, dict[str, tuple[str, dict[str, bytes]]]],
) -> None:
    seen = trace_leak(sent_pictures, small_photo("rocket"))
    assert seen.fits == ()
    assert seen.trace.message is None
    assert (seen.trace.verdict.finding, seen.trace.verdict.named) == (Finding.NOBODY, ())
    assert (seen.compared, seen.tried) == (7, 4)
    assert sent_pictures[0].ledger.traces()[-1] == seen.trace


@pytest.mark.parametrize("size", [(1, 500), (500, 1)])
def test_a_picture_of_one_line_matches_nothing(
    sent_pictures: tuple[Device, dict[str, tuple[str, dict[str, bytes]]]], size: tuple[int, int]
) -> None:
    line = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    seen = trace_leak(sent_pictures, Image.fromarray(line))
    assert (seen.trace.message, seen.trace.verdict.finding) == (None, Finding.NOBODY)


def test_photo_without_stored_features_is_found_and_its_features_are_stored() -> None:
    device = offline_device()
    name, copies = mark_for_people(device, small_photo("coffee"), *RECIPIENTS)
    for key in device.vault.keys("looks"):
        device.vault.drop("looks", key)
    old = replace(device, ledger=VaultLedger(device.vault))
    assert len(old.ledger.pictures_without_record()) == 1
    leak = open_picture(copies["ben"]).crop((60, 30, 320, 230))
    seen = trace_picture(encode_jpeg(leak, 85), old)
    assert (seen.trace.message, seen.trace.verdict.named, seen.without_record) == (
        name,
        ("ben",),
        0,
    )
    assert old.ledger.pictures_without_record() == ()


def test_a_missing_original_does_not_stop_computing_other_features() -> None:
    device = offline_device()
    for name in ("coffee", "cat"):
        mark_for_people(device, small_photo(name), "ben")
    for key in device.vault.keys("looks"):
        device.vault.drop("looks", key)
    old = replace(device, ledger=VaultLedger(device.vault))
    gone = old.ledger.message(old.ledger.pictures_without_record()[0][0])
    old.vault.delete_file(gone.pictures[0].original)
    steps: list[None] = []
    assert (
        compute_missing_picture_records(
            old.ledger.pictures_without_record(), old, lambda: steps.append(None)
        )
        == 1
    )
    assert len(steps) == 2 <= RECORDS_COMPUTED_IN_TRACE_MAX
    assert old.ledger.pictures_without_record() == ((gone.id, 0),)
