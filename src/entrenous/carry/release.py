"""Release the relay's half of a content key: counted, atomically, by attempt (docs/spec/relay.md
section 6).

Openings are counted for a person in a share group, not for each device.
"""

from dataclasses import replace
from datetime import datetime

from entrenous.base.errors import Expired, IdInUse, NoSuchEnvelope, UsedUp, WrongToken
from entrenous.base.identifiers import EnvelopeId
from entrenous.base.limits import OPENS_MAX
from entrenous.base.secret import Secret
from entrenous.carry.envelope_states import Event, step
from entrenous.carry.expire import expire_envelope, noted, remove_soon, use_up
from entrenous.carry.relay import Relay, RowTransaction, RowView, now
from entrenous.carry.relay_rows import HeldAttempt, HeldEnvelope, HeldGroup, HeldShare
from entrenous.crypto.hashing import equal_in_constant_time, lock_of
from entrenous.wire.relay_nouns import Envelope, EnvelopeState


async def open_share(envelope: EnvelopeId, token: Secret, attempt: bytes, relay: Relay) -> Secret:
    """Give the share out, if it may still be.

    Raises:
        NoSuchEnvelope, WrongToken: unknown here, or not for this token.
        TakenBack, Expired, UsedUp: there is nothing left to give, at least for this attempt.
        RelayClockAhead: by this clock nobody knows whether it has expired.
    """
    present = now(relay)
    try:
        return await relay.mail.together(
            lambda desk: _open(desk, envelope, token, attempt, present),
            lambda view: _look_ahead(view, envelope, attempt),
        )
    except Expired:
        await expire_envelope(envelope, relay)
        raise


async def finish(envelope: EnvelopeId, token: Secret, attempt: bytes, relay: Relay) -> None:
    """The device of that attempt has the content; the last one lets the shares go.

    Raises:
        NoSuchEnvelope, WrongToken: unknown here, or not for this token.
    """
    present = now(relay)

    def work(desk: RowTransaction) -> None:
        _opened_by(desk, envelope, token)
        share = desk.get(HeldShare, envelope)
        if share is None or desk.get(HeldAttempt, envelope, attempt) is None:
            return
        desk.put(HeldAttempt(envelope, attempt, finished=True))
        settle_group(desk, share.group, present)

    _, left = await relay.mail.together(
        noted(work), lambda view: _look_ahead(view, envelope, attempt)
    )
    await remove_soon(left, relay)


def _look_ahead(view: RowView, envelope: EnvelopeId, attempt: bytes) -> None:
    view.get(HeldEnvelope, envelope)
    view.get(HeldShare, envelope)
    view.get(HeldAttempt, envelope, attempt)


def _open(
    desk: RowTransaction, envelope: EnvelopeId, token: Secret, attempt: bytes, present: datetime
) -> Secret:
    held = _opened_by(desk, envelope, token)
    state = step(_state_at(held, present), Event.OPEN, held.expires_at)
    share = desk.get(HeldShare, envelope)
    if share is None:
        raise UsedUp
    before = desk.get(HeldAttempt, envelope, attempt)
    if before is None:
        _count(desk, replace(held, state=state), share, attempt, present)
    elif before.finished and share.opens is not None:
        raise UsedUp  # by a copy of that disk; nor does a late repeat count as one more
    return share.value


def _opened_by(view: RowView, envelope: EnvelopeId, token: Secret) -> HeldEnvelope:
    held = view.get(HeldEnvelope, envelope)
    if held is None or held.open_lock is None:
        raise NoSuchEnvelope
    if not equal_in_constant_time(held.open_lock, lock_of(token)):
        raise WrongToken
    return held


def _state_at(held: HeldEnvelope, present: datetime) -> EnvelopeState:
    """As :func:`entrenous.carry.expire.lapse` would leave it; a refusal undoes what it writes."""
    over = held.closed_at is None and present >= held.expires_at
    return step(held.state, Event.EXPIRE, held.expires_at) if over else held.state


def _count(
    desk: RowTransaction, held: HeldEnvelope, share: HeldShare, attempt: bytes, present: datetime
) -> None:
    """Write the attempt down; where any number is allowed, the first thousand are told apart."""
    count_opening(desk, share)
    if held.opened >= OPENS_MAX:
        return
    desk.put(HeldAttempt(held.envelope, attempt, finished=False))
    desk.put(replace(held, opened=held.opened + 1, opened_at=held.opened_at or present))


def join_group(desk: RowTransaction, envelope: Envelope, present: datetime) -> None:
    """Let a posted share be counted with those of its group.

    Raises:
        IdInUse: the group may be opened another number of times.
    """
    share = envelope.share
    if share is None or share.group is None or share.opens is None:
        return
    held = desk.get(HeldGroup, share.group)
    if held is None or held.due_at <= present:
        held = HeldGroup(share.group, share.opens, 0, envelope.expires_at)
    elif held.opens != share.opens:
        raise IdInUse
    desk.put(replace(held, due_at=max(held.due_at, envelope.expires_at)))
    settle_group(desk, share.group, present)


def count_opening(desk: RowTransaction, share: HeldShare) -> None:
    """Count one opening, if the group allows one more; raises UsedUp."""
    if share.opens is None:
        return
    held = desk.get(HeldGroup, share.group) if share.group is not None else None
    if held is None or held.opened >= held.opens:
        raise UsedUp
    desk.put(replace(held, opened=held.opened + 1))


def settle_group(desk: RowTransaction, group: bytes | None, present: datetime) -> None:
    """End the content of every envelope of a group that is used up, once all have what they
    were given.
    """
    held = desk.get(HeldGroup, group) if group is not None else None
    if held is None or held.opened < held.opens:
        return
    envelopes = [share.envelope for share in desk.find(HeldShare, group=group)]
    if any(desk.count(HeldAttempt, envelope=one, finished=False) for one in envelopes):
        return
    for one in envelopes:
        envelope = desk.get(HeldEnvelope, one)
        if envelope is not None:
            use_up(desk, envelope, present)
