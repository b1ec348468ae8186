"""What the verbs on somebody's own device need, and the room that holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar

from entrenous.model.ids import BlobId, ClaimId, MessageId, MessageName
from entrenous.model.message import Copy, Message
from entrenous.model.picture import DecoderDidNotStart, Picture
from entrenous.model.secret import Secret

if TYPE_CHECKING:  # the nouns of TRACE and STOP, which other commands do not load
    from entrenous.model.candidate import Candidate
    from entrenous.model.claim import ClaimRequest, ClaimStatus
    from entrenous.model.clip import Clip, Cut
    from entrenous.model.sound import Sound
    from entrenous.model.verdict import Trace
    from entrenous.ports.courier import Courier
    from entrenous.ports.embedding import Embedder
    from entrenous.ports.world import Clock, Dice

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


class BankClient(Protocol):
    """A platform's gate as seen from a device (docs/spec/gate.md section 6).

    Every method raises GateUnreachable, GateBusy, GateRefused or BadAnswer.
    """

    @property
    def url(self) -> str:
        """The gate's address."""
        ...

    def embedding_taken(self) -> str | None:
        """The network whose embeddings the platform compares, by name; None if it compares none."""
        ...

    def register(self, request: ClaimRequest) -> ClaimStatus:
        """Ask the platform to stop this; raises TooFlat, SoundTooQuiet."""
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


class ReadSound(Protocol):
    """Decodes a sound at its own rate; with ``mono_hz`` one channel at that rate, for fingerprints:
    a long sound then takes little memory.
    """

    def __call__(self, untrusted_data: bytes, mono_hz: int = 0, /) -> Sound:
        """Raises NotASound, SoundUnknown, SoundBroken, SoundTooLong, DecoderDidNotStart."""
        ...


def no_sounds(_untrusted_data: bytes, _mono_hz: int = 0) -> Sound:
    """Of a device that was given no way to open sounds."""
    raise DecoderDidNotStart


class CheckCopy(Protocol):
    """Checks a received file, which ``fill`` writes, before it is given to anything else."""

    def __call__(self, media_type: str, size: int, fill: Callable[[BinaryIO], None], /) -> None:
        """Raises NotACopy, DecoderDidNotStart; what ``fill`` raises."""
        ...


def no_checks(_media_type: str, _size: int, _fill: Callable[[BinaryIO], None]) -> None:
    """Of a device that was given no way to check files."""
    raise DecoderDidNotStart


class SideBySide(Protocol):
    """Goes through several rows at the same time."""

    def __call__(self, rows: Sequence[Iterable[Item]], /) -> Iterator[Item]:
        """What the rows yield, as it comes; the items of one row stay in their order."""
        ...


def in_turn(rows: Sequence[Iterable[Item]], /) -> Iterator[Item]:
    """One row after the other: of a device whose relays answer at once, or never, as in tests."""
    return chain.from_iterable(rows)


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
