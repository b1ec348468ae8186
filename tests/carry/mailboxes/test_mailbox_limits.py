"""The limits of a mailbox, and the requests that exceed them."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from entrenous.base import limits
from entrenous.base.errors import DamagedBlob, MailboxFull, TooManyRegistered
from entrenous.base.identifiers import BlobId, DeviceId
from entrenous.carry.accept import accept, acknowledge
from entrenous.carry.blob_upload import upload_blob
from entrenous.carry.mailbox import create_mailbox, replace_prekeys
from entrenous.carry.relay import Relay
from entrenous.carry.relay_rows import StoredUpload
from entrenous.carry.release import finish_attempt, release_key_share
from entrenous.carry.send_tokens import drop_send_token, register_send_token
from entrenous.carry.withdraw import withdraw
from entrenous.crypto.hashing import token_hash
from entrenous.wire.relay_nouns import BlobDeposit, Envelope, Prekeys, SendToken, ShareDeposit
from tests.carry.minute_sweep import expire
from tests.carry.relays import SampleMessage, new_relay, run, stream
from tests.deterministic import SettableClock

RELAY_SPECIFICATION = Path(__file__).parents[3] / "docs/spec/relay.md"
SetLimit = Callable[[str, int], None]


@pytest.fixture
def clock() -> SettableClock:
    return SettableClock()


@pytest.fixture
def relay(clock: SettableClock) -> Relay:
    return new_relay(clock)


@pytest.fixture
def message(relay: Relay) -> SampleMessage:
    message = SampleMessage()
    run(create_mailbox(message.mailbox, token_hash(message.owner), relay))
    run(register_send_token(message.mailbox, message.owner, message.send_token(), relay))
    return message


@pytest.fixture
def set_limit(monkeypatch: pytest.MonkeyPatch) -> SetLimit:
    """Return a function that sets one of a mailbox's limits for the test."""
    return lambda name, value: monkeypatch.setattr(f"entrenous.carry.send_tokens.{name}", value)


def deposit_with_new_id(message: SampleMessage) -> BlobDeposit:
    return replace(message.blob_deposit(), id=BlobId(message.random_source.token(16)))


def upload(relay: Relay, message: SampleMessage, deposit: BlobDeposit) -> bool:
    return run(upload_blob(deposit, message.token, stream(message.blob), relay))


@pytest.mark.parametrize(
    ("limit_name", "limit"),
    [("UNREFERENCED_BLOB_BYTES_MAX", 10_000), ("UNREFERENCED_BLOBS_MAX", 2)],
)
def test_unreferenced_blobs_count_against_a_mailboxs_limit(
    relay: Relay, message: SampleMessage, set_limit: SetLimit, limit_name: str, limit: int
) -> None:
    set_limit(limit_name, limit)
    assert upload(relay, message, message.blob_deposit())
    assert upload(relay, message, deposit_with_new_id(message))
    with pytest.raises(MailboxFull) as refused:
        upload(relay, message, deposit_with_new_id(message))
    assert refused.value.facts == {"retry_after_s": 3600}
    assert not upload(relay, message, message.blob_deposit())
    run(accept(message.envelope(), message.token, relay))
    assert upload(relay, message, deposit_with_new_id(message))


def test_full_mailbox_blocks_no_other_and_has_room_once_its_blobs_expire(
    relay: Relay, clock: SettableClock, message: SampleMessage, set_limit: SetLimit
) -> None:
    set_limit("UNREFERENCED_BLOB_BYTES_MAX", 5000)
    upload(relay, message, message.blob_deposit())
    ben = SampleMessage(random_source=message.random_source)
    run(create_mailbox(ben.mailbox, token_hash(ben.owner), relay))
    run(register_send_token(ben.mailbox, ben.owner, ben.send_token(), relay))
    assert upload(relay, ben, ben.blob_deposit())
    clock.advance(days=1)
    run(expire(relay))
    assert upload(relay, message, deposit_with_new_id(message))


def test_unfinished_uploads_count_against_the_limit(
    relay: Relay, message: SampleMessage, set_limit: SetLimit
) -> None:
    """If unfinished uploads did not count, many of them could together exceed the limit."""
    set_limit("UNREFERENCED_BLOB_BYTES_MAX", 9999)

    async def chunks_with_second_upload() -> AsyncIterator[bytes]:
        yield message.blob[:1]
        with pytest.raises(MailboxFull):
            await upload_blob(
                deposit_with_new_id(message), message.token, stream(message.blob), relay
            )

    with pytest.raises(DamagedBlob):
        run(upload_blob(message.blob_deposit(), message.token, chunks_with_second_upload(), relay))
    assert run(relay.mail.read(lambda view: view.count(StoredUpload))) == 0
    assert upload(relay, message, deposit_with_new_id(message))


@pytest.mark.parametrize(
    ("limit_name", "limit"), [("MAILBOX_BYTES_MAX", 5000), ("MAILBOX_BLOBS_MAX", 1)]
)
def test_blobs_of_envelopes_count_until_they_are_deleted(
    relay: Relay, message: SampleMessage, set_limit: SetLimit, limit_name: str, limit: int
) -> None:
    set_limit(limit_name, limit)
    upload(relay, message, message.blob_deposit())
    run(accept(message.envelope(), message.token, relay))
    run(acknowledge(message.mailbox, message.owner, message.id, relay))
    with pytest.raises(MailboxFull):
        upload(relay, message, deposit_with_new_id(message))
    run(withdraw(message.id, message.withdraw, relay))
    assert upload(relay, message, deposit_with_new_id(message))


def test_messages_beyond_the_limit_are_refused(
    relay: Relay, message: SampleMessage, set_limit: SetLimit
) -> None:
    set_limit("LETTERS_WAITING_MAX", 2)
    first, second, third = (message.new_envelope() for _ in range(3))
    run(accept(first, message.token, relay))
    run(accept(second, message.token, relay))
    with pytest.raises(MailboxFull, match=r"Nothing\swas lost"):
        run(accept(third, message.token, relay))
    assert not run(accept(second, message.token, relay))
    run(acknowledge(message.mailbox, message.owner, first.id, relay))
    assert run(accept(third, message.token, relay))


def envelope_with_share(message: SampleMessage, *, group: bytes | None = None) -> Envelope:
    """Return a new envelope for the message's mailbox, with a share."""
    opens = None if group is None else 1
    share = ShareDeposit(message.share, token_hash(message.open), opens, group)
    return replace(message.new_envelope(), share=share)


def test_shares_of_fetched_messages_count_against_the_limit(
    relay: Relay, message: SampleMessage, set_limit: SetLimit
) -> None:
    """While a mailbox has the maximum number of shares, it accepts only messages without a share.

    After a message with a share is withdrawn, the mailbox accepts another message with a share.
    """
    set_limit("SHARES_PER_MAILBOX_MAX", 2)
    accepted = [envelope_with_share(message), envelope_with_share(message, group=message.group)]
    for one in accepted:
        run(accept(one, message.token, relay))
        run(acknowledge(message.mailbox, message.owner, one.id, relay))
    beyond = envelope_with_share(message)
    with pytest.raises(MailboxFull) as refused:
        run(accept(beyond, message.token, relay))
    assert refused.value.facts == {"retry_after_s": 3600}
    assert not run(accept(accepted[0], message.token, relay))
    assert run(accept(message.new_envelope(), message.token, relay))
    run(withdraw(accepted[1].id, message.withdraw, relay))
    assert run(accept(beyond, message.token, relay))


def test_shares_beyond_a_groups_limit_are_refused(
    relay: Relay, message: SampleMessage, set_limit: SetLimit
) -> None:
    """After the last opening of a group, the relay deletes the group's shares. The relay then
    accepts the message that it refused before.
    """
    set_limit("SHARES_PER_GROUP_MAX", 2)
    first, second, third = (envelope_with_share(message, group=message.group) for _ in range(3))
    for one in (first, second):
        assert run(accept(one, message.token, relay))
    with pytest.raises(MailboxFull):
        run(accept(third, message.token, relay))
    assert run(
        accept(
            envelope_with_share(message, group=message.random_source.token(16)),
            message.token,
            relay,
        )
    )
    attempt = message.new_attempt()
    run(release_key_share(first.id, message.open, attempt, relay))
    run(finish_attempt(first.id, message.open, attempt, relay))
    assert run(accept(third, message.token, relay))


def test_refused_message_spends_no_token(
    relay: Relay, message: SampleMessage, set_limit: SetLimit
) -> None:
    set_limit("LETTERS_WAITING_MAX", 0)
    run(register_send_token(message.mailbox, message.owner, message.send_token(uses=1), relay))
    envelope = message.new_envelope()
    with pytest.raises(MailboxFull):
        run(accept(envelope, message.token, relay))
    set_limit("LETTERS_WAITING_MAX", 1)
    assert run(accept(envelope, message.token, relay))


def test_tokens_beyond_the_limit_are_refused(
    relay: Relay, message: SampleMessage, set_limit: SetLimit
) -> None:
    set_limit("TOKENS_PER_MAILBOX_MAX", 2)
    second, third = (SendToken(message.random_source.token(32), None, None) for _ in range(2))
    assert run(register_send_token(message.mailbox, message.owner, second, relay))
    with pytest.raises(TooManyRegistered, match=r"entrenous\s+person\s+forget"):
        run(register_send_token(message.mailbox, message.owner, third, relay))
    assert not run(register_send_token(message.mailbox, message.owner, second, relay))
    run(drop_send_token(message.mailbox, message.owner, second.lock, relay))
    assert run(register_send_token(message.mailbox, message.owner, third, relay))


def test_devices_beyond_the_prekey_limit_are_refused(
    relay: Relay, message: SampleMessage, set_limit: SetLimit
) -> None:
    set_limit("PREKEY_DEVICES_MAX", 1)
    first, second = DeviceId(b"1" * 16), DeviceId(b"2" * 16)
    keys = Prekeys((b"one",), b"fallback", b"xwing")
    for _ in range(2):
        assert run(replace_prekeys(message.mailbox, message.owner, first, keys, relay)) == 1
    with pytest.raises(TooManyRegistered, match=r"devices\s+that\s+published\s+keys"):
        run(replace_prekeys(message.mailbox, message.owner, second, keys, relay))


def test_specification_names_the_value_of_each_limit() -> None:
    section = RELAY_SPECIFICATION.read_text().partition("\n## 9.")[2].partition("\n## ")[0]
    found = {int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", section)}
    counts = (limits.LETTERS_WAITING_MAX, limits.UNREFERENCED_BLOBS_MAX, limits.MAILBOX_BLOBS_MAX)
    sizes = (limits.UNREFERENCED_BLOB_BYTES_MAX // 2**30, limits.MAILBOX_BYTES_MAX // 2**30)
    shares = (limits.SHARES_PER_MAILBOX_MAX, limits.SHARES_PER_GROUP_MAX)
    assert {
        *counts,
        *sizes,
        *shares,
        limits.TOKENS_PER_MAILBOX_MAX,
        limits.PREKEY_DEVICES_MAX,
    } <= found
