"""What a relay deletes, closes and keeps after a restore from a backup."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from entrenous.base.errors import NoSuchEnvelope, UsedUp
from entrenous.base.identifiers import BlobId, DeviceId
from entrenous.carry.accept import accept
from entrenous.carry.blob_upload import upload_blob
from entrenous.carry.mailbox import claim_prekeys, create_mailbox, replace_prekeys
from entrenous.carry.relay import Relay, time_of_last_restore
from entrenous.carry.relay_rows import (
    OrphanBlob,
    StoredAttempt,
    StoredBlob,
    StoredEnvelope,
    StoredLetter,
    StoredOneTimeKey,
    StoredShare,
    StoredShareGroup,
    StoredUpload,
)
from entrenous.carry.release import release_key_share
from entrenous.carry.restore import delete_untrusted_rows
from entrenous.carry.send_tokens import register_send_token
from entrenous.carry.withdraw import envelope_status, withdraw
from entrenous.crypto.hashing import token_hash
from entrenous.wire.relay_nouns import EnvelopeState, Prekeys
from tests.carry.minute_sweep import expire
from tests.carry.relays import SampleMessage, new_relay, run, stored_blob_count, stream
from tests.deterministic import SeededRandomSource, SettableClock

NO_MISSING_BLOBS: frozenset[str] = frozenset()


@pytest.fixture
def relay() -> Relay:
    return new_relay(SettableClock())


def post_message(relay: Relay, first_call: int = 0, opens: int | None = 2) -> SampleMessage:
    """Create a mailbox and post a message with a blob.

    ``first_call`` is the starting point of the random source that makes the message's values.
    """
    message = SampleMessage(random_source=SeededRandomSource(calls=first_call))
    run(create_mailbox(message.mailbox, token_hash(message.owner), relay))
    run(register_send_token(message.mailbox, message.owner, message.send_token(), relay))
    run(upload_blob(message.blob_deposit(), message.token, stream(message.blob), relay))
    run(accept(message.envelope(opens), message.token, relay))
    return message


def count_rows(relay: Relay, *row_types: type) -> int:
    return run(relay.mail.read(lambda view: sum(view.count(row_type) for row_type in row_types)))


def restore(
    relay: Relay, missing_blobs: frozenset[str] = NO_MISSING_BLOBS, *, with_shares: bool = False
) -> int:
    """Clean up the relay as after a restore; return the number of lost messages."""
    return run(delete_untrusted_rows(relay, missing_blobs, with_shares=with_shares))


def test_unopened_envelope_is_reported_as_lost_and_its_content_deleted(relay: Relay) -> None:
    message = post_message(relay)
    assert restore(relay) == 1
    with pytest.raises(NoSuchEnvelope):
        run(release_key_share(message.id, message.open, message.new_attempt(), relay))
    status = run(envelope_status(message.id, message.withdraw, relay))
    assert status.state is EnvelopeState.LOST
    assert count_rows(relay, StoredShare, StoredBlob, StoredLetter, StoredAttempt, OrphanBlob) == 0
    assert stored_blob_count(relay) == 0
    assert run(withdraw(message.id, message.withdraw, relay)).state is EnvelopeState.LOST


def test_opened_envelope_stays_opened_but_releases_no_share(relay: Relay) -> None:
    message = post_message(relay)
    attempt = message.new_attempt()
    run(release_key_share(message.id, message.open, attempt, relay))
    restore(relay)
    status = run(envelope_status(message.id, message.withdraw, relay))
    assert (status.state, status.opened) == (EnvelopeState.OPENED, 1)
    for one in (attempt, message.new_attempt()):
        with pytest.raises(UsedUp):
            run(release_key_share(message.id, message.open, one, relay))


def test_message_without_a_share_still_waits(relay: Relay) -> None:
    message = post_message(relay)
    envelope = message.new_envelope()
    run(accept(envelope, message.token, relay))
    assert restore(relay) == 1
    assert count_rows(relay, StoredLetter) == 1
    assert run(envelope_status(envelope.id, message.withdraw, relay)).state is EnvelopeState.WAITING


def test_no_one_time_key_is_handed_out_after_a_restore(relay: Relay) -> None:
    message, device = post_message(relay), DeviceId(bytes(16))
    keys = Prekeys((b"one", b"two"), b"fallback", b"xwing")
    run(replace_prekeys(message.mailbox, message.owner, device, keys, relay))
    restore(relay)
    assert count_rows(relay, StoredOneTimeKey) == 0
    bundle = run(claim_prekeys(message.mailbox, message.token, device, relay))
    assert (bundle.one_time, bundle.fallback) == (None, b"fallback")


@pytest.mark.threat("backups-revive")
@pytest.mark.parametrize("opened", [True, False])
def test_later_copy_for_another_device_cannot_be_opened(relay: Relay, *, opened: bool) -> None:
    """The later copy is posted only after the restore; ``opened`` says whether the first copy was
    opened before the restore.
    """
    first, second = (
        post_message(relay, opens=1),
        SampleMessage(random_source=SeededRandomSource(calls=1000)),
    )
    second.group = first.group
    if opened:
        run(release_key_share(first.id, first.open, first.new_attempt(), relay))
    restore(relay)
    run(create_mailbox(second.mailbox, token_hash(second.owner), relay))
    run(register_send_token(second.mailbox, second.owner, second.send_token(), relay))
    run(accept(second.envelope(1, blobs=False), second.token, relay))
    with pytest.raises(UsedUp):
        run(release_key_share(second.id, second.open, second.new_attempt(), relay))
    assert count_rows(relay, StoredShare) == 0
    relay.clock.advance(days=8)  # type: ignore[attr-defined]
    run(expire(relay))
    assert count_rows(relay, StoredShareGroup) == 0


@pytest.mark.parametrize("group_count", [4, 5])
def test_more_groups_than_one_batch_are_used_up(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, group_count: int
) -> None:
    monkeypatch.setattr("entrenous.carry.restore._ROWS_PER_BATCH", 2)
    for number in range(group_count):
        post_message(relay, first_call=1000 * number)
    restore(relay)
    stored = run(relay.mail.read(lambda view: view.find(StoredShareGroup)))
    assert [(one.opened, one.opens) for one in stored] == [(2, 2)] * group_count


def test_restore_with_shares_keeps_the_count_of_openings(relay: Relay) -> None:
    message = post_message(relay, opens=2)
    run(release_key_share(message.id, message.open, message.new_attempt(), relay))
    restore(relay, with_shares=True)
    run(release_key_share(message.id, message.open, message.new_attempt(), relay))
    with pytest.raises(UsedUp):
        run(release_key_share(message.id, message.open, message.new_attempt(), relay))


def test_restore_with_shares_keeps_an_unopened_message(relay: Relay) -> None:
    message = post_message(relay)
    assert restore(relay, with_shares=True) == 0
    assert (
        run(release_key_share(message.id, message.open, message.new_attempt(), relay))
        == message.share
    )


def test_envelope_whose_blob_is_missing_is_closed(relay: Relay) -> None:
    """The backup lists a blob that was deleted before its bytes were copied."""
    lost, kept = post_message(relay), post_message(relay, first_call=1000)
    stored = run(relay.mail.read(lambda view: view.get(StoredBlob, lost.blob_id)))
    assert stored is not None
    assert restore(relay, frozenset({stored.name}), with_shares=True) == 1
    with pytest.raises(NoSuchEnvelope):
        run(release_key_share(lost.id, lost.open, lost.new_attempt(), relay))
    assert run(release_key_share(kept.id, kept.open, kept.new_attempt(), relay)) == kept.share


def test_unreferenced_blob_without_bytes_can_be_uploaded_again(relay: Relay) -> None:
    message = post_message(relay)
    other = replace(message.blob_deposit(), id=BlobId(message.random_source.token(16)))
    run(upload_blob(other, message.token, stream(message.blob), relay))
    stored = run(relay.mail.read(lambda view: view.get(StoredBlob, other.id)))
    assert stored is not None
    restore(relay, frozenset({stored.name}), with_shares=True)
    assert count_rows(relay, OrphanBlob) == 0
    assert run(upload_blob(other, message.token, stream(message.blob), relay))


def test_incomplete_uploads_restart_after_a_restore(relay: Relay) -> None:
    message = post_message(relay)
    other = replace(message.blob_deposit(), id=BlobId(message.random_source.token(16)))

    async def interrupted_chunks() -> AsyncIterator[bytes]:
        yield message.blob[:10]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        run(upload_blob(other, message.token, interrupted_chunks(), relay))
    restore(relay, with_shares=True)
    assert count_rows(relay, StoredUpload) == 0
    assert run(upload_blob(other, message.token, stream(message.blob), relay))


def test_restore_is_recorded_and_can_be_repeated(relay: Relay) -> None:
    clock = relay.clock
    assert isinstance(clock, SettableClock)
    assert run(relay.mail.read(time_of_last_restore)) is None
    for _ in range(2):
        clock.advance(days=1)
        restore(relay)
        assert run(relay.mail.read(time_of_last_restore)) == clock.now()


def test_more_envelopes_than_one_batch_are_closed(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.carry.restore._ROWS_PER_BATCH", 2)
    for number in range(5):
        post_message(relay, first_call=1000 * number)
    assert restore(relay) == 5
    assert count_rows(relay, StoredShare) == 0
    assert count_rows(relay, StoredEnvelope) == 5
