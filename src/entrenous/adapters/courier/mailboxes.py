"""Mailboxes, cards, prekeys and send tokens at a relay."""

from entrenous.adapters.courier.request import Ask, Asks, Errand
from entrenous.craft.crypto.hashing import lock_of
from entrenous.craft.wire.b64u import b64u
from entrenous.craft.wire.relay import mailbox as about
from entrenous.model.envelope import PrekeyBundle, Prekeys, SendToken, TokenBatch
from entrenous.model.ids import DeviceId, MailboxId
from entrenous.model.secret import Secret


class HttpMailboxes:
    """The port of the same name over HTTP; ``asks`` makes one request and reads its answer."""

    def __init__(self, asks: Asks) -> None:
        self._ask = asks

    def create_mailbox(
        self, url: str, mailbox: MailboxId, owner: Secret, close: Secret | None = None
    ) -> None:
        """Make a mailbox that ``owner`` opens, and ``close`` deletes."""
        body = about.write_mailbox_locks(lock_of(owner), lock_of(close) if close else None)
        self._ask(url, Ask("PUT", f"mailboxes/{b64u(mailbox)}", body=body))

    def publish_card(self, url: str, mailbox: MailboxId, owner: Secret, card: bytes) -> None:
        """Put the card where holders of a send token can read it."""
        self._ask(url, Ask("PUT", f"mailboxes/{b64u(mailbox)}/card", owner, card))

    def card(self, url: str, mailbox: MailboxId, token: Secret) -> bytes:
        """Read a card."""
        path = f"mailboxes/{b64u(mailbox)}/card"
        return self._ask(url, Ask("GET", path, token, errand=Errand.LETTER))

    def publish_prekeys(
        self, url: str, mailbox: MailboxId, owner: Secret, device: DeviceId, prekeys: Prekeys
    ) -> int:
        """Add prekeys; returns how many one-time keys the relay now holds."""
        body = about.write_prekeys(prekeys)
        answer = self._ask(url, Ask("PUT", _prekeys(mailbox, device), owner, body))
        return about.read_key_count(answer)

    def prekey_count(self, url: str, mailbox: MailboxId, owner: Secret, device: DeviceId) -> int:
        """How many one-time keys the relay still holds."""
        answer = self._ask(url, Ask("GET", _prekeys(mailbox, device), owner))
        return about.read_key_count(answer)

    def claim_prekeys(
        self, url: str, mailbox: MailboxId, token: Secret, device: DeviceId
    ) -> PrekeyBundle:
        """Take what is needed to start a session with that device."""
        path = f"{_prekeys(mailbox, device)}/claim"
        answer = self._ask(url, Ask("POST", path, token, errand=Errand.LETTER))
        return about.read_bundle(answer, device)

    def register_token(self, url: str, mailbox: MailboxId, owner: Secret, token: SendToken) -> None:
        """Let holders of a token write to this mailbox."""
        path = f"mailboxes/{b64u(mailbox)}/tokens/{b64u(token.lock)}"
        self._ask(url, Ask("PUT", path, owner, about.write_send_token(token)))

    def change_tokens(self, url: str, mailbox: MailboxId, owner: Secret, batch: TokenBatch) -> int:
        """Add and drop many tokens of one use each."""
        path, body = f"mailboxes/{b64u(mailbox)}/tokens", about.write_batch(batch)
        return about.read_held(self._ask(url, Ask("POST", path, owner, body)))

    def withdraw_token(self, url: str, mailbox: MailboxId, owner: Secret, lock: bytes) -> None:
        """Stop letting them."""
        self._ask(url, Ask("DELETE", f"mailboxes/{b64u(mailbox)}/tokens/{b64u(lock)}", owner))


def _prekeys(mailbox: MailboxId, device: DeviceId) -> str:
    return f"mailboxes/{b64u(mailbox)}/prekeys/{b64u(device)}"
