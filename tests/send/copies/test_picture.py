"""Tests of making marked copies of a picture, to be sent by other means than Entrenous."""

import numpy as np
import pytest

from entrenous.base.identifiers import RecipientId
from entrenous.base.limits import COPY_MARK_KEY_CONTEXT, DITHER_KEY_CONTEXT
from entrenous.crypto.hashing import sha256
from entrenous.crypto.key_derivation import derive_key_stream
from entrenous.media.picture_writer import write_picture
from entrenous.media.resize import shrink_picture
from entrenous.send.copies.mark_file import mark_picture_copies
from entrenous.watermark.chip_layout import dither_stream_bytes, key_stream_bytes
from entrenous.watermark.embed import embed_mark, prepare_picture
from tests.send.send_device import Network
from tests.village.world import photo

SMALL_PICTURE = photo(width_px=160)  # a square

pytestmark = pytest.mark.slow

RECIPIENTS = [RecipientId(label) for label in ("ben", "caro", "dan")]


def test_every_yielded_copy_is_in_the_ledger(network: Network) -> None:
    ana = network["ana"]
    marked_copies = mark_picture_copies(SMALL_PICTURE, RECIPIENTS, None, ana.device)
    calls = ana.device.random_source.calls  # type: ignore[attr-defined]
    copies = [next(marked_copies)]
    assert ana.device.random_source.calls > calls  # type: ignore[attr-defined]
    copies.append(next(marked_copies))
    copies.extend(marked_copies)
    (message,) = ana.device.ledger.messages()
    assert {name for name, _ in copies} == {message.name}
    assert [copy.to for _, copy in copies] == RECIPIENTS
    assert len({copy.data for _, copy in copies}) == 3
    (picture,) = message.pictures
    assert [(copy.to, copy.sha256) for copy in picture.copies] == [
        (copy.to, sha256(copy.data)) for _, copy in copies
    ]
    assert all(copy.person is None for copy in picture.copies)
    assert ana.device.vault.read_stored_file(picture.original) == SMALL_PICTURE


@pytest.mark.parametrize("count", [1, 2])
def test_copies_yielded_before_a_stop_are_in_the_ledger(network: Network, count: int) -> None:
    ana = network["ana"]
    marked_copies = mark_picture_copies(SMALL_PICTURE, RECIPIENTS, None, ana.device)
    copies = [next(marked_copies)[1] for _ in range(count)]
    marked_copies.close()  # type: ignore[attr-defined]
    (message,) = ana.device.ledger.messages()
    (picture,) = message.pictures
    assert [copy.sha256 for copy in picture.copies] == [sha256(copy.data) for copy in copies]
    assert ana.device.vault.read_stored_file(picture.original) == SMALL_PICTURE
    assert len(ana.vault._files) == 1


def test_picture_record_is_stored_with_the_first_copy(network: Network) -> None:
    device = network["ana"].device
    marked_copies = mark_picture_copies(SMALL_PICTURE, RECIPIENTS, None, device)
    next(marked_copies)
    assert device.ledger.pictures_without_record() == ()
    (candidate,) = device.ledger.pictures_to_compare(device.read_picture(SMALL_PICTURE))
    assert candidate.is_likely
    marked_copies.close()  # type: ignore[attr-defined]


def test_every_message_gets_its_own_name(network: Network) -> None:
    ana = network["ana"]
    names = {
        name
        for _ in range(2)
        for name, _ in mark_picture_copies(SMALL_PICTURE, RECIPIENTS[:1], 100, ana.device)
    }
    assert len(names) == 2


def test_many_copies_keep_order_and_are_recorded_in_batches(network: Network) -> None:
    """For a hundred copies, the vault writes the message once and at most 103 records in all."""
    ana = network["ana"]
    to = [RecipientId(f"person {number}") for number in range(100)]
    written: list[str] = []
    put = ana.vault.put

    def record_put(table: str, key: str, record: bytes) -> None:
        written.append(table)
        put(table, key, record)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ana.vault, "put", record_put)
        marked_copies = [
            copy for _, copy in mark_picture_copies(SMALL_PICTURE, to, None, ana.device)
        ]
    assert [copy.to for copy in marked_copies] == to
    (message,) = ana.device.ledger.messages()
    recorded = message.pictures[0].copies
    assert [(copy.to, copy.sha256) for copy in recorded] == [
        (copy.to, sha256(copy.data)) for copy in marked_copies
    ]
    assert written.count("message") == 1
    assert len(written) <= 100 + 3


@pytest.mark.parametrize("count", [1, 5, 33])
def test_ledger_names_only_the_copies_yielded_before_an_interruption(
    network: Network, count: int
) -> None:
    ana = network["ana"]
    to = [RecipientId(f"person {number}") for number in range(60)]
    marked_copies = mark_picture_copies(SMALL_PICTURE, to, None, ana.device)
    for _ in range(count):
        next(marked_copies)
    with pytest.raises(KeyboardInterrupt):
        marked_copies.throw(KeyboardInterrupt)
    (message,) = ana.device.ledger.messages()
    assert [copy.to for copy in message.pictures[0].copies] == to[:count]


def test_interruption_before_the_first_copy_stores_nothing(network: Network) -> None:
    ana = network["ana"]

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ana.device.ledger, "put_copy_batch", interrupt)
        with pytest.raises(KeyboardInterrupt):
            next(mark_picture_copies(SMALL_PICTURE, RECIPIENTS, None, ana.device))
    with pytest.raises(KeyboardInterrupt):
        mark_picture_copies(SMALL_PICTURE, RECIPIENTS, None, ana.device).throw(KeyboardInterrupt)
    assert list(ana.device.ledger.messages()) == []
    assert ana.vault._files == {}


def test_copies_can_be_made_again_bit_for_bit(network: Network) -> None:
    """The stored original and the ledger entry are enough to make each copy again."""
    ana = network["ana"]
    marked_copies = [
        copy.data for _, copy in mark_picture_copies(SMALL_PICTURE, RECIPIENTS * 4, 120, ana.device)
    ]
    (message,) = ana.device.ledger.messages()
    (sent,) = message.pictures
    picture = shrink_picture(
        ana.device.read_picture(ana.device.vault.read_stored_file(sent.original)), 120
    )
    prepared = prepare_picture(np.asarray(picture))
    size = (picture.width_px, picture.height_px)
    dither = derive_key_stream(sent.dither, DITHER_KEY_CONTEXT, dither_stream_bytes(*size))
    assert sent.finer > 0  # scaled-down copies are encoded finer than the original
    for copy, data in zip(sent.copies, marked_copies, strict=True):
        marked = embed_mark(
            prepared,
            derive_key_stream(copy.seed, COPY_MARK_KEY_CONTEXT, key_stream_bytes(*size)),
            dither,
        )
        assert write_picture(picture, marked, finer=sent.finer) == data
