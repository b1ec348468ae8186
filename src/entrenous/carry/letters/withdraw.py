"""Take an envelope back, and let its sender see where it is (docs/spec/relay.md section 7)."""

from datetime import datetime

from entrenous.carry.expire import close, lapse
from entrenous.carry.leftovers import remove_leftovers
from entrenous.carry.moment import now
from entrenous.carry.states import Event
from entrenous.craft.crypto.hashing import lock_of, same
from entrenous.model.envelope import EnvelopeStatus
from entrenous.model.held import HeldEnvelope
from entrenous.model.ids import EnvelopeId
from entrenous.model.relay_problem import NoSuchEnvelope, WrongToken
from entrenous.model.secret import Secret
from entrenous.ports import MailDesk, Relay


async def withdraw(envelope: EnvelopeId, token: Secret, relay: Relay) -> EnvelopeStatus:
    """Forget sealed bytes, share and blobs; the status says whether it had been opened before.

    May be repeated. What has expired stays expired.

    Raises:
        NoSuchEnvelope, WrongToken: unknown here, or not this sender's.
    """
    present = now(relay)

    def work(desk: MailDesk) -> EnvelopeStatus:
        held = _sent_by(desk, envelope, token, present)
        return _status(close(desk, held, Event.WITHDRAW, present))

    status = await relay.mail.together(work)
    await remove_leftovers(relay)
    return status


async def look_after(envelope: EnvelopeId, token: Secret, relay: Relay) -> EnvelopeStatus:
    """Where an envelope is, for its sender.

    Raises:
        NoSuchEnvelope, WrongToken: unknown here, or not this sender's.
    """
    present = now(relay)
    return await relay.mail.together(lambda desk: _status(_sent_by(desk, envelope, token, present)))


def _sent_by(
    desk: MailDesk, envelope: EnvelopeId, token: Secret, present: datetime
) -> HeldEnvelope:
    held = desk.get(HeldEnvelope, envelope)
    if held is None:
        raise NoSuchEnvelope
    if not same(held.withdraw_lock, lock_of(token)):
        raise WrongToken
    return lapse(desk, held, present)


def _status(held: HeldEnvelope) -> EnvelopeStatus:
    return EnvelopeStatus(held.state, held.opened, held.delivered_at, held.opened_at)
