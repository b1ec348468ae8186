"""All that a platform's gate may touch, and its stores of uploads and reviews."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from entrenous.base.audio_video import Clip, Cut, ReadSound, no_clips, no_sounds
from entrenous.base.environment import Clock, Dice
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.picture import Picture
from entrenous.fingerprint.nouns import Alike, HeardAs, Likeness, Near
from entrenous.serving.host_checks import ClockMark
from entrenous.stop.nouns import Alert, GateLimits
from entrenous.stop.stores import BankStore
from entrenous.stop.upload_record import (
    OPERATOR,
    Appeal,
    Due,
    KeptClip,
    KeptPicture,
    KeptSound,
    LateFind,
    Review,
    Reviewer,
    ReviewState,
    SlowLook,
)


class DueWork(Protocol):
    """What is due is taken for a time. If it was not done by then, whoever asks takes it again
    (docs/spec/gate.md sections 5.2 and 5.4). What is taken for much longer than that was taken by a
    clock that was ahead, and is due. Raises BankUnreachable, like the stores.
    """

    def note_clock(self, every: timedelta) -> None:
        """Remember what the clock says, of all processes together; to be called so often."""
        ...

    def clock_mark(self) -> ClockMark | None:
        """What was remembered; None before the first time."""
        ...

    def keeps_bytes(self) -> bool:
        """Whether there is room on the disk for bytes of uploads; where not, none are kept."""
        ...

    def keep_for_slow_look(self, case: str, untrusted_upload: bytes, most: int) -> bool:
        """Keep the bytes of an upload that a slow look is due of, until it was made; at most
        ``most`` of them, and so many bytes. False if there is no room, or none is due.
        """
        ...

    def take_slow_look(self, lease: timedelta) -> SlowLook | None:
        """The oldest of these that nobody has, or None. It is the caller's for that time."""
        ...

    def slow_look_made(self, case: str) -> None:
        """Nothing was found: its bytes are forgotten. Does nothing when it waits for a person."""
        ...

    def skip_slow_looks(self, before: datetime) -> int:
        """Give up those whose upload came before then and whose bytes never did, those that were
        taken three times to no end, and those that waited for a day; how many.
        """
        ...

    def take_look_backs(self, until: datetime, limit: int) -> Mapping[ClaimId, int]:
        """Claims for which a look back is due and that nobody has, the newest first: a person does
        not wait for a list of a million. They are the caller's until then. Each with the number of
        its newest change.
        """
        ...

    def look_back_again(self, bank: BankName) -> int:
        """A look back is due for every claim of this bank that matches; for how many."""
        ...

    def looked_back(self, until: datetime, taken: Mapping[ClaimId, int]) -> None:
        """It was done for these, as they were taken until then. One that was changed meanwhile, or
        became due anew before that time, stays due: it was not looked back for as it is now.
        """
        ...

    def due(self) -> Due:
        """How much waits; skipped ones are counted for 24 hours."""
        ...


class ReviewDesk(Protocol):
    """Reviewers and pages (docs/spec/gate.md section 7). Raises BankUnreachable like the stores."""

    def add_reviewer(self, name: str, token_sha256: bytes) -> None:
        """Know a reviewer from now on, by the hash of their token.

        Raises BadReviewerName, ReviewerKnown.
        """
        ...

    def remove_reviewer(self, name: str) -> None:
        """Know them no more; what they confirmed first, and nobody else yet, counts no more.

        Raises NoSuchReviewer.
        """
        ...

    def reviewers(self) -> tuple[Reviewer, ...]:
        """All, by name."""
        ...

    def reviewer_with(self, token_sha256: bytes) -> Reviewer | None:
        """Whose token has this hash; None if nobody's has."""
        ...

    def confirm_first(self, case: str, by: str) -> bool:
        """Note who confirms a waiting upload first; False where another person did: then it may be
        closed.

        Raises NoSuchReview, AlreadyDecided; SecondPersonNeeded when it was they themselves.
        """
        ...

    def take_pages(self, before: datetime, most: int) -> tuple[Alert, ...]:
        """What somebody is to be told of now, each kind at most once an hour, whoever asks.

        Items that have waited since ``before``; floods of more than ``most`` uploads that nobody
        was told of and that wait still.
        """
        ...

    def paged(self, page: Alert) -> None:
        """Somebody was told."""
        ...


class ReviewQueue(DueWork, ReviewDesk, Protocol):
    """Uploads that were judged, those that wait for a person, and what is to be done with them."""

    def record(self, review: Review, untrusted_upload: bytes | None) -> None:
        """Keep a judged upload; a held one with its bytes, or keep these later. Durable on return.

        One row is written, whatever the decision is.
        """
        ...

    def keep(self, case: str, untrusted_upload: bytes, held_per_hash: int) -> None:
        """Keep the bytes of a waiting upload, for the reviewer.

        When more than ``held_per_hash`` within an hour wait for the same registered hash, they
        become one item, and its bytes are kept of some (docs/spec/gate.md section 5, 5.1). Does
        nothing when the upload does not wait.
        """
        ...

    def next(self, after: str = "", but_confirmed_by: str = "") -> Review | None:
        """The upload that came first of those that wait, or None; of those that wait as one, the
        first. By arrival after that case; from the first one if there is no such case. What that
        person has confirmed first is passed over.
        """
        ...

    def review(self, case: str) -> Review:
        """The upload of that case, also when it was decided; raises NoSuchReview."""
        ...

    def upload(self, case: str) -> bytes:
        """The bytes of a held upload (untrusted).

        Raises UploadNotKept once it was decided, and where none were kept; NoSuchReview.
        """
        ...

    def close(
        self,
        case: str,
        state: ReviewState,
        also: Callable[[Review, BankStore], None],
        by: str = OPERATOR,
        *,
        keeps: bool = False,
    ) -> Review:
        """Decide a waiting upload and forget its bytes, once; the review as it was before. The log
        says ``by`` whom. With ``keeps`` a released one may be looked back at: what that needs stays
        until :meth:`forget_accepted`. Else nothing does.

        Those that wait with it and are close enough are decided too, and named; the others are one
        item again. What the decision means for the bank is ``also``'s part, which is given the
        review and the bank, and is done in the same transaction: both or neither.

        Raises NoSuchReview, AlreadyDecided, and what ``also`` raises.
        """
        ...

    def waiting(self) -> int:
        """How many items wait."""
        ...

    def kept_pictures(self, after: int, limit: int) -> tuple[KeptPicture, ...]:
        """Uploads that were let through, by a person too, or wait, and whose hash is kept, by
        number.
        """
        ...

    def kept_clips(self, after: int, limit: int) -> tuple[KeptClip, ...]:
        """Clips that were let through, also those that wait or were decided since, and whose
        frames' hashes are kept, by number.
        """
        ...

    def kept_sounds(self, after: int, limit: int) -> tuple[KeptSound, ...]:
        """Clips and sounds likewise, of which it is kept how they sound."""
        ...

    def hold_late(self, find: LateFind, held_per_hash: int) -> bool:
        """Put an accepted upload, or one that a reviewer released, before a reviewer after all;
        False if it is no more, or if none of these claims matches any more: such a one is not kept.

        To one that waits already those of these claims are added which it was not known to fit, so
        that whoever claims second loses nothing when the first one withdraws; False as well.

        Many of one registered hash are one item. After a slow look the bytes that were kept for it
        stay for the reviewer, as :meth:`keep` keeps them.
        """
        ...

    def published(self, after: str, limit: int) -> tuple[Review, ...]:
        """Uploads that were published and wait now, or that were confirmed since and are to be
        removed, each one, by arrival after that case; from the first one if there is no such case.
        """
        ...

    def forget_removed(self, now: datetime) -> int:
        """List no more, and forget the reference, of what was confirmed :data:`LISTED_FOR` ago; of
        how many uploads.
        """
        ...

    def forget_accepted(self, before: datetime) -> int:
        """Forget the hashes, frames and sounds too, and the reference of what was let through, or
        released, and came before then; how many uploads.
        """
        ...

    def may_appeal(self, case: str, secret_sha256: bytes) -> bool:
        """Whether there is such a case and this is its secret's hash. Compared in constant time;
        reads only.
        """
        ...

    def appeal(self, appeal: Appeal, untrusted_upload: bytes | None) -> None:
        """Put a refused upload before a reviewer again, once; of others, note it only.

        Raises NoSuchReview (also for a wrong secret), AlreadyAppealed, NotThatUpload.
        """
        ...


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
    page: Callable[[Alert], object] | None = None

    def read_upload(self, untrusted_data: bytes, at_least_px: int) -> Picture:
        """A picture to be hashed, and nothing else. Raises what ``read_picture`` raises."""
        if self.read_luma is None:
            return self.read_picture(untrusted_data)
        return self.read_luma(untrusted_data, at_least_px)
