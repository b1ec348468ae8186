"""Mailboxes, cards, prekeys and send tokens at a relay."""

from typing import Protocol

from entrenous.model.envelope import PrekeyBundle, Prekeys, SendToken, TokenBatch
from entrenous.model.ids import DeviceId, MailboxId
from entrenous.model.secret import Secret


class Mailboxes(Protocol):
    """A mailbox, how others write to it, and who may (docs/spec/relay.md sections 2, 3)."""

    def create_mailbox(
        self, url: str, mailbox: MailboxId, owner: Secret, close: Secret | None = None
    ) -> None:
        """Make a mailbox that ``owner`` opens, and ``close`` deletes."""
        ...

    def publish_card(self, url: str, mailbox: MailboxId, owner: Secret, card: bytes) -> None:
        """Put the card where holders of a send token can read it."""
        ...

    def card(self, url: str, mailbox: MailboxId, token: Secret) -> bytes:
        """Read a card."""
        ...

    def publish_prekeys(
        self, url: str, mailbox: MailboxId, owner: Secret, device: DeviceId, prekeys: Prekeys
    ) -> int:
        """Add prekeys; returns how many one-time keys the relay now holds."""
        ...

    def prekey_count(self, url: str, mailbox: MailboxId, owner: Secret, device: DeviceId) -> int:
        """How many one-time keys the relay still holds."""
        ...

    def claim_prekeys(
        self, url: str, mailbox: MailboxId, token: Secret, device: DeviceId
    ) -> PrekeyBundle:
        """Take what is needed to start a session with that device."""
        ...

    def register_token(self, url: str, mailbox: MailboxId, owner: Secret, token: SendToken) -> None:
        """Let holders of a token write to this mailbox."""
        ...

    def change_tokens(self, url: str, mailbox: MailboxId, owner: Secret, batch: TokenBatch) -> int:
        """Add and drop many tokens of one use each, together; how many are held then."""
        ...

    def withdraw_token(self, url: str, mailbox: MailboxId, owner: Secret, lock: bytes) -> None:
        """Stop letting them."""
        ...
