"""What the verbs on somebody's own device need, and the room that holds it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from entrenous.model.bank import ClaimRequest, ClaimStatus
from entrenous.model.candidate import Candidate
from entrenous.model.clip import Clip, Cut
from entrenous.model.envelope import (
    BlobDeposit,
    Envelope,
    EnvelopeStatus,
    PrekeyBundle,
    Prekeys,
    SendToken,
    Waiting,
)
from entrenous.model.ids import BlobId, ClaimId, DeviceId, EnvelopeId, MailboxId, MessageId
from entrenous.model.message import Copy, Message
from entrenous.model.picture import DecoderDidNotStart, Picture
from entrenous.model.secret import Secret
from entrenous.model.sound import Sound
from entrenous.model.verdict import Trace
from entrenous.ports.world import Clock, Dice


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

    def keys(self, drawer: str, start: str = "") -> tuple[str, ...]:
        """The sorted keys of a drawer that begin so; no record is read."""
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

    def add_copies(
        self, message: MessageId, place: int, start: int, copies: tuple[Copy, ...]
    ) -> None:
        """Add copies to part number ``place`` of a recorded message, which has ``start`` of them so
        far; its pictures come first, then its clips, then its sounds. Those that were added at the
        same ``start`` before are replaced.
        """
        ...

    def forget(self, message: MessageId) -> None:
        """Remove a message of which no copy has left; it need not exist."""
        ...

    def messages(self) -> Iterator[Message]:
        """Every message, oldest first."""
        ...

    def find(self, name: str) -> Message:
        """The message of that name; raises UnknownMessage."""
        ...

    def read(self, message: MessageId) -> Message:
        """One message; raises UnknownMessage."""
        ...

    def learn(self, message: MessageId, place: int, picture: Picture) -> None:
        """Keep what picture number ``place`` of a recorded message looks like, for ``near``."""
        ...

    def keep_look(self, message: MessageId, place: int, look: bytes) -> None:
        """As ``learn``, with a look that is made already (craft.fingerprint.landmarks.kept)."""
        ...

    def near(self, found: Picture) -> tuple[Candidate, ...]:
        """Sent pictures to compare a found one with, the likeliest first; those whose looks were
        never learnt come last, by their fingerprints.
        """
        ...

    def unlearnt(self) -> tuple[tuple[MessageId, int], ...]:
        """Sent pictures whose looks are not known: their message, and their place in it."""
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


def no_clips(_untrusted_data: bytes, _cut: Cut) -> AbstractContextManager[Clip]:
    """Of a device that was given no way to open clips."""
    raise DecoderDidNotStart


def no_sounds(_untrusted_data: bytes) -> Sound:
    """Of a device that was given no way to open sounds."""
    raise DecoderDidNotStart


@dataclass(frozen=True, slots=True)
class Device:
    """All that a use case on somebody's own device may touch.

    ``read_picture`` decodes what a stranger may have made (in a jailed child, outside of tests);
    ``read_clip`` likewise, frame by frame, as long as its context is open; ``read_sound`` likewise,
    the sound of a clip too.
    """

    clock: Clock
    dice: Dice
    vault: Vault
    ledger: Ledger
    courier: Courier
    read_picture: Callable[[bytes], Picture]
    read_clip: Callable[[bytes, Cut], AbstractContextManager[Clip]] = no_clips
    read_sound: Callable[[bytes], Sound] = no_sounds
