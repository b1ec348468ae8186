"""Make a mailbox, and show the card that its owner put there (docs/spec/relay.md section 2)."""

from typing import Final

from entrenous.carry.mailboxes.tokens import owner, reader
from entrenous.carry.moment import now
from entrenous.craft.crypto.hashing import same
from entrenous.model.held import GoneMailbox, HeldCard, HeldMailbox
from entrenous.model.ids import ID_BYTES, MailboxId
from entrenous.model.relay_problem import IdInUse, MailboxesClosed, NoSuchMailbox, TooLarge
from entrenous.model.secret import Secret
from entrenous.ports import MailDesk, MailView, Relay
from entrenous.spec import CARD_BYTES_MAX

#: Where shares are whose mailbox a relay of the first schema did not know: whoever had it could
#: end them all.
_NOBODYS: Final = MailboxId(bytes(ID_BYTES))


async def create_mailbox(
    mailbox: MailboxId, owner_lock: bytes, relay: Relay, close_lock: bytes | None = None
) -> bool:
    """Make a mailbox for whoever holds the token of ``owner_lock``; False if it was there before.

    Whoever holds that of ``close_lock`` may delete it (carry/mailboxes/close.py).

    Raises:
        IdInUse: there is one of that name, with other locks; or there was, until lately; or the
            name is nobody's.
        MailboxesClosed: this relay makes no new ones.
    """

    def work(desk: MailDesk) -> bool:
        if mailbox == _NOBODYS:
            raise IdInUse
        held = desk.get(HeldMailbox, mailbox)
        if held is None and desk.get(GoneMailbox, mailbox) is None:
            if not relay.limits.mailbox_open:
                raise MailboxesClosed
            desk.put(HeldMailbox(mailbox, owner_lock, close_lock=close_lock))
        elif held is None or not _is_same(held, owner_lock, close_lock):
            raise IdInUse
        return held is None

    return await relay.mail.together(work)


async def put_card(mailbox: MailboxId, token: Secret, card: bytes, relay: Relay) -> None:
    """Show ``card`` from now on.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
        TooLarge: more than 128 KiB.
    """
    if len(card) > CARD_BYTES_MAX:
        raise TooLarge(limit_bytes=CARD_BYTES_MAX)

    def work(desk: MailDesk) -> None:
        owner(desk, mailbox, token)
        desk.put(HeldCard(mailbox, card))

    await relay.mail.together(work)


async def card_of(mailbox: MailboxId, token: Secret, relay: Relay) -> bytes:
    """The card, for the owner or the holder of a send token.

    Raises:
        NoSuchMailbox: no such mailbox, or it has no card yet.
        WrongToken: neither of the two.
    """
    present = now(relay)

    def work(view: MailView) -> bytes:
        reader(view, mailbox, token, present)
        held = view.get(HeldCard, mailbox)
        if held is None:
            raise NoSuchMailbox
        return held.card

    return await relay.mail.look(work)


def _is_same(held: HeldMailbox, owner_lock: bytes, close_lock: bytes | None) -> bool:
    return same(held.owner_lock, owner_lock) and same(held.close_lock or b"", close_lock or b"")
