"""Envelopes at a relay: post, fetch, acknowledge, take back."""

from entrenous.adapters.courier.request import PAGE_BYTES_MAX, Ask, Asks, Errand
from entrenous.craft.wire.b64u import b64u
from entrenous.craft.wire.relay import envelope as about
from entrenous.model.envelope import Envelope, EnvelopeStatus, Waiting
from entrenous.model.ids import EnvelopeId, MailboxId
from entrenous.model.secret import Secret


class HttpLetters:
    """The port of the same name over HTTP; ``asks`` makes one request and reads its answer."""

    def __init__(self, asks: Asks) -> None:
        self._ask = asks

    def post(self, url: str, token: Secret, envelope: Envelope) -> None:
        """Post an envelope; durable when it returns; may be repeated."""
        path = f"mailboxes/{b64u(envelope.mailbox)}/envelopes/{b64u(envelope.id)}"
        body = about.write_envelope(envelope)
        self._ask(url, Ask("PUT", path, token, body, errand=Errand.LETTER))

    def waiting(self, url: str, mailbox: MailboxId, owner: Secret, after: int) -> list[Waiting]:
        """Envelopes with a sequence above ``after``, oldest first, at most a page of them."""
        path = f"mailboxes/{b64u(mailbox)}/envelopes?after={after}"
        return about.read_waiting(self._ask(url, Ask("GET", path, owner, limit=PAGE_BYTES_MAX)))

    def acknowledge(
        self, url: str, mailbox: MailboxId, owner: Secret, envelope: EnvelopeId
    ) -> None:
        """Say that an envelope is on disk here; the relay forgets its bytes."""
        self._ask(
            url, Ask("DELETE", f"mailboxes/{b64u(mailbox)}/envelopes/{b64u(envelope)}", owner)
        )

    def withdraw(self, url: str, envelope: EnvelopeId, withdraw_token: Secret) -> EnvelopeStatus:
        """Take an envelope back."""
        path = f"envelopes/{b64u(envelope)}/withdraw"
        what = Ask("POST", path, withdraw_token, errand=Errand.OF_NOBODY)  # each second counts
        return about.read_look(self._ask(url, what))

    def state(self, url: str, envelope: EnvelopeId, withdraw_token: Secret) -> EnvelopeStatus:
        """Where one of our own envelopes is."""
        path = f"envelopes/{b64u(envelope)}/state"
        what = Ask("GET", path, withdraw_token, errand=Errand.LOOK)
        return about.read_look(self._ask(url, what))
