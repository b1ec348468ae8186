"""Envelopes at a relay: post, fetch, acknowledge, take back."""

from typing import Protocol

from entrenous.model.envelope import Envelope, EnvelopeStatus, Waiting
from entrenous.model.ids import EnvelopeId, MailboxId
from entrenous.model.secret import Secret


class Letters(Protocol):
    """What is posted into a mailbox, and what becomes of it (docs/spec/relay.md sections 5, 7)."""

    def post(self, url: str, token: Secret, envelope: Envelope) -> None:
        """Post an envelope; durable when it returns; may be repeated."""
        ...

    def waiting(self, url: str, mailbox: MailboxId, owner: Secret, after: int) -> list[Waiting]:
        """Envelopes with a sequence above ``after``, oldest first, at most a page of them."""
        ...

    def acknowledge(
        self, url: str, mailbox: MailboxId, owner: Secret, envelope: EnvelopeId
    ) -> None:
        """Say that an envelope is on disk here; the relay forgets its bytes."""
        ...

    def withdraw(self, url: str, envelope: EnvelopeId, withdraw_token: Secret) -> EnvelopeStatus:
        """Take an envelope back."""
        ...

    def state(self, url: str, envelope: EnvelopeId, withdraw_token: Secret) -> EnvelopeStatus:
        """Where one of our own envelopes is."""
        ...
