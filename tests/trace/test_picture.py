"""The evidence of picture traces: several messages, collages, unrelated pictures, old ledgers."""

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
from tests.trace.offline_device import as_jpeg, marked_for, offline_device, photo_of

pytestmark = pytest.mark.slow

PEOPLE = ("ben", "caro")
ORIGINALS = OriginalsCache(read_picture)  # shared by the traces, as when a folder is traced


def small(name: str) -> Image.Image:
    photo = photo_of(name)
    photo.thumbnail((400, 400))
    return photo


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


@pytest.fixture(scope="module")
def sent() -> tuple[Device, dict[str, tuple[str, dict[str, bytes]]]]:
    device = offline_device()
    made = {name: marked_for(device, small(name), *PEOPLE) for name in ("astronaut", "coffee")}
    made["astronaut again"] = marked_for(device, small("astronaut"), "dina")
    made["cat"] = marked_for(device, small("cat"), *PEOPLE)
    return device, made


def trace_leak(
    sent: tuple[Device, dict[str, tuple[str, dict[str, bytes]]]], leak: Image.Image
) -> PictureTrace:
    return trace_picture(as_jpeg(leak, 85), sent[0], originals=ORIGINALS)


def test_photo_in_two_messages_is_registered_once_and_weighed_for_both(
    sent: tuple[Device, dict[str, tuple[str, dict[str, bytes]]]],
) -> None:
    name, copies = sent[1]["astronaut again"]
    seen = trace_leak(sent, opened(copies["dina"]))
    assert seen.trace.message == name
    assert seen.trace.verdict.named == ("dina",)
    assert seen.trace.others == ()
    first, other = seen.fits
    assert other.message.name == sent[1]["astronaut"][0]
    assert other.verdict.finding is Finding.NOBODY
    assert first.evidence is other.evidence
    assert (seen.compared, seen.tried) == (3, 2)
    assert seen.trace.compared == 3


def test_each_sent_photo_in_a_collage_is_traced(
    sent: tuple[Device, dict[str, tuple[str, dict[str, bytes]]]],
) -> None:
    collage = Image.new("RGB", (820, 420), "white")
    collage.paste(opened(sent[1]["coffee"][1]["ben"]), (5, 5))
    collage.paste(opened(sent[1]["cat"][1]["caro"]), (415, 5))
    seen = trace_leak(sent, collage)
    named_by_message = {fit.message.name: fit.verdict.named for fit in seen.fits}
    assert named_by_message == {sent[1]["coffee"][0]: ("ben",), sent[1]["cat"][0]: ("caro",)}
    (other,) = seen.trace.others
    assert {seen.trace.message, other.message} == set(named_by_message)
    assert other.verdict.named == named_by_message[other.message]
    assert seen.compared == 4
    assert all(
        fit.verdict.chance[RecipientId(fit.verdict.named[0])] <= FALSE_NAMING_CHANCE_MAX
        for fit in seen.fits
    )


def test_the_leak_can_be_shown_on_the_original(
    sent: tuple[Device, dict[str, tuple[str, dict[str, bytes]]]],
) -> None:
    leak = opened(sent[1]["coffee"][1]["ben"]).crop((30, 20, 390, 260))
    seen = trace_leak(sent, leak)
    laid, covered = warp_onto_sent(seen.found, seen.fits[0])
    original = np.asarray(decode_original_of(seen.fits[0].picture, sent[0]))
    assert laid.shape == original.shape
    assert covered.shape == original.shape[:2]
    assert covered.mean() == pytest.approx(360 * 240 / (400 * original.shape[0]), abs=0.03)
    apart = np.abs(laid[covered].astype(int) - original[covered])
    assert np.median(apart) <= 4


def test_unrelated_photo_matches_nothing_and_all_tried_copies_are_counted(
    sent: tuple[Device, dict[str, tuple[str, dict[str, bytes]]]],
) -> None:
    seen = trace_leak(sent, small("rocket"))
    assert seen.fits == ()
    assert seen.trace.message is None
    assert (seen.trace.verdict.finding, seen.trace.verdict.named) == (Finding.NOBODY, ())
    assert (seen.compared, seen.tried) == (7, 4)
    assert sent[0].ledger.traces()[-1] == seen.trace


def test_photo_without_stored_features_is_found_and_learnt() -> None:
    device = offline_device()
    name, copies = marked_for(device, small("coffee"), *PEOPLE)
    for key in device.vault.keys("looks"):
        device.vault.drop("looks", key)
    old = replace(device, ledger=VaultLedger(device.vault))
    assert len(old.ledger.pictures_without_record()) == 1
    leak = opened(copies["ben"]).crop((60, 30, 320, 230))
    seen = trace_picture(as_jpeg(leak, 85), old)
    assert (seen.trace.message, seen.trace.verdict.named, seen.unlearnt) == (name, ("ben",), 0)
    assert old.ledger.pictures_without_record() == ()


def test_missing_original_does_not_stop_learning_the_others() -> None:
    device = offline_device()
    for name in ("coffee", "cat"):
        marked_for(device, small(name), "ben")
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
