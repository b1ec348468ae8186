"""Tests of the formats of linking messages, and of the notes between linked devices."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import DeviceId, MailboxId, PersonId
from entrenous.base.identity import Trust
from entrenous.base.secret import Secret
from entrenous.send.devices.link_nouns import (
    BadLink,
    BadLinkCode,
    LinkAnswer,
    LinkCode,
    LinkGrant,
    LinkMessage,
    LinkRequest,
    LinkReveal,
    LinkStop,
    NewDeviceGrant,
    NewDeviceOffer,
)
from entrenous.send.devices.linked_devices import (
    IntroducedDevice,
    LinkedDevice,
    LinkedMailbox,
    MailboxUse,
)
from entrenous.send.formats.linking import (
    pad_link_message,
    read_grant,
    read_link_code,
    read_link_message,
    read_offer,
    unpad_link_message,
    write_grant,
    write_link_code,
    write_link_message,
    write_offer,
)
from entrenous.send.formats.sync_format import (
    BadSync,
    SharedBlock,
    SharedCircle,
    SharedCloseToken,
    SharedContact,
    SharedForgottenContact,
    SharedMailboxes,
    SharedRecord,
    read_sync_note,
    write_sync_note,
)
from entrenous.send.letter.letter_nouns import SyncNote, SyncTopic
from entrenous.send.people.circles import CircleId
from entrenous.send.tokens.token_ranges import LentToken

DEVICE_ID, MAILBOX_ID, PERSON_ID = DeviceId(b"d" * 16), MailboxId(b"m" * 16), PersonId(b"p" * 32)
TOKEN, CHANGED_AT = Secret(b"t" * 32), datetime(2026, 11, 25, 12, tzinfo=UTC)
LINK_CODE = LinkCode("https://relay.example", MAILBOX_ID, TOKEN)
LENT_TOKENS = (LentToken(0, TOKEN), LentToken(7, TOKEN))
LINK_MESSAGES: list[LinkMessage] = [
    LinkRequest(MAILBOX_ID, TOKEN, b"h" * 32),
    LinkAnswer(b"k" * 32, b"x" * 1216),
    LinkReveal(b"k" * 32, b"sealed"),
    LinkGrant(b"sealed"),
    LinkStop(b"p" * 32),
]
OFFER = NewDeviceOffer(
    b"e" * 32, b"c" * 32, b"q" * 32, DEVICE_ID, (1, 2, 9), b"x" * 1216, MAILBOX_ID, TOKEN, "phone"
)
GRANT = NewDeviceGrant(
    card=b"card",
    master=Secret(b"s" * 64),
    name="phone",
    linked_devices=(
        IntroducedDevice(LinkedDevice(DEVICE_ID, "laptop", TOKEN), LENT_TOKENS),
        IntroducedDevice(LinkedDevice(DeviceId(b"e" * 16), "tablet", None), ()),
    ),
    proof=b"w" * 32,
)
SHARED_RECORDS: list[SharedRecord] = [
    *(
        SharedContact(
            PERSON_ID,
            CHANGED_AT,
            "Ben",
            trust,
            CHANGED_AT,
            b"card",
            receipts,
            ((DEVICE_ID, LENT_TOKENS),),
        )
        for trust in Trust
        for receipts in (None, True, False)
    ),
    SharedForgottenContact(PERSON_ID, CHANGED_AT),
    SharedCircle(CircleId(b"c" * 16), CHANGED_AT, "friends", (PERSON_ID,), CHANGED_AT),
    SharedCircle(CircleId(b"c" * 16), CHANGED_AT, None, (), CHANGED_AT),
    SharedCloseToken(DEVICE_ID, CHANGED_AT, "phone", TOKEN),
    SharedBlock(PERSON_ID, CHANGED_AT, False),
    SharedMailboxes(
        DEVICE_ID,
        CHANGED_AT,
        tuple(
            LinkedMailbox("https://relay.example", MailboxId(bytes([what]) * 16), TOKEN, what)
            for what in MailboxUse
        ),
    ),
]


def test_written_values_are_read_back() -> None:
    assert read_link_code(write_link_code(LINK_CODE)) == LINK_CODE
    for message in LINK_MESSAGES:
        assert read_link_message(write_link_message(message)) == message
    assert read_offer(write_offer(OFFER)) == OFFER
    assert read_grant(write_grant(GRANT)) == GRANT
    for shared in SHARED_RECORDS:
        assert read_sync_note(write_sync_note(shared)) == shared


@pytest.mark.parametrize("size", [0, 1, 900, 5000, 130_000])
def test_link_messages_are_padded_to_letter_sizes(size: int) -> None:
    padded = pad_link_message(bytes(size))
    assert len(padded) in {1145 + 1024 * 2**power for power in range(1, 8)}
    assert unpad_link_message(padded) == bytes(size)


def test_link_padding_must_be_zero_and_of_a_letter_size() -> None:
    padded = pad_link_message(b"message")
    for wrong in (padded[:-1], padded + b"\0", padded[:-1] + b"\1", b"\2" + padded[1:], b""):
        with pytest.raises(BadLink):
            unpad_link_message(wrong)
    with pytest.raises(ValueError, match="fits an envelope"):
        pad_link_message(bytes(200_000))


def test_sync_note_with_an_invalid_list_of_mailboxes_is_not_written() -> None:
    home = LinkedMailbox("https://relay.example", MAILBOX_ID, TOKEN, MailboxUse.PRESENT)
    for homes in ((), (home, replace(home, what=MailboxUse.LEFT)), (home,) * 9):
        with pytest.raises(ValueError, match="specification"):
            write_sync_note(SharedMailboxes(DEVICE_ID, CHANGED_AT, homes))


@pytest.mark.threat("broken-formats")
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(noise: bytes) -> None:
    for read, error in (
        (read_link_message, BadLink),
        (read_offer, BadLink),
        (read_grant, BadLink),
        (unpad_link_message, BadLink),
    ):
        with pytest.raises(error):
            read(noise)
    with pytest.raises(BadLinkCode):
        read_link_code(noise.decode("latin-1"))
    for topic in SyncTopic:
        with pytest.raises(BadSync):
            read_sync_note(SyncNote(topic, noise))


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_changed_byte_gives_another_message_or_an_error(position: int, difference: int) -> None:
    for message in LINK_MESSAGES[:2]:
        encoded = bytearray(write_link_message(message))
        encoded[position % len(encoded)] ^= difference
        try:
            assert read_link_message(bytes(encoded)) != message
        except BadLink:
            continue


def test_offer_with_an_invalid_device_name_is_not_written() -> None:
    for name in ("", " x", "a\u202eb", "x" * 65):
        with pytest.raises(ValueError, match="specification"):
            write_offer(replace(OFFER, name=name))
