"""Relays over HTTPS, as a device sees them (docs/spec/relay.md).

The relay's errors come back as the same named errors; what it answers is parsed strictly.
"""

import ssl
from typing import Final

import httpx

from entrenous.adapters.courier.patience import Patience
from entrenous.adapters.courier.request import Ask, ask
from entrenous.craft.crypto.hashing import lock_of
from entrenous.craft.wire.b64u import b64u
from entrenous.craft.wire.relay import envelope as about_envelopes
from entrenous.craft.wire.relay import mailbox as about_mailboxes
from entrenous.model.envelope import (
    BlobDeposit,
    Envelope,
    EnvelopeStatus,
    PrekeyBundle,
    Prekeys,
    SendToken,
    Waiting,
)
from entrenous.model.ids import BlobId, DeviceId, EnvelopeId, MailboxId
from entrenous.model.secret import Secret
from entrenous.spec import BLOB_BYTES_MAX

_TIMEOUT: Final = httpx.Timeout(30, connect=10)


class HttpCourier:
    """A :class:`entrenous.ports.Courier` over one client, as :func:`new_client` makes it.

    ``patience_s``: how long a relay that does not answer is waited for.
    """

    def __init__(self, client: httpx.Client, patience_s: float = 0.0) -> None:
        self._client = client
        self._patience = Patience(patience_s)

    def create_mailbox(self, url: str, mailbox: MailboxId, owner: Secret) -> None:
        """Make a mailbox that ``owner`` opens."""
        body = about_mailboxes.write_owner_lock(lock_of(owner))
        self._ask(url, Ask("PUT", f"mailboxes/{b64u(mailbox)}", body=body))

    def publish_card(self, url: str, mailbox: MailboxId, owner: Secret, card: bytes) -> None:
        """Put the card where holders of a send token can read it."""
        self._ask(url, Ask("PUT", f"mailboxes/{b64u(mailbox)}/card", owner, card))

    def card(self, url: str, mailbox: MailboxId, token: Secret) -> bytes:
        """Read a card."""
        return self._ask(url, Ask("GET", f"mailboxes/{b64u(mailbox)}/card", token))

    def publish_prekeys(
        self, url: str, mailbox: MailboxId, owner: Secret, device: DeviceId, prekeys: Prekeys
    ) -> int:
        """Add prekeys; returns how many one-time keys the relay now holds."""
        body = about_mailboxes.write_prekeys(prekeys)
        answer = self._ask(url, Ask("PUT", _prekeys(mailbox, device), owner, body))
        return about_mailboxes.read_key_count(answer)

    def prekey_count(self, url: str, mailbox: MailboxId, owner: Secret, device: DeviceId) -> int:
        """How many one-time keys the relay still holds."""
        answer = self._ask(url, Ask("GET", _prekeys(mailbox, device), owner))
        return about_mailboxes.read_key_count(answer)

    def claim_prekeys(
        self, url: str, mailbox: MailboxId, token: Secret, device: DeviceId
    ) -> PrekeyBundle:
        """Take what is needed to start a session with that device."""
        answer = self._ask(url, Ask("POST", f"{_prekeys(mailbox, device)}/claim", token))
        return about_mailboxes.read_bundle(answer, device)

    def register_token(self, url: str, mailbox: MailboxId, owner: Secret, token: SendToken) -> None:
        """Let holders of a token write to this mailbox."""
        path = f"mailboxes/{b64u(mailbox)}/tokens/{b64u(token.lock)}"
        self._ask(url, Ask("PUT", path, owner, about_mailboxes.write_send_token(token)))

    def withdraw_token(self, url: str, mailbox: MailboxId, owner: Secret, lock: bytes) -> None:
        """Stop letting them."""
        self._ask(url, Ask("DELETE", f"mailboxes/{b64u(mailbox)}/tokens/{b64u(lock)}", owner))

    def bring_blob(self, url: str, token: Secret, deposit: BlobDeposit, data: bytes) -> None:
        """Upload a blob; durable when it returns; may be repeated."""
        path = f"mailboxes/{b64u(deposit.mailbox)}/blobs/{b64u(deposit.id)}"
        said = {
            "Entrenous-Fetch-Lock": b64u(deposit.fetch_lock),
            "Entrenous-Withdraw-Lock": b64u(deposit.withdraw_lock),
            "Entrenous-Expires-At": str(int(deposit.expires_at.timestamp())),
            "Entrenous-Sha256": b64u(deposit.sha256),
        }
        self._ask(url, Ask("PUT", path, token, data, said))

    def blob(self, url: str, blob: BlobId, fetch_token: Secret) -> bytes:
        """Download a blob."""
        return self._ask(url, Ask("GET", f"blobs/{b64u(blob)}", fetch_token, limit=BLOB_BYTES_MAX))

    def post(self, url: str, token: Secret, envelope: Envelope) -> None:
        """Post an envelope; durable when it returns; may be repeated."""
        path = f"mailboxes/{b64u(envelope.mailbox)}/envelopes/{b64u(envelope.id)}"
        self._ask(url, Ask("PUT", path, token, about_envelopes.write_envelope(envelope)))

    def waiting(self, url: str, mailbox: MailboxId, owner: Secret, after: int) -> list[Waiting]:
        """Envelopes with a sequence above ``after``, oldest first, at most a page of them."""
        path = f"mailboxes/{b64u(mailbox)}/envelopes?after={after}"
        return about_envelopes.read_waiting(self._ask(url, Ask("GET", path, owner)))

    def acknowledge(
        self, url: str, mailbox: MailboxId, owner: Secret, envelope: EnvelopeId
    ) -> None:
        """Say that an envelope is on disk here; the relay forgets its bytes."""
        self._ask(
            url, Ask("DELETE", f"mailboxes/{b64u(mailbox)}/envelopes/{b64u(envelope)}", owner)
        )

    def open_share(
        self, url: str, envelope: EnvelopeId, open_token: Secret, attempt: bytes
    ) -> Secret:
        """Ask for the relay's half of a content key."""
        body = about_envelopes.write_attempt(attempt)
        answer = self._ask(url, Ask("POST", f"shares/{b64u(envelope)}/open", open_token, body))
        return about_envelopes.read_share(answer)

    def finish(self, url: str, envelope: EnvelopeId, open_token: Secret, attempt: bytes) -> None:
        """Say that the content is on disk here."""
        body = about_envelopes.write_attempt(attempt)
        self._ask(url, Ask("POST", f"shares/{b64u(envelope)}/finish", open_token, body))

    def withdraw(self, url: str, envelope: EnvelopeId, withdraw_token: Secret) -> EnvelopeStatus:
        """Take an envelope back."""
        path = f"envelopes/{b64u(envelope)}/withdraw"
        return about_envelopes.read_look(self._ask(url, Ask("POST", path, withdraw_token)))

    def state(self, url: str, envelope: EnvelopeId, withdraw_token: Secret) -> EnvelopeStatus:
        """Where one of our own envelopes is."""
        path = f"envelopes/{b64u(envelope)}/state"
        return about_envelopes.read_look(self._ask(url, Ask("GET", path, withdraw_token)))

    def _ask(self, url: str, what: Ask) -> bytes:
        return ask(self._client, url, what, self._patience)


def new_client() -> httpx.Client:
    """A client that speaks TLS 1.3 or newer, follows no redirect, and asks no proxy."""
    context = httpx.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return httpx.Client(verify=context, timeout=_TIMEOUT, trust_env=False)


def _prekeys(mailbox: MailboxId, device: DeviceId) -> str:
    return f"mailboxes/{b64u(mailbox)}/prekeys/{b64u(device)}"
