"""What a platform's gate needs, and the room that holds it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from entrenous.model.clip import Clip, Cut
from entrenous.model.fingerprint import Near
from entrenous.model.gate import GateLimits
from entrenous.model.page import Page
from entrenous.model.picture import Picture
from entrenous.model.print import Alike, HeardAs
from entrenous.ports.bank import BankStore
from entrenous.ports.device import ReadSound, no_clips, no_sounds
from entrenous.ports.embedding import Likeness
from entrenous.ports.reviews import ReviewQueue
from entrenous.ports.world import Clock, Dice


class IndexStore(Protocol):
    """Finds registered hashes near others. It follows a BankStore: what was registered before a
    call, in this process or another, is found; what was withdrawn may be too (claims_on decides).
    """

    def near(self, hashes: Sequence[bytes], *, part: bool) -> Sequence[Near]:
        """All registered hashes, of whole pictures or of parts, within 31 bits. None is missed."""
        ...

    def parts(self) -> int:
        """How many hashes of parts the last look-up knew; withdrawn ones count for a while."""
        ...


class SoundIndexStore(Protocol):
    """Finds registered sounds like others; follows a BankStore as an IndexStore does."""

    def near(self, views: Sequence[HeardAs]) -> Sequence[Alike]:
        """Registered sounds, by number, that some view of an upload is like."""
        ...

    def newest(self) -> int:
        """The number of the newest sound that was registered, or a lower one of a withdrawn one; 0
        if there was none.
        """
        ...


class DeafIndex:
    """A SoundIndexStore of a platform without sounds."""

    def near(self, _views: Sequence[HeardAs]) -> Sequence[Alike]:
        """None."""
        return ()

    def newest(self) -> int:
        """None."""
        return 0


@dataclass(frozen=True, slots=True)
class Platform:
    """All that a platform's gate may touch.

    ``read_picture`` decodes what a stranger made (in a jailed child, outside of tests);
    ``read_luma`` does too where how bright it is will do, and a JPEG with so many pixels on its
    sides, which is quicker (None: no quicker way);
    ``read_clip`` likewise, frame by frame, as long as its context is open; ``read_sound`` likewise,
    the sound of a clip too; ``sounds`` finds registered sounds;
    ``limits`` say how much it takes and keeps; ``likeness`` is None without the extra `embedding`;
    ``page`` tells a person that they are needed (None: nobody), and raises PageFailed.
    """

    clock: Clock
    dice: Dice
    bank: BankStore
    index: IndexStore
    reviews: ReviewQueue
    read_picture: Callable[[bytes], Picture]
    limits: GateLimits = field(default_factory=GateLimits)
    read_clip: Callable[[bytes, Cut], AbstractContextManager[Clip]] = no_clips
    read_sound: ReadSound = no_sounds
    sounds: SoundIndexStore = field(default_factory=DeafIndex)
    likeness: Likeness | None = None
    read_luma: Callable[[bytes, int], Picture] | None = None
    page: Callable[[Page], object] | None = None

    def read_upload(self, untrusted_data: bytes, at_least_px: int) -> Picture:
        """A picture to be hashed, and nothing else. Raises what ``read_picture`` raises."""
        if self.read_luma is None:
            return self.read_picture(untrusted_data)
        return self.read_luma(untrusted_data, at_least_px)
