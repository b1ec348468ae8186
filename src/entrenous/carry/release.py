"""Release the relay's half of a content key: counted, atomically, by attempt (relay.md section 6).

An attempt is a number that a device chooses and writes down before it asks. Asked again with the
same one, the relay gives the same share and counts nothing, so a crash between asking and storing
loses nothing; and two devices that race are two attempts, of which the database lets through as
many as are allowed: those of all devices of a person together (carry/group.py).
"""

from dataclasses import replace
from datetime import datetime

from entrenous.carry.expire import expire_envelope
from entrenous.carry.group import count, settle
from entrenous.carry.leftovers import noted, remove_soon
from entrenous.carry.moment import now
from entrenous.carry.states import Event, step
from entrenous.craft.crypto.hashing import lock_of, same
from entrenous.model.envelope import EnvelopeState
from entrenous.model.held import HeldAttempt, HeldEnvelope, HeldShare
from entrenous.model.ids import EnvelopeId
from entrenous.model.relay_problem import Expired, NoSuchEnvelope, UsedUp, WrongToken
from entrenous.model.secret import Secret
from entrenous.ports import MailDesk, MailView, Relay
from entrenous.spec import OPENS_MAX


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

    def work(desk: MailDesk) -> None:
        _opened_by(desk, envelope, token)
        share = desk.get(HeldShare, envelope)
        if share is None or desk.get(HeldAttempt, envelope, attempt) is None:
            return
        desk.put(HeldAttempt(envelope, attempt, finished=True))
        settle(desk, share.group, present)

    _, left = await relay.mail.together(
        noted(work), lambda view: _look_ahead(view, envelope, attempt)
    )
    await remove_soon(left, relay)


def _look_ahead(view: MailView, envelope: EnvelopeId, attempt: bytes) -> None:
    view.get(HeldEnvelope, envelope)
    view.get(HeldShare, envelope)
    view.get(HeldAttempt, envelope, attempt)


def _open(
    desk: MailDesk, envelope: EnvelopeId, token: Secret, attempt: bytes, present: datetime
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


def _opened_by(view: MailView, envelope: EnvelopeId, token: Secret) -> HeldEnvelope:
    held = view.get(HeldEnvelope, envelope)
    if held is None or held.open_lock is None:
        raise NoSuchEnvelope
    if not same(held.open_lock, lock_of(token)):
        raise WrongToken
    return held


def _state_at(held: HeldEnvelope, present: datetime) -> EnvelopeState:
    """As :func:`entrenous.carry.expire.lapse` would leave it; a refusal undoes what it writes."""
    over = held.closed_at is None and present >= held.expires_at
    return step(held.state, Event.EXPIRE, held.expires_at) if over else held.state


def _count(
    desk: MailDesk, held: HeldEnvelope, share: HeldShare, attempt: bytes, present: datetime
) -> None:
    """Write the attempt down; where any number is allowed, the first thousand are told apart."""
    count(desk, share)
    if held.opened >= OPENS_MAX:
        return
    desk.put(HeldAttempt(held.envelope, attempt, finished=False))
    desk.put(replace(held, opened=held.opened + 1, opened_at=held.opened_at or present))
