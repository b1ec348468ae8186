"""Everything that a rule of a platform's gate may use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from entrenous.base.audio_video import Clip, FrameSelection, ReadSound, refuse_clip, refuse_sound
from entrenous.base.environment import Clock, RandomSource
from entrenous.base.picture import Picture
from entrenous.fingerprint.nouns import Embedder, NearHash
from entrenous.stop.nouns import Alert, GateLimits

if TYPE_CHECKING:
    from entrenous.stop.index.memory_indexes import RegisteredEmbeddings, RegisteredSounds
    from entrenous.stop.store.bank_store import BankStore
    from entrenous.stop.store.review_queue import ReviewQueue


class IndexStore(Protocol):
    """An index of registered hashes that follows a BankStore.

    One implementation keeps the index in files, one also maintains it in a thread, and one opens it
    at the first look-up.

    A look-up finds every hash that any process registered before the call. The look-up may still
    find withdrawn hashes, so check its results with ``BankStore.claims_on_pictures``.
    """

    def find_near_hashes(self, hashes: Sequence[bytes], *, part: bool) -> Sequence[NearHash]:
        """Return the registered hashes, of whole pictures or of parts, that differ from one of
        ``hashes`` in at most 31 bits.
        """

    def part_hash_count(self) -> int:
        """Return the number of part hashes known to the last look-up; withdrawn ones still count
        for a while.
        """


@dataclass(frozen=True, slots=True)
class EmbeddingComparison:
    """The objects for comparing embeddings, from the extra `embedding`: a network, and the
    registered embeddings.
    """

    embedder: Embedder
    index: RegisteredEmbeddings


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything that a platform's gate uses.

    Decoders take a stranger's bytes and, outside of tests, run in a jailed subprocess.
    ``read_picture`` decodes a picture. ``read_luma`` (None: not available) is faster, since it
    decodes only brightness, and a JPEG at a reduced size with at least ``at_least_px`` pixels on
    each side. ``read_clip`` decodes frame by frame while its context is open. ``read_sound``
    decodes a sound file, or the sound of a clip. ``sounds`` finds registered sounds. ``limits`` say
    how much the gate accepts and stores. ``embedding_comparison`` is None without the extra
    `embedding`. ``send_alert`` alerts a person, or raises AlertProgramFailed; if it is None, nobody
    is alerted.
    """

    clock: Clock
    random_source: RandomSource
    bank: BankStore
    index: IndexStore
    reviews: ReviewQueue
    read_picture: Callable[[bytes], Picture]
    limits: GateLimits = field(default_factory=GateLimits)
    read_clip: Callable[[bytes, FrameSelection], AbstractContextManager[Clip]] = refuse_clip
    read_sound: ReadSound = refuse_sound
    sounds: RegisteredSounds = field(kw_only=True)
    embedding_comparison: EmbeddingComparison | None = None
    read_luma: Callable[..., Picture] | None = None
    send_alert: Callable[[Alert], object] | None = None
