"""Fingerprints, embeddings, matches, and what is registered of a picture, a clip or a sound."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Final, Protocol

from entrenous.base.errors import Malformed, Refused
from entrenous.base.identifiers import BankName, ClaimId, MessageId
from entrenous.base.limits import PARTS_MAX, PDQ_BYTES

MODEL: Final = "sscd-distilled-224"  # the network, and the side of the square that it is shown


@dataclass(frozen=True, slots=True)
class Embedding:
    """``numbers`` are 512 signed bytes, of which the largest is 127 or -127. Only their angle to
    those of another picture says something, and only for the same ``model``.
    """

    numbers: bytes
    model: str = MODEL

    def __post_init__(self) -> None:
        if len(self.numbers) != NUMBERS:
            raise ValueError("an embedding has 512 numbers")
        signed = memoryview(self.numbers).cast("b")
        if max(map(abs, signed)) != LARGEST:
            raise ValueError("the largest number of an embedding is 127 or -127")
        if not (0 < len(self.model) <= 40 and self.model.isascii() and self.model.isprintable()):
            raise ValueError("a network's name has 1 to 40 characters")


class Embedder(Protocol):
    """A network, installed here."""

    def embed(self, squares: Sequence[bytes]) -> tuple[Embedding, ...]:
        """One of each square of 224 x 224 RGB samples, row by row."""
        ...


@dataclass(frozen=True, slots=True)
class KeptEmbedding:
    """What a claim registered: ``entry`` is the number of the hash of its whole picture."""

    number: int
    entry: int
    claim: ClaimId
    embedding: Embedding


class EmbeddingStore(Protocol):
    """The embeddings of claims, as a BankStore keeps them. Raises BankUnreachable."""

    def embeddings(self, after: int) -> tuple[KeptEmbedding, ...]:
        """Those with a number above ``after``, in order; perhaps only the first of them."""
        ...

    def embedding_count(self) -> int:
        """How many there are."""
        ...


@dataclass(frozen=True, slots=True)
class NearEmbedding:
    """Query number ``query`` and what ``claim`` registered have this cosine, from -1 to 1."""

    query: int
    entry: int
    claim: ClaimId
    cosine: float


class EmbeddingIndex(Protocol):
    """Finds registered embeddings; follows an EmbeddingStore as an IndexStore does a BankStore."""

    def alike(
        self, queries: Sequence[Embedding], at_least: Sequence[float]
    ) -> Sequence[NearEmbedding]:
        """All whose cosine with a query is at least that query's number. None is missed."""
        ...


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a platform with the extra has: a network, and the embeddings of claims."""

    embedder: Embedder
    index: EmbeddingIndex


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """``bits`` is the hash (PDQ: 32 bytes, bit 255 first); ``quality`` runs from 0 to 100."""

    kind: str
    bits: bytes
    quality: int

    def __post_init__(self) -> None:
        if self.kind == "pdq" and len(self.bits) != 32:
            raise ValueError("a PDQ hash has 32 bytes")
        if not 0 <= self.quality <= 100:
            raise ValueError("quality lies between 0 and 100")

    @property
    def hex(self) -> str:
        """The hash as lower-case hex digits."""
        return self.bits.hex()


@dataclass(frozen=True, slots=True)
class Near:
    """Query number ``query`` lies ``distance`` bits from the registered entry ``entry``."""

    query: int
    entry: int
    distance: int


@dataclass(frozen=True, slots=True)
class Match:
    """An upload resembles what a claim registered.

    ``distance`` is in bits; ``how`` says what had been done to the registered picture, e.g.
    "mirror, border removed"; ``part`` is true when the upload only resembles a part of it, and
    ``added`` when it resembles an upload that a reviewer confirmed, not what was registered.
    """

    bank: BankName
    claim: ClaimId
    distance: int
    how: str
    part: bool = False
    added: bool = False


class BadFingerprint(Malformed):
    """This is not a PDQ fingerprint: it should be 64 hexadecimal digits."""


class TooFlat(Refused):
    """
    This picture has so little detail (quality {quality} of 100) that its fingerprint would fit many
    other pictures too, so it was not registered. Register a version with more of the scene in it.
    """


PICTURE_KIND: Final = "pdq"
VIDEO_KIND: Final = "pdq-video"
SOUND_KIND: Final = "chromaprint"
PRINT_FRAMES_MAX: Final = 1200  # of one video: 150 seconds at eight a second
LOOK_FRAMES_MAX: Final = 2400  # of one upload: ten minutes at four a second
SOUND_WORDS_MAX: Final = 10_000  # of one sound: twenty minutes
SOUND_S_MIN: Final = 5  # that can be told apart, of a sound that is registered
MOMENT_MS: Final = 500  # frames of an upload are counted by the half second
LAST_MS: Final = 3_600_000  # as long as a clip may be


@dataclass(frozen=True, slots=True)
class PicturePrint:
    """A registered picture: the hash of all of it, of windows of it and how all of it looks to a
    network, if its owner agreed.
    """

    kind: ClassVar[str] = PICTURE_KIND
    whole: Fingerprint
    parts: tuple[bytes, ...] = ()
    embedding: Embedding | None = None

    def __post_init__(self) -> None:
        if self.whole.kind != PICTURE_KIND:
            raise ValueError("a picture is registered by its PDQ hash")
        if len(self.parts) > PARTS_MAX or any(len(one) != PDQ_BYTES for one in self.parts):
            raise ValueError(f"at most {PARTS_MAX} windows, each a hash of {PDQ_BYTES} bytes")

    @property
    def quality(self) -> int:
        """How much detail there is, from 0 to 100."""
        return self.whole.quality


@dataclass(frozen=True, slots=True)
class FramePrint:
    """One frame of a video: its PDQ hash (32 bytes), quality, and when it is shown.

    ``inner`` is the hash of the frame without its edges, if its owner agreed to send that too.
    """

    at_ms: int
    bits: bytes
    quality: int
    inner: bytes | None = None

    def __post_init__(self) -> None:
        if self.inner is not None and len(self.inner) != 32:
            raise ValueError("a PDQ hash has 32 bytes")
        if len(self.bits) != 32 or not 0 <= self.quality <= 100:
            raise ValueError("a frame has a PDQ hash of 32 bytes and a quality from 0 to 100")
        if not 0 <= self.at_ms <= LAST_MS:
            raise ValueError("a frame is shown within an hour")


@dataclass(frozen=True, slots=True)
class VideoPrint:
    """A registered video: hashes of frames that differ from their neighbours, by time."""

    frames: tuple[FramePrint, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.frames) <= PRINT_FRAMES_MAX:
            raise ValueError("a video has between one and 1,200 frames with enough detail")
        times = [frame.at_ms for frame in self.frames]
        if any(later <= sooner for sooner, later in pairwise(times)):
            raise ValueError("frames run in the order of time")

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """One hash per frame; the same one may be there twice."""
        return tuple(frame.bits for frame in self.frames)

    @property
    def inner(self) -> tuple[bytes, ...]:
        """The hashes without edges, of the frames that have one."""
        return tuple(frame.inner for frame in self.frames if frame.inner is not None)


@dataclass(frozen=True, slots=True)
class TrimmedView:
    """The hash of one window of one frame of an upload, to find videos with their edges cut."""

    at_ms: int
    how: str
    bits: bytes


@dataclass(frozen=True, slots=True)
class View:
    """One way to look at all frames of an upload: ``how`` it was made, and a hash per frame."""

    how: str
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class VideoLook:
    """An uploaded video: when its distinct frames are shown, and every view of them.

    ``moments`` counts the half seconds of it with a frame in them: what a claim must fill.
    """

    at_ms: tuple[int, ...]
    views: tuple[View, ...]
    trimmed: tuple[TrimmedView, ...] = ()

    def __post_init__(self) -> None:
        if any(len(view.hashes) != len(self.at_ms) for view in self.views):
            raise ValueError("a view has one hash per frame")

    def moment(self, frame: int) -> int:
        """The half second of the upload that this frame is in."""
        return self.at_ms[frame] // MOMENT_MS

    @property
    def moments(self) -> int:
        """How many half seconds have a frame."""
        return len({at_ms // MOMENT_MS for at_ms in self.at_ms})

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """All hashes, view after view: what an index is asked, in this order."""
        return tuple(bits for view in self.views for bits in view.hashes)

    def asked(self, query: int) -> tuple[int, int]:
        """Which view and which frame of it the hash number ``query`` of ``hashes`` is."""
        return divmod(query, len(self.at_ms))


@dataclass(frozen=True, slots=True)
class SoundPrint:
    """A registered sound: ``words`` are unsigned 32-bit numbers in big-endian bytes, 8.08 a second.

    Word n stands for 2.73 seconds that begin 0.1238 n seconds from the start.
    """

    kind: ClassVar[str] = SOUND_KIND
    quality: ClassVar[int] = 100  # PDQ's measure of detail says nothing of a sound
    words: bytes

    def __post_init__(self) -> None:
        if not self.words or len(self.words) % 4 or len(self.words) > 4 * SOUND_WORDS_MAX:
            raise ValueError("a sound has between one and 10,000 words of four bytes")

    def __len__(self) -> int:
        return len(self.words) // 4

    def __iter__(self) -> Iterator[int]:
        """The words as numbers."""
        return (
            int.from_bytes(self.words[at : at + 4], "big") for at in range(0, len(self.words), 4)
        )


@dataclass(frozen=True, slots=True)
class ClipPrint:
    """A registered video with the sound that belongs to it, if that is registered too."""

    kind: ClassVar[str] = VIDEO_KIND
    video: VideoPrint
    sound: SoundPrint | None = None

    @property
    def quality(self) -> int:
        """The detail of its plainest frame, from 0 to 100."""
        return min(frame.quality for frame in self.video.frames)


Print = PicturePrint | ClipPrint | SoundPrint


@dataclass(frozen=True, slots=True)
class HeardAs:
    """One way to hear an upload: ``how`` it was made, and its words, as those of a SoundPrint; it
    may have none.
    """

    how: str
    words: bytes

    def __post_init__(self) -> None:
        if len(self.words) % 4:
            raise ValueError("a word has four bytes")


@dataclass(frozen=True, slots=True)
class Alike:
    """A stretch of an upload sounds like registered sound number ``sound``.

    ``errors`` is the share of bits that differ, ``length_s`` how long both are alike, ``at_s`` and
    ``registered_at_s`` where that begins in the upload and in what was registered.
    """

    sound: int
    errors: float
    length_s: float
    at_s: float
    registered_at_s: float
    how: str


class VideoTooFlat(Refused):
    """
    No moment of this video has enough detail to be told apart from other videos, so it was not
    registered. Register a version with more of the scene in it.
    """


class SoundTooQuiet(Refused):
    """
    There are not {needed_s} seconds in this sound that could be told apart from other sounds: it is
    too short, too quiet, or one steady tone. It was not registered. Register more of it.
    """


NUMBERS: Final = 512
LARGEST: Final = 127
SQUARE_PX: Final = 224  # of each side of what the network is shown
EMBEDDINGS_MAX: Final = 100_000  # of one gate: 51 MB


class LacksEmbedding(Refused):
    """
    Finding pictures by how they look needs a network that is not installed here, so nothing was
    sent. With Python 3.12 or newer, install it, in the folder of Entrenous:
    .venv/bin/pip install -e '.[embedding]'. Or leave --embedding out: the picture's fingerprints
    are found without it.
    """


class TakesNoEmbedding(Refused):
    """
    The platform at {url} does not compare pictures by how they look, or not by the same network, so
    nothing was sent. Give the same command without --embedding.
    """


_LIKELY_POINTS: Final = 9  # among 10,000 strangers the luckiest hardly reaches it
_LIKELY_BITS: Final = 60  # of 256; the luckiest of 10,000 strangers differs in more


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sent picture: number ``place`` of ``message``.

    ``look`` numbers what it looks like: the same for a picture that was sent in several messages.
    ``agreeing`` points of the found picture lie on it in one way, ``fresh`` of them where no
    likelier candidate has any; the fingerprints differ in ``bits``. ``learnt`` is false when its
    points were never kept, or were damaged.
    """

    message: MessageId
    place: int
    look: int
    agreeing: int
    fresh: int
    bits: int
    learnt: bool = True

    @property
    def likely(self) -> bool:
        """Whether chance alone would hardly make it resemble the found picture so much."""
        return self.agreeing >= _LIKELY_POINTS or self.same_print

    @property
    def same_print(self) -> bool:
        """Whether the fingerprints are those of one picture."""
        return self.bits <= _LIKELY_BITS
