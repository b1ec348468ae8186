"""How much one mailbox may hold, so that nobody fills the relay through it (relay.md section 9)."""

from typing import Final

from entrenous.model.held import (
    HeldBlob,
    HeldLetter,
    HeldShare,
    HeldToken,
    HeldUpload,
    LastingKeys,
)
from entrenous.model.ids import MailboxId
from entrenous.model.relay_problem import MailboxFull, TooManyRegistered
from entrenous.model.relay_settings import Limits
from entrenous.ports import MailView
from entrenous.spec import (
    GROUP_SHARES_MAX,
    LETTERS_WAITING_MAX,
    LOOSE_BLOBS_MAX,
    LOOSE_BYTES_MAX,
    MAILBOX_BLOBS_MAX,
    MAILBOX_BYTES_MAX,
    PREKEY_DEVICES_MAX,
    SHARES_MAX,
    TOKENS_MAX,
)

_RETRY_S: Final = 3600  # room comes when a person opens her device; asking sooner is no use


def room_for_letter(view: MailView, mailbox: MailboxId, limits: Limits) -> None:
    """Return if one more letter may wait in a mailbox; raises MailboxFull."""
    if view.count(HeldLetter, mailbox=mailbox) >= min(limits.letters, LETTERS_WAITING_MAX):
        raise MailboxFull(retry_after_s=_RETRY_S)


def room_for_share(view: MailView, mailbox: MailboxId) -> None:
    """Return if the share of one more letter may be kept for a mailbox; raises MailboxFull.

    It stays when the letter was fetched, so letters that wait do not bound it.
    """
    if view.count(HeldShare, mailbox=mailbox) >= SHARES_MAX:
        raise MailboxFull(retry_after_s=_RETRY_S)


def room_in_group(view: MailView, group: bytes) -> None:
    """Return if the share of one more device may join a group; raises MailboxFull.

    Whatever ends a group reads all of them in one go, while everybody else waits.
    """
    if view.count(HeldShare, group=group) >= GROUP_SHARES_MAX:
        raise MailboxFull(retry_after_s=_RETRY_S)


def room_for_blob(view: MailView, mailbox: MailboxId, size: int, limits: Limits) -> None:
    """Return if a blob of ``size`` bytes may come into a mailbox; raises MailboxFull.

    What is on its way counts as if it were there.
    """
    coming = view.weigh(HeldUpload, "size", mailbox=mailbox)
    loose = view.weigh(HeldBlob, "size", mailbox=mailbox, envelope=None)
    every = view.weigh(HeldBlob, "size", mailbox=mailbox)
    for (rows, total), (rows_max, bytes_max) in (
        (loose, (LOOSE_BLOBS_MAX, min(limits.loose_bytes, LOOSE_BYTES_MAX))),
        (every, (MAILBOX_BLOBS_MAX, min(limits.mailbox_bytes, MAILBOX_BYTES_MAX))),
    ):
        if rows + coming[0] >= rows_max or total + coming[1] + size > bytes_max:
            raise MailboxFull(retry_after_s=_RETRY_S)


def room_for_token(view: MailView, mailbox: MailboxId) -> None:
    """Return if one more token may open a mailbox to writers; raises TooManyRegistered."""
    room_for_tokens(view.count(HeldToken, mailbox=mailbox), 1)


def room_for_tokens(held: int, more: int) -> None:
    """Return if so many more tokens may join those that are held; raises TooManyRegistered."""
    if held + more > TOKENS_MAX:
        raise TooManyRegistered(limit=TOKENS_MAX, retry_after_s=_RETRY_S)


def room_for_device(view: MailView, mailbox: MailboxId) -> None:
    """Return if one more device may leave its keys at a mailbox; raises TooManyRegistered."""
    if view.count(LastingKeys, mailbox=mailbox) >= PREKEY_DEVICES_MAX:
        raise TooManyRegistered(limit=PREKEY_DEVICES_MAX, retry_after_s=_RETRY_S)
