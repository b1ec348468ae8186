"""Release the relay's half of a content key: counted, atomically, by attempt (docs/spec/relay.md
section 6).

Openings are counted for a person in a share group, not for each device.
"""

from datetime import datetime

from msgspec.structs import replace

from entrenous.base.errors import Expired, IdInUse, NoSuchEnvelope, UsedUp, WrongToken
from entrenous.base.identifiers import EnvelopeId
from entrenous.base.limits import OPENS_MAX
from entrenous.base.secret import Secret
from entrenous.carry.envelope_states import Event, step
from entrenous.carry.expire import expire_envelope, remove_soon, use_up, with_leftovers
from entrenous.carry.relay import Relay, RowTransaction, RowView, now
from entrenous.carry.relay_rows import HeldAttempt, HeldEnvelope, HeldGroup, HeldShare
from entrenous.crypto.hashing import equal_in_constant_time, token_hash
from entrenous.wire.relay_nouns import Envelope, EnvelopeState


async def open_share(envelope: EnvelopeId, token: Secret, attempt: bytes, relay: Relay) -> Secret:
    """Release the share, if that is still allowed.

    Raises:
        NoSuchEnvelope, WrongToken: the envelope is unknown here, or the token is not its open
            token.
        TakenBack, Expired, UsedUp: the share can no longer be released to this attempt.
        RelayClockAhead: the clock may be wrong, so it is unknown whether the envelope has expired.
    """
    present = now(relay)
    try:
        return await relay.mail.together(
            lambda tx: _open(tx, envelope, token, attempt, present),
            lambda view: _prefetch(view, envelope, attempt),
        )
    except Expired:
        await expire_envelope(envelope, relay)
        raise


async def finish_attempt(envelope: EnvelopeId, token: Secret, attempt: bytes, relay: Relay) -> None:
    """Record that the device of that attempt has the content.

    After a group's last one, delete its shares.

    Raises:
        NoSuchEnvelope, WrongToken: the envelope is unknown here, or the token is not its open
            token.
    """
    present = now(relay)

    def work(tx: RowTransaction) -> None:
        _opened_by(tx, envelope, token)
        share = tx.get(HeldShare, envelope)
        if share is None or tx.get(HeldAttempt, envelope, attempt) is None:
            return
        tx.put(HeldAttempt(envelope, attempt, finished=True))
        settle_group(tx, share.group, present)

    _, left = await relay.mail.together(
        with_leftovers(work), lambda view: _prefetch(view, envelope, attempt)
    )
    await remove_soon(left, relay)


def _prefetch(view: RowView, envelope: EnvelopeId, attempt: bytes) -> None:
    view.get(HeldEnvelope, envelope)
    view.get(HeldShare, envelope)
    view.get(HeldAttempt, envelope, attempt)


def _open(
    tx: RowTransaction, envelope: EnvelopeId, token: Secret, attempt: bytes, present: datetime
) -> Secret:
    held = _opened_by(tx, envelope, token)
    state = step(_state_at(held, present), Event.OPEN, held.expires_at)
    share = tx.get(HeldShare, envelope)
    if share is None:
        raise UsedUp
    before = tx.get(HeldAttempt, envelope, attempt)
    if before is None:
        _count(tx, replace(held, state=state), share, attempt, present)
    elif before.finished and share.opens is not None:
        raise UsedUp  # a copy of that disk asks; nor does a late repeat count as another opening
    return share.value


def _opened_by(view: RowView, envelope: EnvelopeId, token: Secret) -> HeldEnvelope:
    held = view.get(HeldEnvelope, envelope)
    if held is None or held.open_lock is None:
        raise NoSuchEnvelope
    if not equal_in_constant_time(held.open_lock, token_hash(token)):
        raise WrongToken
    return held


def _state_at(held: HeldEnvelope, present: datetime) -> EnvelopeState:
    """Return the state after :func:`.expire.expire_if_due`; a later error would undo its writes."""
    over = held.closed_at is None and present >= held.expires_at
    return step(held.state, Event.EXPIRE, held.expires_at) if over else held.state


def _count(
    tx: RowTransaction, held: HeldEnvelope, share: HeldShare, attempt: bytes, present: datetime
) -> None:
    """Record the attempt; with unlimited openings only the first thousand are recorded."""
    count_opening(tx, share)
    if held.opened >= OPENS_MAX:
        return
    tx.put(HeldAttempt(held.envelope, attempt, finished=False))
    tx.put(replace(held, opened=held.opened + 1, opened_at=held.opened_at or present))


def join_group(tx: RowTransaction, envelope: Envelope, present: datetime) -> None:
    """Count a posted share with the others of its group.

    Raises:
        IdInUse: the group allows a different number of openings.
    """
    share = envelope.share
    if share is None or share.group is None or share.opens is None:
        return
    held = tx.get(HeldGroup, share.group)
    if held is None or held.due_at <= present:
        held = HeldGroup(share.group, share.opens, 0, envelope.expires_at)
    elif held.opens != share.opens:
        raise IdInUse
    tx.put(replace(held, due_at=max(held.due_at, envelope.expires_at)))
    settle_group(tx, share.group, present)


def count_opening(tx: RowTransaction, share: HeldShare) -> None:
    """Count one opening; raises UsedUp if the group allows no more."""
    if share.opens is None:
        return
    held = tx.get(HeldGroup, share.group) if share.group is not None else None
    if held is None or held.opened >= held.opens:
        raise UsedUp
    tx.put(replace(held, opened=held.opened + 1))


def settle_group(tx: RowTransaction, group: bytes | None, present: datetime) -> None:
    """Close all envelopes of a used-up group, once every device has stored its content."""
    held = tx.get(HeldGroup, group) if group is not None else None
    if held is None or held.opened < held.opens:
        return
    envelopes = [share.envelope for share in tx.find(HeldShare, group=group)]
    if any(tx.count(HeldAttempt, envelope=one, finished=False) for one in envelopes):
        return
    for one in envelopes:
        envelope = tx.get(HeldEnvelope, one)
        if envelope is not None:
            use_up(tx, envelope, present)
