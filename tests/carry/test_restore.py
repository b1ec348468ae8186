"""A restored relay forgets what may have ended since its backup."""

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
from tests.carry.minute import expire
from tests.carry.relays import Post, new_relay, run, stored_blobs, stream
from tests.deterministic import SeededRandomSource, SettableClock

# The event loop's wake-up channel is a socket pair.
pytestmark = pytest.mark.usefixtures("socket_enabled")

NOTHING: frozenset[str] = frozenset()


@pytest.fixture
def relay() -> Relay:
    return new_relay(SettableClock())


def post_message(relay: Relay, first_call: int = 0, opens: int | None = 2) -> Post:
    post = Post(random_source=SeededRandomSource(calls=first_call))
    run(create_mailbox(post.mailbox, token_hash(post.owner), relay))
    run(register_send_token(post.mailbox, post.owner, post.granted(), relay))
    run(upload_blob(post.deposit(), post.token, stream(post.blob), relay))
    run(accept(post.envelope(opens), post.token, relay))
    return post


def count(relay: Relay, *kinds: type) -> int:
    return run(relay.mail.read(lambda view: sum(view.count(kind) for kind in kinds)))


def restore(relay: Relay, missing: frozenset[str] = NOTHING, *, with_shares: bool = False) -> int:
    return run(delete_untrusted_rows(relay, missing, with_shares=with_shares))


def test_unopened_envelope_is_lost_and_its_sender_is_told(relay: Relay) -> None:
    post = post_message(relay)
    assert restore(relay) == 1
    with pytest.raises(NoSuchEnvelope):
        run(release_key_share(post.id, post.open, post.attempt(), relay))
    status = run(envelope_status(post.id, post.withdraw, relay))
    assert status.state is EnvelopeState.LOST
    assert count(relay, StoredShare, StoredBlob, StoredLetter, StoredAttempt, OrphanBlob) == 0
    assert stored_blobs(relay) == 0
    assert run(withdraw(post.id, post.withdraw, relay)).state is EnvelopeState.LOST


def test_opened_envelope_stays_opened_but_releases_no_share(relay: Relay) -> None:
    post = post_message(relay)
    attempt = post.attempt()
    run(release_key_share(post.id, post.open, attempt, relay))
    restore(relay)
    status = run(envelope_status(post.id, post.withdraw, relay))
    assert (status.state, status.opened) == (EnvelopeState.OPENED, 1)
    for one in (attempt, post.attempt()):
        with pytest.raises(UsedUp):
            run(release_key_share(post.id, post.open, one, relay))


def test_letters_without_a_share_still_arrive(relay: Relay) -> None:
    post = post_message(relay)
    letter = post.letter()
    run(accept(letter, post.token, relay))
    assert restore(relay) == 1
    assert count(relay, StoredLetter) == 1
    assert run(envelope_status(letter.id, post.withdraw, relay)).state is EnvelopeState.WAITING


def test_no_one_time_key_is_handed_out_twice_after_a_restore(relay: Relay) -> None:
    post, device = post_message(relay), DeviceId(bytes(16))
    keys = Prekeys((b"one", b"two"), b"fallback", b"xwing")
    run(replace_prekeys(post.mailbox, post.owner, device, keys, relay))
    restore(relay)
    assert count(relay, StoredOneTimeKey) == 0
    bundle = run(claim_prekeys(post.mailbox, post.token, device, relay))
    assert (bundle.one_time, bundle.fallback) == (None, b"fallback")


@pytest.mark.threat("backups-revive")
@pytest.mark.parametrize("opened", [True, False])
def test_a_copy_for_another_device_that_comes_later_opens_no_more(
    relay: Relay, *, opened: bool
) -> None:
    """It waited in the sender's outbox. The first copy may have been opened before or after the
    backup.
    """
    first, second = post_message(relay, opens=1), Post(random_source=SeededRandomSource(calls=1000))
    second.group = first.group
    if opened:
        run(release_key_share(first.id, first.open, first.attempt(), relay))
    restore(relay)
    run(create_mailbox(second.mailbox, token_hash(second.owner), relay))
    run(register_send_token(second.mailbox, second.owner, second.granted(), relay))
    run(accept(second.envelope(1, blobs=False), second.token, relay))
    with pytest.raises(UsedUp):
        run(release_key_share(second.id, second.open, second.attempt(), relay))
    assert count(relay, StoredShare) == 0
    relay.clock.advance(days=8)  # type: ignore[attr-defined]
    run(expire(relay))
    assert count(relay, StoredShareGroup) == 0


@pytest.mark.parametrize("groups", [4, 5])
def test_groups_are_used_up_in_several_batches(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, groups: int
) -> None:
    monkeypatch.setattr("entrenous.carry.restore._ROWS_PER_BATCH", 2)
    for number in range(groups):
        post_message(relay, first_call=1000 * number)
    restore(relay)
    stored = run(relay.mail.read(lambda view: view.find(StoredShareGroup)))
    assert [(one.opened, one.opens) for one in stored] == [(2, 2)] * groups


def test_with_shares_group_count_continues_from_the_backup(relay: Relay) -> None:
    post = post_message(relay, opens=2)
    run(release_key_share(post.id, post.open, post.attempt(), relay))
    restore(relay, with_shares=True)
    run(release_key_share(post.id, post.open, post.attempt(), relay))
    with pytest.raises(UsedUp):
        run(release_key_share(post.id, post.open, post.attempt(), relay))


def test_with_shares_nothing_is_lost(relay: Relay) -> None:
    post = post_message(relay)
    assert restore(relay, with_shares=True) == 0
    assert run(release_key_share(post.id, post.open, post.attempt(), relay)) == post.share


def test_envelope_whose_blob_is_missing_is_closed(relay: Relay) -> None:
    """The backup names a blob that was deleted a moment later: used up, or taken back."""
    lost, kept = post_message(relay), post_message(relay, first_call=1000)
    stored = run(relay.mail.read(lambda view: view.get(StoredBlob, lost.blob_id)))
    assert stored is not None
    assert restore(relay, frozenset({stored.name}), with_shares=True) == 1
    with pytest.raises(NoSuchEnvelope):
        run(release_key_share(lost.id, lost.open, lost.attempt(), relay))
    assert run(release_key_share(kept.id, kept.open, kept.attempt(), relay)) == kept.share


def test_unreferenced_blob_without_bytes_can_be_uploaded_again(relay: Relay) -> None:
    post = post_message(relay)
    other = replace(post.deposit(), id=BlobId(post.random_source.token(16)))
    run(upload_blob(other, post.token, stream(post.blob), relay))
    stored = run(relay.mail.read(lambda view: view.get(StoredBlob, other.id)))
    assert stored is not None
    restore(relay, frozenset({stored.name}), with_shares=True)
    assert count(relay, OrphanBlob) == 0
    assert run(upload_blob(other, post.token, stream(post.blob), relay))


def test_incomplete_uploads_restart_after_a_restore(relay: Relay) -> None:
    post = post_message(relay)
    other = replace(post.deposit(), id=BlobId(post.random_source.token(16)))

    async def broken() -> AsyncIterator[bytes]:
        yield post.blob[:10]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        run(upload_blob(other, post.token, broken(), relay))
    restore(relay, with_shares=True)
    assert count(relay, StoredUpload) == 0
    assert run(upload_blob(other, post.token, stream(post.blob), relay))


def test_restore_is_recorded_and_can_be_repeated(relay: Relay) -> None:
    clock = relay.clock
    assert isinstance(clock, SettableClock)
    assert run(relay.mail.read(time_of_last_restore)) is None
    for _ in range(2):
        clock.advance(days=1)
        restore(relay)
        assert run(relay.mail.read(time_of_last_restore)) == clock.now()


def test_envelopes_are_closed_in_several_batches(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.carry.restore._ROWS_PER_BATCH", 2)
    for number in range(5):
        post_message(relay, first_call=1000 * number)
    assert restore(relay) == 5
    assert count(relay, StoredShare) == 0
    assert count(relay, StoredEnvelope) == 5
