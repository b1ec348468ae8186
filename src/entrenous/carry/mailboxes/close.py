"""Delete a mailbox with all that lies in it (docs/spec/relay.md section 10).

So a device that was lost is cut off: its letters, shares and blobs go, and with its unlock key
every chance to open the vault in its folder. The owner may, and whoever holds the close token: the
same person's other devices, and her recovery sheet.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from entrenous.carry.expire import close, forget_blob, forget_upload, remove_leftovers
from entrenous.carry.mailboxes.tokens import closer, owner
from entrenous.carry.moment import now
from entrenous.carry.states import Event
from entrenous.model.held import (
    HELD,
    GoneMailbox,
    HeldBlob,
    HeldCard,
    HeldEnvelope,
    HeldKey,
    HeldLetter,
    HeldLock,
    HeldMailbox,
    HeldShare,
    HeldToken,
    HeldUpload,
    LastingKeys,
    SpentKey,
)
from entrenous.model.ids import EnvelopeId, MailboxId
from entrenous.model.secret import Secret
from entrenous.ports import MailDesk, Relay
from entrenous.spec import GONE_DAYS

#: What simply goes with its mailbox.
_BELONGINGS: Final[tuple[type[Any], ...]] = (
    *(HeldLock, HeldCard, HeldToken, HeldKey, SpentKey, LastingKeys),
)


async def set_close_lock(
    mailbox: MailboxId, token: Secret, close_lock: bytes, relay: Relay
) -> None:
    """From now on another token deletes this mailbox; raises NoSuchMailbox, WrongToken."""

    def work(desk: MailDesk) -> None:
        desk.put(replace(owner(desk, mailbox, token), close_lock=close_lock))

    await relay.mail.together(work)


async def close_mailbox(mailbox: MailboxId, token: Secret, relay: Relay) -> None:
    """Delete it now, in one transaction; its name stays taken for 30 days. May be repeated.

    Raises:
        NoSuchMailbox, WrongToken: this is neither the owner nor the holder of the close token.
    """
    present = now(relay)

    def work(desk: MailDesk) -> None:
        if desk.get(GoneMailbox, mailbox) is not None:
            return
        closer(desk, mailbox, token)
        _empty(desk, mailbox, present)
        desk.drop(HeldMailbox, mailbox)
        desk.put(GoneMailbox(mailbox, present + timedelta(days=GONE_DAYS)))

    await relay.mail.together(work)
    await remove_leftovers(relay)


def _empty(desk: MailDesk, mailbox: MailboxId, present: datetime) -> None:
    for envelope in _envelopes(desk, mailbox):
        held = desk.get(HeldEnvelope, envelope)
        if held is not None:
            close(desk, held, Event.REVOKE, present)
    for blob in desk.find(HeldBlob, mailbox=mailbox):
        forget_blob(desk, blob, present)
    for upload in desk.find(HeldUpload, mailbox=mailbox):
        forget_upload(desk, upload, present)
    for kind in _BELONGINGS:
        for row in desk.find(kind, mailbox=mailbox):
            desk.drop(kind, *(getattr(row, name) for name in HELD[kind]))


def _envelopes(desk: MailDesk, mailbox: MailboxId) -> set[EnvelopeId]:
    """Those of which anything is left: a letter, a share or a blob."""
    letters = {letter.envelope for letter in desk.find(HeldLetter, mailbox=mailbox)}
    shares = {share.envelope for share in desk.find(HeldShare, mailbox=mailbox)}
    blobs = {blob.envelope for blob in desk.find(HeldBlob, mailbox=mailbox) if blob.envelope}
    return letters | shares | blobs
