"""Release the relay's half of a content key, and count each attempt atomically
(docs/spec/relay.md section 6).

A share group counts the openings of one message by one person, on all of that person's devices.
"""

from datetime import datetime

from msgspec.structs import replace

from entrenous.base.errors import Expired, IdInUse, NoSuchEnvelope, UsedUp, WrongToken
from entrenous.base.identifiers import EnvelopeId
from entrenous.base.limits import OPENINGS_PER_SHARE_MAX
from entrenous.base.secret import Secret
from entrenous.carry.expire import (
    drop_used_up_share,
    expire_envelope_if_due,
    remove_request_orphans,
    with_orphan_names,
)
from entrenous.carry.relay import Relay, RowTransaction, RowView, now
from entrenous.carry.relay_rows import (
    EnvelopeEvent,
    StoredAttempt,
    StoredEnvelope,
    StoredShare,
    StoredShareGroup,
    next_envelope_state,
)
from entrenous.crypto.hashing import equal_in_constant_time, token_hash
from entrenous.wire.relay_nouns import Envelope, EnvelopeState


async def release_key_share(
    envelope: EnvelopeId, token: Secret, attempt: bytes, relay: Relay
) -> Secret:
    """Release the share, if that is still allowed.

    Raises:
        NoSuchEnvelope, WrongToken: the envelope is unknown here, or the token is not its open
            token.
        TakenBack, Expired, UsedUp: the share can no longer be released for this attempt.
        RelayClockAhead: the clock may be wrong, so it is unknown whether the envelope has expired.
    """
    present = now(relay)
    try:
        return await relay.mail.transact(
            lambda tx: _release_share(tx, envelope, token, attempt, present),
            lambda view: _prefetch_release(view, envelope, attempt),
        )
    except Expired:
        await expire_envelope_if_due(envelope, relay)
        raise


async def finish_attempt(envelope: EnvelopeId, token: Secret, attempt: bytes, relay: Relay) -> None:
    """Record that the device that made this attempt has the content.

    When the openings of the share's group are used up and every recorded attempt has finished, the
    shares and blobs of the group are deleted.

    Raises:
        NoSuchEnvelope, WrongToken: the envelope is unknown here, or the token is not its open
            token.
    """
    present = now(relay)

    def store_finished_attempt(tx: RowTransaction) -> None:
        _require_open_token(tx, envelope, token)
        share = tx.get(StoredShare, envelope)
        if share is None or tx.get(StoredAttempt, envelope, attempt) is None:
            return
        tx.put(StoredAttempt(envelope, attempt, finished=True))
        drop_shares_of_used_up_group(tx, share.group, present)

    _, orphans = await relay.mail.transact(
        with_orphan_names(store_finished_attempt),
        lambda view: _prefetch_release(view, envelope, attempt),
    )
    await remove_request_orphans(orphans, relay)


def _prefetch_release(view: RowView, envelope: EnvelopeId, attempt: bytes) -> None:
    view.get(StoredEnvelope, envelope)
    view.get(StoredShare, envelope)
    view.get(StoredAttempt, envelope, attempt)


def _release_share(
    tx: RowTransaction, envelope: EnvelopeId, token: Secret, attempt: bytes, present: datetime
) -> Secret:
    stored = _require_open_token(tx, envelope, token)
    state = next_envelope_state(
        _current_state(stored, present), EnvelopeEvent.OPEN, stored.expires_at
    )
    share = tx.get(StoredShare, envelope)
    if share is None:
        raise UsedUp
    before = tx.get(StoredAttempt, envelope, attempt)
    if before is None:
        _record_attempt(tx, replace(stored, state=state), share, attempt, present)
    elif before.finished and share.opens is not None:
        # The device has finished this attempt, so this request may come from a copy of its disk.
        # Even if the device itself repeats the request, it must not open the message again.
        raise UsedUp
    return share.value


def _require_open_token(view: RowView, envelope: EnvelopeId, token: Secret) -> StoredEnvelope:
    stored = view.get(StoredEnvelope, envelope)
    if stored is None or stored.open_lock is None:
        raise NoSuchEnvelope
    if not equal_in_constant_time(stored.open_lock, token_hash(token)):
        raise WrongToken
    return stored


def _current_state(stored: StoredEnvelope, present: datetime) -> EnvelopeState:
    """Return the state that :func:`.expire.expire_if_due` would set. Nothing is written here, since
    a later error would undo the write.
    """
    over = stored.closed_at is None and present >= stored.expires_at
    return (
        next_envelope_state(stored.state, EnvelopeEvent.EXPIRE, stored.expires_at)
        if over
        else stored.state
    )


def _record_attempt(
    tx: RowTransaction,
    stored: StoredEnvelope,
    share: StoredShare,
    attempt: bytes,
    present: datetime,
) -> None:
    """Record the attempt; with unlimited openings only the first thousand are recorded."""
    count_opening(tx, share)
    if stored.opened >= OPENINGS_PER_SHARE_MAX:
        return
    tx.put(StoredAttempt(stored.envelope, attempt, finished=False))
    tx.put(replace(stored, opened=stored.opened + 1, opened_at=stored.opened_at or present))


def join_share_group(tx: RowTransaction, envelope: Envelope, present: datetime) -> None:
    """Add a posted share to its group, whose openings are counted together.

    The group is kept at least until the envelope expires. If the group is used up already, the
    share may be deleted at once (:func:`drop_shares_of_used_up_group`).

    Raises:
        IdInUse: the group allows a different number of openings.
    """
    share = envelope.share
    if share is None or share.group is None or share.opens is None:
        return
    stored = tx.get(StoredShareGroup, share.group)
    if stored is None or stored.due_at <= present:
        stored = StoredShareGroup(share.group, share.opens, 0, envelope.expires_at)
    elif stored.opens != share.opens:
        raise IdInUse
    tx.put(replace(stored, due_at=max(stored.due_at, envelope.expires_at)))
    drop_shares_of_used_up_group(tx, share.group, present)


def count_opening(tx: RowTransaction, share: StoredShare) -> None:
    """Count one opening; raises UsedUp if the group allows no more."""
    if share.opens is None:
        return
    stored = tx.get(StoredShareGroup, share.group) if share.group is not None else None
    if stored is None or stored.opened >= stored.opens:
        raise UsedUp
    tx.put(replace(stored, opened=stored.opened + 1))


def drop_shares_of_used_up_group(
    tx: RowTransaction, group: bytes | None, present: datetime
) -> None:
    """Delete the shares of a group if its openings are used up and every recorded attempt has
    finished.
    """
    stored = tx.get(StoredShareGroup, group) if group is not None else None
    if stored is None or stored.opened < stored.opens:
        return
    envelopes = [share.envelope for share in tx.find(StoredShare, group=group)]
    if any(tx.count(StoredAttempt, envelope=one, finished=False) for one in envelopes):
        return
    for one in envelopes:
        envelope = tx.get(StoredEnvelope, one)
        if envelope is not None:
            drop_used_up_share(tx, envelope, present)
