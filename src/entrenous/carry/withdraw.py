"""Withdraw an envelope, and show its state to its sender (docs/spec/relay.md section 7)."""

from datetime import datetime, timedelta
from typing import Final

from entrenous.base.errors import NoSuchEnvelope, RelayClockAhead, WrongToken
from entrenous.base.identifiers import EnvelopeId
from entrenous.base.limits import ON_ITS_WAY_HOURS, TOMBSTONE_DAYS
from entrenous.base.secret import Secret
from entrenous.carry.envelope_states import Event
from entrenous.carry.expire import close, lapse, noted, remove_soon
from entrenous.carry.relay import Relay, RowTransaction, now
from entrenous.carry.relay_rows import HeldEnvelope
from entrenous.carry.restore import restored_at
from entrenous.crypto.hashing import equal_in_constant_time, lock_of
from entrenous.wire.relay_nouns import EnvelopeState, EnvelopeStatus

_ON_ITS_WAY: Final = timedelta(hours=ON_ITS_WAY_HOURS)
_REMEMBERED: Final = timedelta(days=TOMBSTONE_DAYS)  # what was there is known for so long
_NEVER_CAME: Final = b""  # in place of the hash of what was posted


async def withdraw(envelope: EnvelopeId, token: Secret, relay: Relay) -> EnvelopeStatus:
    """Forget sealed bytes, share and blobs; the status says whether it had been opened before.

    May be repeated. What has expired stays expired. What is unknown may still be on its way here:
    its id is refused for as long as a post can hang in the network.

    Raises:
        NoSuchEnvelope: unknown here; with the fact ``refused_until``, unless the relay was restored
            lately and may have known it before.
        WrongToken: not this sender's.
    """
    present = now(relay)

    def work(desk: RowTransaction) -> EnvelopeStatus | datetime | None:
        held = desk.get(HeldEnvelope, envelope)
        if held is None:
            held = _never_came(envelope, lock_of(token), present + _ON_ITS_WAY, present)
            desk.put(held)
        held = _this_senders(held, token)
        if never_came(held):
            return _refused_until(held, desk, present)
        return _status(close(desk, _lapsed(desk, held, present), Event.WITHDRAW, present))

    status, left = await relay.mail.together(noted(work))
    if status is None:
        raise NoSuchEnvelope
    if isinstance(status, datetime):
        raise NoSuchEnvelope(refused_until=status)
    await remove_soon(left, relay)
    return status


async def envelope_status(envelope: EnvelopeId, token: Secret, relay: Relay) -> EnvelopeStatus:
    """Where an envelope is, for its sender.

    Raises:
        NoSuchEnvelope, WrongToken: unknown here, or not this sender's.
        RelayClockAhead: by this clock nobody knows whether it has expired.
    """
    present = now(relay)
    look = noted(lambda desk: _status(_sent_by(desk, envelope, token, present)))
    status, left = await relay.mail.together(look)
    await remove_soon(left, relay)
    return status


def _lapsed(desk: RowTransaction, held: HeldEnvelope, present: datetime) -> HeldEnvelope:
    """Where nobody knows whether its time is over, it is taken back all the same."""
    try:
        return lapse(desk, held, present)
    except RelayClockAhead:
        return held


def _sent_by(
    desk: RowTransaction, envelope: EnvelopeId, token: Secret, present: datetime
) -> HeldEnvelope:
    held = desk.get(HeldEnvelope, envelope)
    if held is None or never_came(held):
        raise NoSuchEnvelope
    return lapse(desk, _this_senders(held, token), present)


def _this_senders(held: HeldEnvelope, token: Secret) -> HeldEnvelope:
    if not equal_in_constant_time(held.withdraw_lock, lock_of(token)):
        raise WrongToken
    return held


def never_came(held: HeldEnvelope) -> bool:
    """Whether it is only the note that this id was taken back before anything came under it."""
    return held.digest == _NEVER_CAME


def _refused_until(held: HeldEnvelope, desk: RowTransaction, present: datetime) -> datetime | None:
    restored = restored_at(desk)
    forgot = restored is not None and present < restored + _REMEMBERED
    return None if forgot else held.expires_at


def _never_came(
    envelope: EnvelopeId, withdraw_lock: bytes, until: datetime, present: datetime
) -> HeldEnvelope:
    return HeldEnvelope(
        *(envelope, _NEVER_CAME, withdraw_lock, None, EnvelopeState.TAKEN_BACK, 0),
        *(until, None, None, present, until),
    )


def _status(held: HeldEnvelope) -> EnvelopeStatus:
    return EnvelopeStatus(held.state, held.opened, held.delivered_at, held.opened_at)
