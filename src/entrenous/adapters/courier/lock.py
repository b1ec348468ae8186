"""The relay's part of a device's lock, and the end of a mailbox."""

from entrenous.adapters.courier.request import Ask, Asks
from entrenous.craft.crypto.hashing import lock_of
from entrenous.craft.wire.b64u import b64u
from entrenous.craft.wire.relay import lock as about
from entrenous.model.ids import MailboxId
from entrenous.model.lock import Answered, Opening, RelayLock
from entrenous.model.secret import Secret


class HttpLocks:
    """The port of the same name over HTTP; ``asks`` makes one request and reads its answer."""

    def __init__(self, asks: Asks) -> None:
        self._ask = asks

    def make_lock(self, lock: RelayLock, owner: Secret) -> None:
        """Have a key drawn for this device; may be repeated."""
        body = about.write_unlock_lock(lock_of(lock.unlock_token))
        self._ask(lock.relay_url, Ask("PUT", f"mailboxes/{b64u(lock.mailbox)}/lock", owner, body))

    def unlock(self, lock: RelayLock, blinded: bytes) -> Answered:
        """Ask one question; it is counted."""
        path = f"mailboxes/{b64u(lock.mailbox)}/lock/evaluate"
        question = Ask("POST", path, lock.unlock_token, about.write_question(blinded))
        return about.read_answer(self._ask(lock.relay_url, question))

    def note_opened(self, url: str, mailbox: MailboxId, owner: Secret, opening: Opening) -> None:
        """Say that the vault opened, in this state of it."""
        path = f"mailboxes/{b64u(mailbox)}/lock/opened"
        self._ask(url, Ask("POST", path, owner, about.write_opened(opening)))

    def allow_more_tries(self, url: str, mailbox: MailboxId, close: Secret) -> None:
        """Give a device all its tries back."""
        self._ask(url, Ask("POST", f"mailboxes/{b64u(mailbox)}/lock/reset", close))

    def renew_lock(self, lock: RelayLock, owner: Secret) -> None:
        """From now on this token asks questions; may be repeated."""
        body = about.write_unlock_lock(lock_of(lock.unlock_token))
        path = f"mailboxes/{b64u(lock.mailbox)}/lock/renew"
        self._ask(lock.relay_url, Ask("POST", path, owner, body))

    def set_close_token(self, url: str, mailbox: MailboxId, owner: Secret, close: Secret) -> None:
        """From now on, ``close`` deletes this mailbox."""
        body = about.write_close_lock(lock_of(close))
        self._ask(url, Ask("PUT", f"mailboxes/{b64u(mailbox)}/close-lock", owner, body))

    def close_mailbox(self, url: str, mailbox: MailboxId, token: Secret) -> None:
        """Delete a mailbox and all that lies in it; may be repeated."""
        self._ask(url, Ask("DELETE", f"mailboxes/{b64u(mailbox)}", token))
