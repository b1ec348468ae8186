"""What a rule on a person's own device may touch: vault, ledger, relays, clock, random generator,
decoders.

`Vault`, `Ledger` and `Courier` stay protocols: rules then import no SQLCipher and no HTTP
client, and
the simulated world of the tests crashes a vault of its own, and cuts, delays and forges what
relays answer.
A courier to the relays loads the HTTP client when it is first used, so that other commands do
not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar, cast

from entrenous.base.audio_video import CheckCopy, ReadSound, no_checks, no_clips, no_sounds
from entrenous.base.copies import Copy
from entrenous.base.environment import Settings
from entrenous.base.identifiers import (
    BlobId,
    DeviceId,
    EnvelopeId,
    MailboxId,
    MessageId,
    MessageName,
)
from entrenous.base.picture import Picture
from entrenous.base.secret import Secret
from entrenous.device.sent_messages import Message
from entrenous.wire.relay_nouns import (
    Answered,
    BlobDeposit,
    Envelope,
    EnvelopeStatus,
    Opening,
    PrekeyBundle,
    Prekeys,
    RelayLock,
    SendToken,
    TokenBatch,
    Waiting,
)
from entrenous.wire.relay_nouns import Protocol as Spoken

if TYPE_CHECKING:
    from entrenous.base.audio_video import Clip, Cut
    from entrenous.base.environment import Clock, Dice
    from entrenous.fingerprint.nouns import Candidate, Embedder
    from entrenous.watermark.verdict import Trace


Item = TypeVar("Item")


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
        """What was kept; raises KeptFileGone."""
        ...

    def keep_as(self, blob: BlobId, reader: BinaryIO, *, sealed: bool = False) -> bool:
        """As ``keep``, or ``keep_sealed`` of what is ``sealed``, under the name that it has in
        another vault, a few chunks in memory at a time; False, and nothing is read, when there is
        something of that name.
        """
        ...

    def keep_sealed(self, sealed: bytes | BinaryIO) -> BlobId:
        """Keep what is ciphertext already, as it is; durable when it returns. ``kept`` gives the
        same bytes back, and it is for the caller to know them again by their hash.
        """
        ...

    def read_to(self, blob: BlobId, writer: BinaryIO) -> None:
        """Write what was kept to ``writer``, a chunk at a time; raises KeptFileGone.

        Raises KeptFileDamaged when the file was changed or cut short, perhaps only at its end: then
        what ``writer`` was given is not to be used.
        """
        ...

    def reading(self, blob: BlobId) -> AbstractContextManager[BinaryIO]:
        """What ``keep_sealed`` kept, as a file that can seek; raises KeptFileGone."""
        ...

    def adding(self, blob: BlobId) -> AbstractContextManager[BinaryIO]:
        """Write on at the end of what ``keep_sealed`` kept; raises KeptFileGone.

        Durable when it is left, whether or not by an error; after a crash in between, some of what
        was written may be there.
        """
        ...

    def size(self, blob: BlobId) -> int:
        """How many bytes of ciphertext ``keep_sealed`` kept here; raises KeptFileGone."""
        ...

    def forget(self, blob: BlobId) -> None:
        """Remove it; it need not exist. What is undone with its transaction is there again."""
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

    def with_clips(self) -> Iterator[Message]:
        """Every message that has a clip, oldest first; the others are hardly looked at."""
        ...

    def find(self, name: str) -> Message:
        """The message of that name; raises UnknownMessage."""
        ...

    def read(self, message: MessageId) -> Message:
        """One message; raises UnknownMessage."""
        ...

    def names_alike(self, name: str) -> frozenset[MessageName]:
        """The names of messages that differ from this one in their number at most; asked once for
        each letter, it reads no message.
        """
        ...

    def learn(self, message: MessageId, place: int, picture: Picture) -> None:
        """Keep what picture number ``place`` of a recorded message looks like, for ``near``."""
        ...

    def keep_look(self, message: MessageId, place: int, look: bytes) -> None:
        """As ``learn``, with a look that is made already (craft.fingerprint.landmarks.kept)."""
        ...

    def look(self, message: MessageId, place: int) -> bytes | None:
        """What was kept of such a picture, for ``keep_look`` elsewhere; None if nothing was."""
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


class SideBySide(Protocol):
    """Goes through several rows at the same time."""

    def __call__(self, rows: Sequence[Iterable[Item]], /) -> Iterator[Item]:
        """What the rows yield, as it comes; the items of one row stay in their order."""
        ...


def in_turn(rows: Sequence[Iterable[Item]], /) -> Iterator[Item]:
    """One row after the other: of a device whose relays answer at once, or never, as in tests."""
    return chain.from_iterable(rows)


class Blobs(Protocol):
    """Sealed files on their way (docs/spec/relay.md section 4); a few chunks of them in memory."""

    def bring_blob(
        self, url: str, token: Secret, deposit: BlobDeposit, data: bytes | BinaryIO, start: int = 0
    ) -> None:
        """Upload a blob from byte ``start`` on; durable when it returns; may be repeated.

        ``data`` is the whole blob, or a reader of the whole that can seek. Raises WrongOffset when
        less than ``start`` bytes of it are there.
        """
        ...

    def how_much_came(
        self, url: str, mailbox: MailboxId, blob: BlobId, withdraw_token: Secret
    ) -> int:
        """How many bytes of a blob are there, for who brings it; 0 when nothing is."""
        ...

    def blob_to(
        self, url: str, blob: BlobId, fetch_token: Secret, writer: BinaryIO, start: int = 0
    ) -> None:
        """Download a blob from byte ``start`` on; how much comes is for ``writer`` to limit.

        What came before an error was written: the rest may be asked for.
        """
        ...


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


class Shares(Protocol):
    """Halves of content keys, handed out and counted (docs/spec/relay.md section 6)."""

    def open_share(
        self, url: str, envelope: EnvelopeId, open_token: Secret, attempt: bytes
    ) -> Secret:
        """Ask for the relay's half of a content key; raises TakenBack, Expired, UsedUp."""
        ...

    def finish(self, url: str, envelope: EnvelopeId, open_token: Secret, attempt: bytes) -> None:
        """Say that the content is on disk here."""
        ...


class Wakes(Protocol):
    """How a device hears that it should look (docs/spec/relay.md sections 1 and 13)."""

    def wake(self, url: str, mailbox: MailboxId, owner: Secret, seconds: int) -> bool:
        """Whether a letter waits, or comes within so many seconds (base/limits.py: WAKE_ASK_S at most);
        nothing about what.
        """
        ...

    def status(self, url: str) -> tuple[Spoken, datetime | None]:
        """The protocols that a relay speaks, and when it was last restored from a backup."""
        ...


class Courier(Mailboxes, Letters, Blobs, Shares, Locks, Wakes, Protocol):
    """Relays as seen from a device. ``url`` is the relay's; docs/spec/relay.md has the meaning.

    Every method raises RelayUnreachable when there is no answer, ProtocolTooOld when the relay
    wants a newer client, and the relay's own errors (base/errors.py) by name.
    """


@dataclass(frozen=True, slots=True)
class Device:
    """All that a use case on somebody's own device may touch.

    ``read_picture`` decodes what a stranger may have made (in a jailed child, outside of tests);
    ``read_clip`` likewise, frame by frame, as long as its context is open; ``read_sound`` likewise,
    the sound of a clip too; ``check_copy`` says whether a received file is one that our writers
    make (in a jailed child, too). ``receipts``: whether people whose keys were compared are told
    what became of their messages here. ``embedder`` is None without the extra `embedding`.
    ``side_by_side`` asks several relays at the same time.
    """

    clock: Clock
    dice: Dice
    vault: Vault
    ledger: Ledger
    courier: Courier
    read_picture: Callable[[bytes], Picture]
    read_clip: Callable[[bytes, Cut], AbstractContextManager[Clip]] = no_clips
    read_sound: ReadSound = no_sounds
    check_copy: CheckCopy = no_checks
    receipts: bool = True
    embedder: Embedder | None = None
    side_by_side: SideBySide = in_turn


@contextmanager
def courier_of(
    settings: Settings,
    *,
    patience_s: float = 0.0,
    pause_s: float = 0.0,
    timeout_s: float | None = None,
) -> Iterator[Courier]:
    """A courier with its client, which is closed afterwards; ``timeout_s`` is for each request,
    the client's own by default.

    Raises:
        BadSetting: ENTRENOUS_RELAY_CA names no file of certificates.
    """
    with ExitStack() as opened:

        def make() -> Courier:
            from entrenous.device.client import http_courier  # noqa: PLC0415 - see this module's first line

            client = opened.enter_context(
                http_courier.new_client(settings.relay_ca, settings.proxy)
            )
            if timeout_s is not None:
                client.timeout = timeout_s
            return http_courier.HttpCourier(client, patience_s, pause_s=pause_s)

        courier = _WhenNeeded(make)
        if settings.relay_ca is not None:
            courier.made()  # a wrong file is said at once, whatever the command does
        yield cast("Courier", courier)


class _WhenNeeded:
    """Stands for a courier, and makes it when its first method is called."""

    def __init__(self, make: Callable[[], Courier]) -> None:
        self._make = make
        self._courier: Courier | None = None

    def made(self) -> Courier:
        """The courier itself."""
        if self._courier is None:
            self._courier = self._make()
        return self._courier

    def __getattr__(self, method: str) -> Any:
        return getattr(self.made(), method)
