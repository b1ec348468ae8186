"""Delete a mailbox with all that lies in it (docs/spec/relay.md section 10).

So a device that was lost is cut off: its letters, shares and blobs go, and with its unlock key
every chance to open the vault in its folder. The owner may, and whoever holds the close token: the
same person's other devices, and her recovery sheet.
"""

from dataclasses import replace
from functools import partial

from entrenous.carry.expire import EMPTYING, empty_some
from entrenous.carry.leftovers import noted, remove_soon
from entrenous.carry.mailboxes.tokens import closer, owner
from entrenous.carry.moment import now
from entrenous.model.held import GoneMailbox, HeldCard, HeldLock, HeldMailbox
from entrenous.model.ids import MailboxId
from entrenous.model.secret import Secret
from entrenous.ports import MailDesk, Relay


async def set_close_lock(
    mailbox: MailboxId, token: Secret, close_lock: bytes, relay: Relay
) -> None:
    """From now on another token deletes this mailbox; raises NoSuchMailbox, WrongToken."""

    def work(desk: MailDesk) -> None:
        desk.put(replace(owner(desk, mailbox, token), close_lock=close_lock))

    await relay.mail.together(work)


async def close_mailbox(mailbox: MailboxId, token: Secret, relay: Relay) -> None:
    """Delete it; when this returns, all is gone but its name, taken for 30 days, and what bytes of
    blobs the store has not removed yet. May be repeated.

    It is nobody's any more after the first of several transactions; what is left after a crash goes
    with the next sweep.

    Raises:
        NoSuchMailbox, WrongToken: this is neither the owner nor the holder of the close token.
    """

    def work(desk: MailDesk) -> GoneMailbox:
        gone = desk.get(GoneMailbox, mailbox)
        if gone is not None:
            return gone
        closer(desk, mailbox, token)
        for kind in (HeldMailbox, HeldLock, HeldCard):
            desk.drop(kind, mailbox)
        desk.put(GoneMailbox(mailbox, EMPTYING))
        return GoneMailbox(mailbox, EMPTYING)

    gone, left, more = await relay.mail.together(work), list[str](), True
    while more:
        part = noted(partial(empty_some, gone=gone, present=now(relay)))
        more, names = await relay.mail.together(part)
        left += names
    await remove_soon(left, relay)
