"""What the code on a user's device works with: vault, ledger, relays, clock, randomness,
decoders.

`Vault` and `Courier` are protocols so that the code that uses them imports neither SQLCipher nor an
HTTP client. The simulated world of the tests replaces both: it crashes the vault, and cuts, delays
and forges the relays' answers. The HTTP client is imported at the first request, so that commands
without requests start faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar, cast

from entrenous.base.audio_video import CheckCopy, ReadSound, refuse_check, refuse_clip, refuse_sound
from entrenous.base.environment import Settings
from entrenous.base.identifiers import (
    BlobId,
    DeviceId,
    EnvelopeId,
    MailboxId,
)
from entrenous.base.picture import Picture
from entrenous.base.secret import Secret
from entrenous.wire.relay_nouns import (
    BlobDeposit,
    Envelope,
    EnvelopeStatus,
    PrekeyBundle,
    Prekeys,
    ProtocolVersions,
    RelayLock,
    SendToken,
    SendTokenChanges,
    UnlockAnswer,
    VaultUnlock,
    WaitingEnvelope,
)

if TYPE_CHECKING:
    from entrenous.base.audio_video import Clip, FrameSelection
    from entrenous.base.environment import Clock, RandomSource
    from entrenous.device.store.ledger import VaultLedger
    from entrenous.fingerprint.nouns import Embedder


ItemT = TypeVar("ItemT")


class Vault(Protocol):
    """The device's encrypted store: small records in named tables, and encrypted files."""

    def get(self, table: str, key: str) -> bytes | None:
        """Return the record with this key, or None."""

    def put(self, table: str, key: str, record: bytes) -> None:
        """Insert or replace a record."""

    def drop(self, table: str, key: str) -> None:
        """Delete a record; a missing one is no error."""

    def items(self, table: str) -> Iterator[tuple[str, bytes]]:
        """Return all records of a table, sorted by key."""

    def keys(self, table: str, start: str = "") -> tuple[str, ...]:
        """Return the sorted keys that begin with ``start``, without reading any record."""

    def transaction(self) -> AbstractContextManager[None]:
        """Open a transaction: either all changes inside are made or none.

        A nested call joins the outer one.
        """

    def store_file(self, data: bytes) -> BlobId:
        """Encrypt ``data`` into a new file with a random name; it is durable on return."""

    def read_stored_file(self, blob: BlobId) -> bytes:
        """Return the content of a file; raises VaultFileMissing."""

    def store_file_as(self, blob: BlobId, reader: BinaryIO, *, sealed: bool = False) -> bool:
        """Store a file under the name that it has in another vault, reading it in chunks.

        With ``sealed``, store ciphertext as it is, as ``store_sealed_file`` does. Return False,
        without reading, if the name is taken.
        """

    def store_sealed_file(self, sealed: bytes | BinaryIO) -> BlobId:
        """Store ciphertext as it is; it is durable on return.

        The caller must verify its hash when reading it.
        """

    def copy_file_to(self, blob: BlobId, writer: BinaryIO) -> None:
        """Write the content of a file to ``writer`` in chunks.

        Raises:
            VaultFileMissing: there is no such file.
            VaultFileDamaged: the file was changed or truncated. This may be detected only at the
                end of the file. Discard what was written.
        """

    def open_sealed_file(self, blob: BlobId) -> AbstractContextManager[BinaryIO]:
        """Open a ``store_sealed_file`` file as a seekable reader; raises VaultFileMissing."""

    def append_to_sealed_file(self, blob: BlobId) -> AbstractContextManager[BinaryIO]:
        """Open a ``store_sealed_file`` file to append to it; raises VaultFileMissing.

        The data is durable on exit, even after an error; after a crash, part of it may be there.
        """

    def sealed_file_size(self, blob: BlobId) -> int:
        """Return the size in bytes of a ``store_sealed_file`` file; raises VaultFileMissing."""

    def delete_file(self, blob: BlobId) -> None:
        """Delete a file; a missing one is no error.

        If the transaction is rolled back, the file stays.
        """

    def empty_journal(self) -> None:
        """Remove deleted records from the database's journal as well; call it outside of a
        transaction.
        """


class RunConcurrently(Protocol):
    """Runs several iterables: concurrently, in threads, or in tests one after another."""

    def __call__(self, rows: Sequence[Iterable[ItemT]], /) -> Iterator[ItemT]:
        """Yield items as they arrive; the items of each iterable stay in order."""


def run_sequentially(rows: Sequence[Iterable[ItemT]], /) -> Iterator[ItemT]:
    """Yield the items of one iterable after the other, without concurrency."""
    return chain.from_iterable(rows)


class Courier(Protocol):
    """Relays as a device sees them. ``url`` is the relay's address. docs/spec/relay.md specifies
    the requests.

    Every method raises RelayUnreachable if the relay does not answer, ProtocolTooOld if the relay
    requires a newer client, and the errors that the relay reports (base/errors.py).
    """

    # Mailboxes, with their key bundles and send tokens (relay.md sections 2, 3).

    def create_mailbox(
        self, url: str, mailbox: MailboxId, owner: Secret, close: Secret | None = None
    ) -> None:
        """Create a mailbox that the token ``owner`` opens and the token ``close`` deletes."""

    def publish_key_bundle(self, url: str, mailbox: MailboxId, owner: Secret, card: bytes) -> None:
        """Publish the key bundle to holders of a send token."""

    def key_bundle(self, url: str, mailbox: MailboxId, token: Secret) -> bytes:
        """Fetch a mailbox's key bundle, still encrypted."""

    def publish_prekeys(
        self, url: str, mailbox: MailboxId, owner: Secret, device: DeviceId, prekeys: Prekeys
    ) -> int:
        """Add prekeys; returns the number of one-time keys at the relay."""

    def prekey_count(self, url: str, mailbox: MailboxId, owner: Secret, device: DeviceId) -> int:
        """Return the number of this device's one-time keys that are left at the relay."""

    def claim_prekeys(
        self, url: str, mailbox: MailboxId, token: Secret, device: DeviceId
    ) -> PrekeyBundle:
        """Claim the prekeys needed to start a session with that device."""

    def register_token(self, url: str, mailbox: MailboxId, owner: Secret, token: SendToken) -> None:
        """Allow holders of a token to write to this mailbox."""

    def change_tokens(
        self, url: str, mailbox: MailboxId, owner: Secret, batch: SendTokenChanges
    ) -> int:
        """Add and drop many single-use tokens atomically; returns the number then registered."""

    def drop_send_token(
        self, url: str, mailbox: MailboxId, owner: Secret, send_token_hash: bytes
    ) -> None:
        """Revoke the token with this hash."""

    # Envelopes in mailboxes, and their states (sections 5, 7).

    def post(self, url: str, token: Secret, envelope: Envelope) -> None:
        """Post an envelope; the relay has it on disk on return. Safe to repeat."""

    def waiting_envelopes(
        self, url: str, mailbox: MailboxId, owner: Secret, after: int
    ) -> list[WaitingEnvelope]:
        """Return up to a page of envelopes with a sequence number above ``after``, oldest first."""

    def acknowledge(
        self, url: str, mailbox: MailboxId, owner: Secret, envelope: EnvelopeId
    ) -> None:
        """Confirm that an envelope is stored here; the relay then deletes its bytes."""

    def withdraw(self, url: str, envelope: EnvelopeId, withdraw_token: Secret) -> EnvelopeStatus:
        """Recall an envelope."""

    def envelope_status(
        self, url: str, envelope: EnvelopeId, withdraw_token: Secret
    ) -> EnvelopeStatus:
        """Return the state of an envelope that this device posted."""

    # Encrypted files, transferred in chunks (section 4).

    def upload_blob(
        self, url: str, token: Secret, deposit: BlobDeposit, data: bytes | BinaryIO, start: int = 0
    ) -> None:
        """Upload a blob from byte ``start``; the relay has it on disk on return. Safe to repeat.

        ``data`` is the whole blob, or a seekable reader of the whole. Raises WrongOffset if the
        relay has fewer than ``start`` bytes.
        """

    def uploaded_size(
        self, url: str, mailbox: MailboxId, blob: BlobId, withdraw_token: Secret
    ) -> int:
        """Return how many bytes of an unfinished upload the relay has."""

    def download_blob(
        self, url: str, blob: BlobId, fetch_token: Secret, writer: BinaryIO, start: int = 0
    ) -> None:
        """Download a blob from byte ``start``; ``writer`` must limit the size.

        After an error, what was written is valid and the download can resume.
        """

    # The relay's share of a content key. The relay counts how often it releases the share
    # (section 6).

    def open_share(
        self, url: str, envelope: EnvelopeId, open_token: Secret, attempt: bytes
    ) -> Secret:
        """Fetch the relay's share of a content key, 32 bytes; raises TakenBack, Expired, UsedUp."""

    def finish_opening(
        self, url: str, envelope: EnvelopeId, open_token: Secret, attempt: bytes
    ) -> None:
        """Confirm to the relay that the content was opened and is stored here."""

    # The relay's share of a vault's key, and closing a mailbox (section 10, lock.md).

    def create_lock(self, lock: RelayLock, owner: Secret) -> None:
        """Have the relay generate the key from which it computes its share of the vault's key; safe
        to repeat.

        Raises LockExists.
        """

    def unlock(self, lock: RelayLock, blinded: bytes) -> UnlockAnswer:
        """Send one blinded element, which uses up one attempt; raises Locked, NoLock, WrongToken,
        NotAPoint.
        """

    def report_vault_unlock(
        self, url: str, mailbox: MailboxId, owner: Secret, opening: VaultUnlock
    ) -> None:
        """Report an unlock of the vault, with the vault's generation; raises RolledBack, NoLock."""

    def allow_more_tries(self, url: str, mailbox: MailboxId, close: Secret) -> None:
        """Allow a device the full number of attempts again; raises NoLock."""

    def replace_unlock_token(self, lock: RelayLock, owner: Secret) -> None:
        """Have the relay accept only this unlock token from now on; safe to repeat.

        Raises NoLock.
        """

    def set_close_token(self, url: str, mailbox: MailboxId, owner: Secret, close: Secret) -> None:
        """Make ``close`` the token that deletes this mailbox."""

    def close_mailbox(self, url: str, mailbox: MailboxId, token: Secret) -> None:
        """Delete a mailbox with its letters, shares, blobs and lock; safe to repeat."""

    # Long polling and the relay's status (sections 1, 13).

    def wait_for_letter(self, url: str, mailbox: MailboxId, owner: Secret, seconds: int) -> bool:
        """Return whether a letter waits or arrives within ``seconds`` (at most WAKE_REQUEST_S)."""

    def status(self, url: str) -> tuple[ProtocolVersions, datetime | None]:
        """Return the relay's protocol versions, and when it was last restored from a backup."""


@dataclass(frozen=True, slots=True)
class Device:
    """The dependencies of all code on a person's device.

    ``read_picture``, ``read_clip`` (frame by frame while its context is open) and ``read_sound``
    decode untrusted files. ``check_copy`` checks that a received file has the structure that our
    own encoders produce. Outside tests, all four run in sandboxed processes. ``receipts`` is False
    if this device sends receipts to nobody. ``embedder`` is None if the extra `embedding` or its
    model is not installed. ``side_by_side`` queries several relays concurrently.
    """

    clock: Clock
    random_source: RandomSource
    vault: Vault
    ledger: VaultLedger
    courier: Courier
    read_picture: Callable[[bytes], Picture]
    read_clip: Callable[[bytes, FrameSelection], AbstractContextManager[Clip]] = refuse_clip
    read_sound: ReadSound = refuse_sound
    check_copy: CheckCopy = refuse_check
    receipts: bool = True
    embedder: Embedder | None = None
    side_by_side: RunConcurrently = run_sequentially


@contextmanager
def open_courier(
    settings: Settings,
    *,
    patience_s: float = 0.0,
    pause_s: float = 0.0,
    timeout_s: float | None = None,
) -> Iterator[Courier]:
    """Open a courier, which is closed on exit; ``timeout_s`` overrides the client's timeout.

    Raises BadSetting if ENTRENOUS_RELAY_CA names no file of certificates.
    """
    with ExitStack() as opened:

        def make_courier() -> Courier:
            from entrenous.device.client import http_courier  # noqa: PLC0415 - loads httpx

            client = opened.enter_context(
                http_courier.new_relay_client(settings.relay_ca, settings.proxy)
            )
            if timeout_s is not None:
                client.timeout = timeout_s
            return http_courier.HttpCourier(client, patience_s, pause_s=pause_s)

        courier = _LazyCourier(make_courier)
        if settings.relay_ca is not None:
            # reports a bad certificate file at once, even if the command makes no request
            courier.courier()
        yield cast("Courier", courier)


class _LazyCourier:
    """A proxy that creates the courier when its first method is called."""

    def __init__(self, make: Callable[[], Courier]) -> None:
        self._make = make
        self._courier: Courier | None = None

    def courier(self) -> Courier:
        if self._courier is None:
            self._courier = self._make()
        return self._courier

    def __getattr__(self, method: str) -> Any:
        return getattr(self.courier(), method)
