"""Hand waiting envelopes over to the owner of a mailbox (docs/spec/relay.md section 5).

Handing over deletes nothing. Only when the owner says that an envelope is on disk there do its
sealed bytes go; a device that crashes in between asks again.
"""

from dataclasses import replace
from datetime import datetime

from entrenous.carry.expire import bury
from entrenous.carry.mailboxes.tokens import owner
from entrenous.carry.moment import now
from entrenous.carry.states import Event, step
from entrenous.model.envelope import Waiting
from entrenous.model.held import (
    HeldAttempt,
    HeldBlob,
    HeldEnvelope,
    HeldLetter,
    HeldMailbox,
    HeldShare,
)
from entrenous.model.ids import EnvelopeId, MailboxId
from entrenous.model.secret import Secret
from entrenous.ports import MailDesk, MailView, Relay
from entrenous.spec import PAGE_FULL_BYTES, PAGE_MAX


async def waiting(
    mailbox: MailboxId, token: Secret, after: int, limit: int, relay: Relay
) -> list[Waiting]:
    """Envelopes with a sequence above ``after``, oldest first, at most ``limit`` or a page.

    What is asked for and not read waits in memory, so a page of large letters has few of them.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
    """
    present = now(relay)

    def letters(view: MailView) -> list[HeldLetter]:
        return view.letters(mailbox, after, present, min(limit, PAGE_MAX), PAGE_FULL_BYTES)

    def work(view: MailView) -> list[Waiting]:
        owner(view, mailbox, token)
        every = letters(view)
        return [Waiting(one.envelope, one.sequence, one.sealed, one.expires_at) for one in every]

    return await relay.mail.look(work, lambda view: (view.get(HeldMailbox, mailbox), letters(view)))


async def acknowledge(
    mailbox: MailboxId, token: Secret, envelope: EnvelopeId, relay: Relay
) -> None:
    """The owner has it on disk: forget the sealed bytes, if this mailbox still holds them.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
    """
    present = now(relay)

    def work(desk: MailDesk) -> None:
        owner(desk, mailbox, token)
        letter = desk.get(HeldLetter, envelope)
        held = desk.get(HeldEnvelope, envelope)
        if letter is not None and letter.mailbox == mailbox and held is not None:
            desk.drop(HeldLetter, envelope)
            _deliver(desk, held, present)

    await relay.mail.together(work, lambda view: _look_ahead(view, mailbox, envelope))


def _look_ahead(view: MailView, mailbox: MailboxId, envelope: EnvelopeId) -> None:
    view.get(HeldMailbox, mailbox)
    view.get(HeldLetter, envelope)
    view.get(HeldEnvelope, envelope)
    view.get(HeldShare, envelope)
    view.find(HeldAttempt, envelope=envelope)
    view.find(HeldBlob, envelope=envelope)


def _deliver(desk: MailDesk, held: HeldEnvelope, present: datetime) -> None:
    state = step(held.state, Event.DELIVER, held.expires_at)
    delivered = replace(held, state=state, delivered_at=present)
    share = desk.get(HeldShare, held.envelope)
    if share is not None or desk.find(HeldBlob, envelope=held.envelope):
        desk.put(delivered)
    else:
        bury(desk, delivered, present)
