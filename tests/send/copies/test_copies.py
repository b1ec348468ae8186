"""Tests of the marked copies of pictures in messages."""

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from PIL import Image

from entrenous.base.copies import Copy
from entrenous.base.errors import Malformed
from entrenous.base.identifiers import BlobId, RecipientId
from entrenous.base.picture import NotAPicture, TooSmallToMark
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import mark_commitment, sha256
from entrenous.fingerprint.pdq import distance, fingerprint
from entrenous.media.picture_reader import read_picture
from entrenous.send.copies.picture_copies import (
    TrialCopy,
    new_mark_seed,
    picture_ledger_entry,
    prepare_original,
    write_picture_copy,
)
from entrenous.send.inbox import received_messages
from entrenous.send.send import send_message
from entrenous.watermark.embed import CopyCanvas, new_copy_canvas
from entrenous.wire.receipt import write_committed_mark
from tests.send.send_device import Network
from tests.send.test_guard import draft
from tests.village.world import photo

SQUARE_PICTURE = photo(width_px=160)


def decode_pixels(data: bytes) -> np.ndarray:
    return np.asarray(read_picture(data)).astype(int)


@pytest.mark.slow
def test_copies_differ_from_each_other_and_resemble_the_original(network: Network) -> None:
    device = network["ana"].device
    original = prepare_original(SQUARE_PICTURE, None, device)
    one, other = (write_picture_copy(original, new_mark_seed(device)) for _ in range(2))
    assert one != other
    for copy in (one, other):
        assert 0 < np.abs(decode_pixels(copy) - decode_pixels(SQUARE_PICTURE)).mean() < 4
        difference = distance(fingerprint(read_picture(copy)), fingerprint(original.picture))
        assert difference <= 31
        assert copy != SQUARE_PICTURE


def test_same_seed_gives_the_same_copy(network: Network) -> None:
    device = network["ana"].device
    original = prepare_original(SQUARE_PICTURE, None, device)
    seed = new_mark_seed(device)
    assert write_picture_copy(original, seed) == write_picture_copy(original, Secret(seed.reveal()))


def test_trial_copy_is_made_once() -> None:
    """The first thread makes the trial copy; another thread waits only when it reads the result."""
    begun, go_on = Event(), Event()
    canvases: list[CopyCanvas] = []

    def make_trial(canvas: CopyCanvas) -> int:
        canvases.append(canvas)
        begun.set()
        assert go_on.wait(10.0)
        return 3

    trial, own = TrialCopy((64, 80), make_trial), new_copy_canvas(64, 80)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(trial.make_if_needed, own)
        assert begun.wait(10.0)
        trial.make_if_needed(new_copy_canvas(64, 80))
        waiting = pool.submit(lambda: trial.finer_quality_steps)
        assert not first.done()
        go_on.set()
        assert waiting.result(10.0) == 3
    trial.make_if_needed(new_copy_canvas(64, 80))
    assert canvases == [own]


def test_copy_keeps_the_format_and_has_the_requested_size(network: Network) -> None:
    device = network["ana"].device
    file = io.BytesIO()
    Image.open(io.BytesIO(SQUARE_PICTURE)).save(file, "PNG")
    original = prepare_original(file.getvalue(), 100, device)
    with Image.open(io.BytesIO(write_picture_copy(original, new_mark_seed(device)))) as copy:
        assert (copy.format, max(copy.size)) == ("PNG", 100)
    kept = picture_ledger_entry(original, BlobId(bytes(16)), ())
    assert (kept.size_px, kept.dither) == (100, original.dither)
    assert kept.fingerprint == fingerprint(original.picture)


@pytest.mark.slow
def test_ledger_records_what_was_sent(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    ana.send(SQUARE_PICTURE, ben)
    (file,) = ben.open_newest().files
    (picture,) = next(ana.device.ledger.messages()).pictures
    assert ana.device.vault.read_stored_file(picture.original) == SQUARE_PICTURE
    (copy,) = picture.copies
    assert copy == Copy(
        RecipientId("ben"), copy.seed, sha256(file.data), ben.id, copy.device, copy.nonce
    )
    (received,) = received_messages(ben.device)
    assert received.manifest is not None
    assert received.manifest.marks == (mark_commitment(write_committed_mark(received.id, 1, copy)),)


@pytest.mark.slow
def test_two_pictures_of_a_message_keep_their_order(friends: Network) -> None:
    ana, ben = friends["ana"], friends["ben"]
    file = io.BytesIO()
    Image.open(io.BytesIO(SQUARE_PICTURE)).transpose(Image.Transpose.ROTATE_90).save(file, "PNG")
    both = replace(draft(ana, "ben", confirmed=("ben",)), files=(SQUARE_PICTURE, file.getvalue()))
    send_message(both, ana.device)
    assert [one.media_type for one in ben.open_newest().files] == ["image/jpeg", "image/png"]


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"", NotAPicture), (b"GIF89a", Malformed), (SQUARE_PICTURE[:500], Malformed)],
)
def test_invalid_picture_is_not_sent(friends: Network, data: bytes, error: type[Exception]) -> None:
    ana = friends["ana"]
    before = {table: dict(records) for table, records in ana.vault._tables.items()}
    with pytest.raises(error):
        send_message(
            replace(draft(ana, "ben", confirmed=("ben",)), files=(SQUARE_PICTURE, data)), ana.device
        )
    assert before == ana.vault._tables
    assert ana.vault._files == {}


def test_a_picture_too_small_to_carry_a_mark_is_not_sent(friends: Network) -> None:
    ana = friends["ana"]
    small = replace(draft(ana, "ben", confirmed=("ben",)), size_px=40)
    with pytest.raises(TooSmallToMark, match="64 pixels"):
        send_message(small, ana.device)
    assert list(ana.device.ledger.messages()) == []
