"""The relay's part of a device's lock, and the end of a mailbox."""

from typing import Protocol

from entrenous.model.ids import MailboxId
from entrenous.model.lock import Answered, Opening, RelayLock
from entrenous.model.secret import Secret


class Locks(Protocol):
    """What a relay holds so that a vault opens, or never again (relay.md 10, lock.md)."""

    def make_lock(self, lock: RelayLock, owner: Secret) -> None:
        """Have a key drawn for this device; may be repeated; raises LockExists."""
        ...

    def unlock(self, lock: RelayLock, blinded: bytes) -> Answered:
        """Ask one question; it is counted. Raises Locked, NoLock, WrongToken, NotAPoint."""
        ...

    def note_opened(self, url: str, mailbox: MailboxId, owner: Secret, opening: Opening) -> None:
        """Say that the vault opened, in this state of it; raises RolledBack, NoLock."""
        ...

    def allow_more_tries(self, url: str, mailbox: MailboxId, close: Secret) -> None:
        """Give a device all its tries back; raises NoLock."""
        ...

    def renew_lock(self, lock: RelayLock, owner: Secret) -> None:
        """From now on this token asks questions, none before it; may be repeated; raises NoLock."""
        ...

    def set_close_token(self, url: str, mailbox: MailboxId, owner: Secret, close: Secret) -> None:
        """From now on, ``close`` deletes this mailbox."""
        ...

    def close_mailbox(self, url: str, mailbox: MailboxId, token: Secret) -> None:
        """Delete a mailbox, its letters, shares and blobs, and its lock; may be repeated."""
        ...
