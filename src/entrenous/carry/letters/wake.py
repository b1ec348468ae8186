"""Tell a device that something waits for it, and nothing about what (relay.md section 13)."""

from entrenous.carry.mailboxes.tokens import owner
from entrenous.carry.moment import now
from entrenous.model.ids import MailboxId
from entrenous.model.secret import Secret
from entrenous.ports import MailView, Relay


async def letter_comes(
    mailbox: MailboxId, token: Secret, seconds: float, relay: Relay, network: bytes = b""
) -> bool:
    """Whether a letter waits, or comes within ``seconds``; False sooner if others need the place.

    Args:
        mailbox: where it would come.
        token: the owner's.
        seconds: how long to wait.
        relay: the relay.
        network: from where it is asked, if that is known.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
    """
    waits = await _waits(mailbox, token, relay)
    if waits or relay.bell is None:
        return waits
    with relay.bell.listen(mailbox, network) as rings:
        # Looked at again: a letter may have come before we listened.
        return await _waits(mailbox, token, relay) or await rings(seconds)


async def _waits(mailbox: MailboxId, token: Secret, relay: Relay) -> bool:
    present = now(relay)

    def work(view: MailView) -> bool:
        owner(view, mailbox, token)
        return bool(view.letters(mailbox, 0, present, 1, 1))

    return await relay.mail.look(work)
