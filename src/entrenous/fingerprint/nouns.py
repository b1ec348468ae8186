"""The types of fingerprints, embeddings and matches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Final, Protocol

from entrenous.base.errors import Malformed, Refused
from entrenous.base.identifiers import BankName, ClaimId, MessageId
from entrenous.base.limits import PDQ_BYTES, REGISTERED_PARTS_MAX

# the name of the network, with the side of its input in pixels
EMBEDDING_MODEL: Final = "sscd-distilled-224"


@dataclass(frozen=True, slots=True)
class Embedding:
    """An embedding: 512 signed bytes in ``numbers``, the largest of which in absolute value is 127.

    Only the angle between two embeddings of the same ``model`` has a meaning.
    """

    numbers: bytes
    model: str = EMBEDDING_MODEL

    def __post_init__(self) -> None:
        if len(self.numbers) != EMBEDDING_NUMBERS:
            raise ValueError("an embedding has 512 numbers")
        signed = memoryview(self.numbers).cast("b")
        if max(map(abs, signed)) != EMBEDDING_NUMBER_MAX:
            raise ValueError("the largest number of an embedding is 127 or -127")
        if not (0 < len(self.model) <= 40 and self.model.isascii() and self.model.isprintable()):
            raise ValueError("a network's name has 1 to 40 characters")


class Embedder(Protocol):
    """Computes embeddings with a network; tests use a simple one of their own."""

    def embed(self, squares: Sequence[bytes]) -> tuple[Embedding, ...]:
        """Return one embedding for each square, which has 224 x 224 RGB samples, row by row."""
        ...


@dataclass(frozen=True, slots=True)
class RegisteredEmbedding:
    """A registered embedding; ``entry`` is the entry number of the whole picture's hash."""

    number: int
    entry: int
    claim: ClaimId
    embedding: Embedding


@dataclass(frozen=True, slots=True)
class NearEmbedding:
    """A query (by index) and an embedding of a claim, with their cosine, from -1 to 1."""

    query: int
    entry: int
    claim: ClaimId
    cosine: float


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A fingerprint: ``bits`` is the hash (PDQ: 32 bytes, bit 255 first), ``quality`` 0 to 100."""

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
        return self.bits.hex()


@dataclass(frozen=True, slots=True)
class NearHash:
    """A query (by index) and a registered entry, ``distance`` bits apart."""

    query: int
    entry: int
    distance: int


@dataclass(frozen=True, slots=True)
class Match:
    """A match: an upload resembles a registered claim.

    ``distance`` is in bits. ``how`` says how the registered picture was changed, e.g. "mirror,
    border removed". ``part`` means that the upload resembles only a part of the registered picture.
    ``added`` means that the upload resembles an earlier upload that a reviewer confirmed, rather
    than the registered picture.
    """

    bank: BankName
    claim: ClaimId
    distance: int
    how: str
    part: bool = False
    added: bool = False


class BadFingerprint(Malformed):
    """This is not a PDQ fingerprint, which has 64 hexadecimal digits. Nothing was changed. To
    compute one: entrenous fingerprint FILE
    """


class TooFlat(Refused):
    """
    This picture has too little detail (quality {quality} of 100): its fingerprint would also match
    many other pictures. It was not registered. Register a version that shows more of the scene.
    """


PICTURE_KIND: Final = "pdq"
VIDEO_KIND: Final = "pdq-video"
SOUND_KIND: Final = "chromaprint"
REGISTERED_FRAMES_MAX: Final = 1200  # frames of one video: 150 seconds at eight per second
UPLOAD_FRAMES_MAX: Final = 2400  # frames of one upload: ten minutes at four per second
SOUND_WORDS_MAX: Final = 10_000  # 32-bit words of one sound: twenty minutes
# to be registered, a sound needs this many seconds that can be told from other sounds
DISTINCTIVE_SOUND_S_MIN: Final = 5
HALF_SECOND_MS: Final = 500  # an upload's matching frames are counted by half seconds
CLIP_MS_MAX: Final = 3_600_000  # length of the longest clip that is accepted


@dataclass(frozen=True, slots=True)
class PicturePrint:
    """A registered picture: hashes of the whole and of its parts, and perhaps an embedding."""

    kind: ClassVar[str] = PICTURE_KIND
    whole: Fingerprint
    parts: tuple[bytes, ...] = ()
    embedding: Embedding | None = None

    def __post_init__(self) -> None:
        if self.whole.kind != PICTURE_KIND:
            raise ValueError("a picture is registered by its PDQ hash")
        if len(self.parts) > REGISTERED_PARTS_MAX or any(
            len(one) != PDQ_BYTES for one in self.parts
        ):
            raise ValueError(
                f"at most {REGISTERED_PARTS_MAX} windows, each a hash of {PDQ_BYTES} bytes"
            )

    @property
    def quality(self) -> int:
        return self.whole.quality


@dataclass(frozen=True, slots=True)
class FramePrint:
    """One frame of a video: its PDQ hash (32 bytes), quality, and time.

    ``inner`` is the hash of the frame without its edges, if its owner agreed to send it.
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
        if not 0 <= self.at_ms <= CLIP_MS_MAX:
            raise ValueError("a frame is shown within an hour")


@dataclass(frozen=True, slots=True)
class VideoPrint:
    """A registered video: in time order, those frames that differ from the one before."""

    frames: tuple[FramePrint, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.frames) <= REGISTERED_FRAMES_MAX:
            raise ValueError("a video has between one and 1,200 frames with enough detail")
        times = [frame.at_ms for frame in self.frames]
        if any(later <= sooner for sooner, later in pairwise(times)):
            raise ValueError("frames must be in time order")

    @property
    def hashes(self) -> tuple[bytes, ...]:
        return tuple(frame.bits for frame in self.frames)

    @property
    def inner(self) -> tuple[bytes, ...]:
        """The hashes of frames without their edges; some frames have none."""
        return tuple(frame.inner for frame in self.frames if frame.inner is not None)


@dataclass(frozen=True, slots=True)
class TrimmedView:
    """The hash of a window of an upload's frame, for finding videos whose edges were cut off."""

    at_ms: int
    how: str
    bits: bytes


@dataclass(frozen=True, slots=True)
class VideoView:
    """All frames of an upload after one transformation (``how``), with one hash per frame."""

    how: str
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class VideoViews:
    """An uploaded video: the times of its distinct frames, and all views of these frames."""

    at_ms: tuple[int, ...]
    views: tuple[VideoView, ...]
    trimmed: tuple[TrimmedView, ...] = ()

    def __post_init__(self) -> None:
        if any(len(view.hashes) != len(self.at_ms) for view in self.views):
            raise ValueError("a view has one hash per frame")

    def half_second_of_frame(self, frame: int) -> int:
        """Return the half second of the upload that contains this frame."""
        return self.at_ms[frame] // HALF_SECOND_MS

    @property
    def half_second_count(self) -> int:
        """The number of half seconds that have a frame; a claim must match a share of these."""
        return len({at_ms // HALF_SECOND_MS for at_ms in self.at_ms})

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """All hashes, view after view; an index is queried in this order."""
        return tuple(bits for view in self.views for bits in view.hashes)

    def view_and_frame(self, query: int) -> tuple[int, int]:
        """Return the view and the frame of the hash at index ``query`` of ``hashes``."""
        return divmod(query, len(self.at_ms))


@dataclass(frozen=True, slots=True)
class SoundPrint:
    """A registered sound: ``words`` are big-endian unsigned 32-bit integers, 8.08 per second.

    Word number n covers the 2.72 seconds that begin at n times 0.1238 seconds.
    """

    kind: ClassVar[str] = SOUND_KIND
    # quality is PDQ's measure of detail, which does not apply to sounds
    quality: ClassVar[int] = 100
    words: bytes

    def __post_init__(self) -> None:
        if not self.words or len(self.words) % 4 or len(self.words) > 4 * SOUND_WORDS_MAX:
            raise ValueError("a sound has between one and 10,000 words of four bytes")

    def __len__(self) -> int:
        return len(self.words) // 4

    def __iter__(self) -> Iterator[int]:
        return (
            int.from_bytes(self.words[at : at + 4], "big") for at in range(0, len(self.words), 4)
        )


@dataclass(frozen=True, slots=True)
class ClipPrint:
    """A registered video, and its sound if the sound is registered too."""

    kind: ClassVar[str] = VIDEO_KIND
    video: VideoPrint
    sound: SoundPrint | None = None

    @property
    def quality(self) -> int:
        """The quality of the video's least detailed frame, from 0 to 100."""
        return min(frame.quality for frame in self.video.frames)


MediaFingerprint = PicturePrint | ClipPrint | SoundPrint


@dataclass(frozen=True, slots=True)
class SoundVariant:
    """The words of an upload's sound after one transformation (``how``); ``words`` may be empty."""

    how: str
    words: bytes

    def __post_init__(self) -> None:
        if len(self.words) % 4:
            raise ValueError("a word has four bytes")


@dataclass(frozen=True, slots=True)
class SoundMatch:
    """A match of sounds: a part of an upload sounds like the registered sound number ``sound``.

    ``errors`` is the share of differing bits, and ``length_s`` the length of the match. ``at_s``
    and ``registered_at_s`` are where the match begins in the upload and in the registered sound.
    """

    sound: int
    errors: float
    length_s: float
    at_s: float
    registered_at_s: float
    how: str


class VideoTooFlat(Refused):
    """
    This video has too little detail to distinguish it from other videos. It was not registered.
    Register a version that shows more of the scene.
    """


class SoundTooQuiet(Refused):
    """
    This sound cannot be told apart from other sounds: it is too short, too quiet, or one steady
    tone. It was not registered. Register a longer part of the recording, with at least {needed_s}
    seconds of distinctive sound.
    """


EMBEDDING_NUMBERS: Final = 512
EMBEDDING_NUMBER_MAX: Final = 127
EMBEDDING_SQUARE_SIDE_PX: Final = 224  # side of the network's input in pixels
EMBEDDINGS_MAX: Final = 100_000  # embeddings at one gate, which take 51 MB


class EmbeddingModelMissing(Refused):
    """
    To compare pictures by what they look like, Entrenous needs a neural network that is not
    installed here. Nothing was sent. To install it, which needs Python 3.12 or newer, run this in
    the folder of Entrenous: .venv/bin/pip install -e '.[embedding]'. Or leave out --embedding: the
    picture is still found by its fingerprints.
    """


class PlatformTakesNoEmbedding(Refused):
    """
    The platform at {url} does not compare pictures by what they look like, or does so with a
    different neural network. Nothing was sent. Run the same command without --embedding.
    """


# agreeing points; even the best of 10,000 unrelated pictures almost never has this many
_LIKELY_AGREEING_POINTS_MIN: Final = 9
# differing bits of 256; even the nearest of 10,000 unrelated pictures differs in more bits
_LIKELY_DIFFERING_BITS_MAX: Final = 60


@dataclass(frozen=True, slots=True)
class PictureCandidate:
    """A sent picture that a found one may show. It is picture number ``place`` in ``message``.

    ``look`` is a number for what the picture shows: messages with the same picture share it.
    ``agreeing`` is the number of points that match under one placement of the picture. ``fresh`` is
    how many of them are in parts of the found picture where no likelier candidate has matching
    points. The fingerprints differ in ``bits`` bits. ``learnt`` is false if the picture's points
    were never stored, or are damaged.
    """

    message: MessageId
    place: int
    look: int
    agreeing: int
    fresh: int
    bits: int
    learnt: bool = True

    @property
    def is_likely(self) -> bool:
        """Whether so much resemblance is unlikely to be chance."""
        return self.agreeing >= _LIKELY_AGREEING_POINTS_MIN or self.has_similar_hash

    @property
    def has_similar_hash(self) -> bool:
        return self.bits <= _LIKELY_DIFFERING_BITS_MAX
