"""What the verbs need from the world, as Protocols, and the three rooms that hold them.

A room is all that a use case may touch: a process that was given a :class:`Relay` cannot hold a
vault, one that was given a :class:`Platform` cannot hold a mailbox. One suite of tests per port
(tests/ports/) runs on every adapter of it.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from entrenous.model.advice import MachineFacts
from entrenous.model.bank import (
    Bank,
    Claim,
    ClaimEvent,
    ClaimRequest,
    ClaimStatus,
    Counts,
    Entry,
    Registration,
    Review,
    ReviewState,
)
from entrenous.model.envelope import (
    BlobDeposit,
    Envelope,
    EnvelopeStatus,
    PrekeyBundle,
    Prekeys,
    SendToken,
    Waiting,
)
from entrenous.model.evidence import Stamp
from entrenous.model.fingerprint import Fingerprint, Near
from entrenous.model.held import HeldLetter
from entrenous.model.ids import BankName, BlobId, ClaimId, DeviceId, EnvelopeId, MailboxId
from entrenous.model.message import Message, SentPicture
from entrenous.model.picture import Picture
from entrenous.model.secret import Secret
from entrenous.model.verdict import Trace

# --- everywhere --------------------------------------------------------------------------------


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class Dice(Protocol):
    """Randomness; tests pass loaded ones."""

    def token(self, size: int) -> bytes:
        """``size`` bytes that nobody can guess."""
        ...


# --- the device --------------------------------------------------------------------------------


class Vault(Protocol):
    """The device's encrypted store: small records in named drawers, large things as sealed
    files.
    """

    def get(self, drawer: str, key: str) -> bytes | None:
        """The record, or None."""
        ...

    def put(self, drawer: str, key: str, record: bytes) -> None:
        """Store or replace a record."""
        ...

    def drop(self, drawer: str, key: str) -> None:
        """Forget a record; it need not exist."""
        ...

    def items(self, drawer: str) -> Iterator[tuple[str, bytes]]:
        """Every record of a drawer, sorted by key."""
        ...

    def together(self) -> AbstractContextManager[None]:
        """All changes inside, or none of them; nested uses join the outer one."""
        ...

    def keep(self, data: bytes) -> BlobId:
        """Seal a large thing to disk under a random name; durable when it returns."""
        ...

    def kept(self, blob: BlobId) -> bytes:
        """What was kept; raises NoSuchBlob."""
        ...

    def forget(self, blob: BlobId) -> None:
        """Remove it; it need not exist."""
        ...


class Ledger(Protocol):
    """Which copy went to whom; what tracing needs."""

    def record(self, message: Message) -> None:
        """Store a message, or replace what is stored under its id."""
        ...

    def messages(self) -> Iterator[Message]:
        """Every message, oldest first."""
        ...

    def find(self, name: str) -> Message:
        """The message of that name; raises UnknownMessage."""
        ...

    def near(self, found: Fingerprint) -> tuple[tuple[Message, SentPicture], ...]:
        """Sent pictures to compare a found one with, the likeliest first."""
        ...

    def note(self, trace: Trace) -> None:
        """Keep a trace, so that a case can be opened from it."""
        ...

    def traces(self) -> tuple[Trace, ...]:
        """Every trace that was kept, oldest first."""
        ...


class Courier(Protocol):
    """Relays as seen from a device. ``url`` is the relay's; docs/spec/relay.md has the meaning.

    Every method raises RelayUnreachable when there is no answer, ProtocolTooOld when the relay
    wants a newer client, and the relay's own errors (model/envelope.py) by name.
    """

    def create_mailbox(self, url: str, mailbox: MailboxId, owner: Secret) -> None:
        """Make a mailbox that ``owner`` opens."""
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

    def withdraw_token(self, url: str, mailbox: MailboxId, owner: Secret, lock: bytes) -> None:
        """Stop letting them."""
        ...

    def bring_blob(self, url: str, token: Secret, deposit: BlobDeposit, data: bytes) -> None:
        """Upload a blob; durable when it returns; may be repeated."""
        ...

    def blob(self, url: str, blob: BlobId, fetch_token: Secret) -> bytes:
        """Download a blob."""
        ...

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

    def open_share(
        self, url: str, envelope: EnvelopeId, open_token: Secret, attempt: bytes
    ) -> Secret:
        """Ask for the relay's half of a content key; raises TakenBack, Expired, UsedUp."""
        ...

    def finish(self, url: str, envelope: EnvelopeId, open_token: Secret, attempt: bytes) -> None:
        """Say that the content is on disk here."""
        ...

    def withdraw(self, url: str, envelope: EnvelopeId, withdraw_token: Secret) -> EnvelopeStatus:
        """Take an envelope back."""
        ...

    def state(self, url: str, envelope: EnvelopeId, withdraw_token: Secret) -> EnvelopeStatus:
        """Where one of our own envelopes is."""
        ...


class BankClient(Protocol):
    """A platform's gate as seen from a device (docs/spec/gate.md section 6).

    Every method raises GateUnreachable, GateBusy, GateRefused or BadAnswer.
    """

    @property
    def url(self) -> str:
        """The gate's address."""
        ...

    def register(self, request: ClaimRequest) -> ClaimStatus:
        """Ask the platform to stop a picture; raises TooFlat."""
        ...

    def status(self, claim: ClaimId) -> ClaimStatus:
        """What became of a claim; raises NoSuchClaim."""
        ...

    def withdraw(self, claim: ClaimId, token: Secret) -> ClaimStatus:
        """Withdraw it at once; may be repeated; raises NoSuchClaim, NotTheHolder."""
        ...


# --- the relay ---------------------------------------------------------------------------------

Row = TypeVar("Row")
Answer = TypeVar("Answer")


class MailView(Protocol):
    """The relay's rows (model/held.py) as one moment sees them."""

    def get(self, kind: type[Row], *key: object) -> Row | None:
        """The row of that kind whose identifying fields are ``key``, or None."""
        ...

    def find(self, kind: type[Row], limit: int | None = None, **fields: object) -> list[Row]:
        """Rows whose named fields equal these (never None), ordered by their identifying fields."""
        ...

    def count(self, kind: type[object], **fields: object) -> int:
        """How many rows have named fields that equal these."""
        ...

    def letters(self, mailbox: MailboxId, after: int, at: datetime, limit: int) -> list[HeldLetter]:
        """Letters of a mailbox with a sequence above ``after`` that expire later than ``at``."""
        ...

    def due(self, kind: type[Row], at: datetime, limit: int) -> list[Row]:
        """Rows whose ``due_at`` has come by ``at``, the longest due first."""
        ...


class MailDesk(MailView, Protocol):
    """The relay's rows inside one transaction."""

    def put(self, row: object) -> None:
        """Store a row, or replace the one with the same identifying fields."""
        ...

    def drop(self, kind: type[object], *key: object) -> None:
        """Forget a row; it need not exist."""
        ...


class MailStore(Protocol):
    """The relay's database.

    Work is a plain function, so that a rule is written once and runs on every store. It may run
    more than once, and its reads and writes are serializable against all other work: it decides
    from what it is given only, and keeps nothing outside.
    """

    async def together(self, work: Callable[[MailDesk], Answer]) -> Answer:
        """Run ``work`` in one transaction, which is durable when this returns.

        Raises:
            DiskFull, DiskFailed: nothing was stored.
            Exception: what ``work`` raised; then all it did is undone.
        """
        ...

    async def look(self, work: Callable[[MailView], Answer]) -> Answer:
        """Run ``work`` on one moment of everything that was durable when this was called."""
        ...

    async def scrub(self) -> None:
        """See to it that no byte of a dropped row can be read from the medium any more."""
        ...


class BlobStore(Protocol):
    """Large sealed things under names that the relay chooses anew for each upload."""

    async def keep(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Store a stream under a fresh name; durable when it returns, nothing if it raises.

        Raises:
            DiskFull, DiskFailed: nothing was stored.
            Exception: what ``chunks`` raised; then nothing was stored.
        """
        ...

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from ``start`` up to ``stop``; raises NoSuchBlob before the first of them."""
        ...

    async def drop(self, name: str) -> None:
        """Remove it, and what an interrupted upload left under its name; it need not exist."""
        ...


# --- the platform ------------------------------------------------------------------------------


class BankStore(Protocol):
    """The truth about banks and claims (docs/spec/gate.md section 5). Durable when it returns.

    Every method raises BankUnreachable when the store does not answer.
    """

    def set_bank(self, bank: Bank) -> None:
        """Make a bank, or replace the policy of the one with that name."""
        ...

    def bank(self, name: BankName) -> Bank:
        """The policy; raises NoSuchBank."""
        ...

    def banks(self) -> tuple[Bank, ...]:
        """All banks, by name."""
        ...

    def register(self, *registrations: Registration) -> None:
        """Store claims and their hashes, all or none; raises NoSuchBank."""
        ...

    def extend(self, claim: ClaimId, *whole: bytes) -> None:
        """Add hashes of whole pictures to a claim that matches; raises NoSuchClaim."""
        ...

    def claim(self, claim: ClaimId) -> Claim:
        """The claim, also when it is withdrawn; raises NoSuchClaim."""
        ...

    def move(self, claim: ClaimId, event: ClaimEvent) -> Claim:
        """Change a claim's state by CLAIM_MOVES; a withdrawn claim loses its hashes at once.

        Raises NoSuchClaim, AlreadyWithdrawn.
        """
        ...

    def dispute(self, claim: ClaimId) -> Claim:
        """Count one more reviewer who disagreed; raises NoSuchClaim."""
        ...

    def entries(self, after: int) -> tuple[Entry, ...]:
        """Distinct hashes with a number above ``after``, in order: news for an index."""
        ...

    def claims_on(self, entries: Collection[int]) -> tuple[tuple[int, Claim], ...]:
        """Claims that match (waiting or confirmed) on these hashes, each with the hash's number."""
        ...

    def counts(self) -> Counts:
        """How many claims match, and how many distinct hashes there are."""
        ...


class IndexStore(Protocol):
    """Finds registered hashes near others. It follows a BankStore: what was registered before a
    call, in this process or another, is found; what was withdrawn may be too (claims_on decides).
    """

    def near(self, hashes: Sequence[bytes], *, part: bool) -> Sequence[Near]:
        """All registered hashes, of whole pictures or of parts, within 31 bits. None is missed."""
        ...


class ReviewQueue(Protocol):
    """Uploads that were judged, and those that wait for a person."""

    def record(self, review: Review, untrusted_upload: bytes | None) -> None:
        """Keep a judged upload; a held one with its bytes, for the reviewer. Durable on return."""
        ...

    def next(self) -> Review | None:
        """The upload that has waited longest, or None."""
        ...

    def review(self, case: str) -> Review:
        """The upload of that case; raises NoSuchReview."""
        ...

    def upload(self, case: str) -> bytes:
        """The bytes of a held upload (untrusted); raises NoSuchReview once it was decided."""
        ...

    def close(self, case: str, state: ReviewState) -> Review:
        """Decide a waiting upload and forget its bytes, once; the review as it was before.

        Raises NoSuchReview, AlreadyDecided.
        """
        ...

    def waiting(self) -> int:
        """How many wait."""
        ...


# --- outside: stamp authorities ----------------------------------------------------------------


class StampChecker(Protocol):
    """Proves kept stamps again, without asking anybody."""

    def check(self, stamp: Stamp, manifest: bytes) -> None:
        """Prove that the stamp is over these bytes; raises StampDoesNotHold."""
        ...


class TimestampAuthority(StampChecker, Protocol):
    """States when something existed (RFC 3161). It sees a hash, never what was hashed."""

    def stamp(self, manifest: bytes) -> Stamp:
        """A stamp over the manifest's SHA-256, proven before it is returned.

        Raises AuthorityUnreachable, StampRefused, StampDoesNotHold.
        """
        ...


# --- outside: the machine it runs on -----------------------------------------------------------


class Machine(Protocol):
    """What the check-up may see of this machine."""

    def look(self) -> MachineFacts:
        """How things are now; what cannot be seen is None."""
        ...


# --- the three rooms ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Device:
    """All that a use case on somebody's own device may touch.

    ``read_picture`` decodes what a stranger may have made (in a jailed child, outside of tests).
    """

    clock: Clock
    dice: Dice
    vault: Vault
    ledger: Ledger
    courier: Courier
    read_picture: Callable[[bytes], Picture]


@dataclass(frozen=True, slots=True)
class Relay:
    """All that carrying a message may touch."""

    mail: MailStore
    blobs: BlobStore
    clock: Clock
    dice: Dice


@dataclass(frozen=True, slots=True)
class Platform:
    """All that a platform's gate may touch.

    ``read_picture`` decodes what a stranger made (in a jailed child, outside of tests).
    """

    clock: Clock
    dice: Dice
    bank: BankStore
    index: IndexStore
    reviews: ReviewQueue
    read_picture: Callable[[bytes], Picture]
