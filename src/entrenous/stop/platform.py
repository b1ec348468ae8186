"""Everything that a platform's gate uses, and its stores of uploads and reviews."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from entrenous.base.audio_video import Clip, FrameSelection, ReadSound, no_clips, no_sounds
from entrenous.base.environment import Clock, RandomSource
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.picture import Picture
from entrenous.fingerprint.nouns import Alike, HeardAs, Likeness, NearHash
from entrenous.serving.host_checks import ClockMark
from entrenous.stop.nouns import Alert, GateLimits
from entrenous.stop.stores import BankStore
from entrenous.stop.upload_record import (
    OPERATOR,
    Appeal,
    DeferredScan,
    DueCounts,
    KeptClip,
    KeptPicture,
    KeptSound,
    LateMatch,
    Review,
    Reviewer,
    ReviewState,
)


class DueWork(Protocol):
    """Work that is due after answers (docs/spec/gate.md sections 5.2 and 5.4).

    Work is leased. Work that is not done when its lease ends can be taken again. A lease that ends
    implausibly late, because a clock was ahead, is void. Methods raise BankUnreachable, like those
    of the stores.
    """

    def note_clock(self, every: timedelta) -> None:
        """Record the clock's time, shared by all processes; call it this often."""

    def clock_mark(self) -> ClockMark | None:
        """Return the recorded time; None before the first record."""

    def keeps_bytes(self) -> bool:
        """Return whether the disk has room for bytes of uploads; otherwise none are kept."""

    def keep_for_slow_look(self, case: str, untrusted_upload: bytes, most: int) -> bool:
        """Keep an upload's bytes until its deferred scan.

        At most ``most`` uploads are kept, and their bytes together are limited. Returns False if
        there is no room, or no scan of this upload is due.
        """

    def take_slow_look(self, lease: timedelta) -> DeferredScan | None:
        """Lease the oldest upload whose deferred scan nobody has taken, or return None."""

    def slow_look_made(self, case: str) -> None:
        """Delete an upload's bytes after a scan without matches, unless it waits for review."""

    def skip_slow_looks(self, before: datetime) -> int:
        """Give up deferred scans that cannot be made; return how many.

        These are scans of uploads before that time whose bytes never arrived, scans that were taken
        three times and never ended, and scans that waited for a day.
        """

    def take_look_backs(self, until: datetime, limit: int) -> Mapping[ClaimId, int]:
        """Lease claims whose look-back is due, until that time.

        The newest come first, so that a person need not wait for an imported list of a million.

        Returns:
            By claim, the number of its newest change.
        """

    def look_back_again(self, bank: BankName) -> int:
        """Make a look-back due for every matching claim of this bank; return how many."""

    def looked_back(self, until: datetime, taken: Mapping[ClaimId, int]) -> None:
        """Record that the look-back for these claims, leased until then, is done.

        A claim that changed meanwhile stays due, since the look-back did not cover its present
        state.
        """

    def due(self) -> DueCounts:
        """Count the work that is due; skipped scans are counted for 24 hours."""


class ReviewDesk(Protocol):
    """Reviewers and alerts (docs/spec/gate.md section 7). Raises BankUnreachable."""

    def add_reviewer(self, name: str, token_sha256: bytes) -> None:
        """Add a reviewer, with the hash of their token.

        Raises BadReviewerName, ReviewerKnown.
        """

    def remove_reviewer(self, name: str) -> None:
        """Remove a reviewer and their first confirmations of undecided cases.

        Raises NoSuchReviewer.
        """

    def reviewers(self) -> tuple[Reviewer, ...]:
        """Return all reviewers, by name."""

    def reviewer_with(self, token_sha256: bytes) -> Reviewer | None:
        """Return the reviewer whose token has this hash, or None."""

    def confirm_first(self, case: str, by: str) -> bool:
        """Record the first of two confirmations of a waiting upload.

        Returns False if another person has confirmed it already: the case may then be closed.

        Raises NoSuchReview, AlreadyDecided; SecondPersonNeeded if ``by`` confirmed it already.
        """

    def take_pages(self, before: datetime, most: int) -> tuple[Alert, ...]:
        """Return the alerts to send now, each kind at most once an hour across all callers.

        They are about items that have waited since ``before``, and about waiting floods of more
        than ``most`` uploads that no alert has reported.
        """

    def paged(self, page: Alert) -> None:
        """Record that this alert was sent."""


class ReviewQueue(DueWork, ReviewDesk, Protocol):
    """Judged uploads, those waiting for review, and the work that is due for them."""

    def record(self, review: Review, untrusted_upload: bytes | None) -> None:
        """Store a judged upload in one row, whatever the decision; durable on return.

        The bytes of a held upload are stored with it, or later by :meth:`keep`.
        """

    def keep(self, case: str, untrusted_upload: bytes, held_per_hash: int) -> None:
        """Keep a waiting upload's bytes for the reviewer; do nothing if it does not wait.

        When more than ``held_per_hash`` uploads within an hour wait for the same registered hash,
        they become one item, and the bytes of some are kept (docs/spec/gate.md section 5, 5.1).
        """

    def next(self, after: str = "", but_confirmed_by: str = "") -> Review | None:
        """Return the first waiting upload by arrival after that case, or None.

        If there is no such case, start with the first upload. Of uploads that wait as one item, the
        first counts. Cases whose first confirmation is by ``but_confirmed_by`` are skipped.
        """

    def review(self, case: str) -> Review:
        """Return the upload of that case, even if it was decided; raises NoSuchReview."""

    def upload(self, case: str) -> bytes:
        """Return the bytes of a held upload (untrusted).

        Raises NoSuchReview; UploadNotKept once it was decided, or if no bytes were kept.
        """

    def close(
        self,
        case: str,
        state: ReviewState,
        also: Callable[[Review, BankStore], None],
        by: str = OPERATOR,
        *,
        keeps: bool = False,
    ) -> Review:
        """Decide a waiting upload once and delete its bytes; return the review as it was before.

        Similar enough uploads of the same item are decided too, and named; the others stay one
        item. ``also`` applies the decision to the bank in the same transaction: both take effect or
        neither. The log says who decided (``by``). With ``keeps``, the data of a released upload
        that a look-back needs stays until :meth:`forget_accepted`; otherwise it is deleted.

        Raises NoSuchReview, AlreadyDecided, and what ``also`` raises.
        """

    def waiting(self) -> int:
        """Count the waiting items."""

    def kept_pictures(self, after: int, limit: int) -> tuple[KeptPicture, ...]:
        """Return, by number, waiting and accepted uploads whose hash is kept.

        Those that a person released are among them.
        """

    def kept_clips(self, after: int, limit: int) -> tuple[KeptClip, ...]:
        """Return, by number, once accepted clips whose frame hashes are kept.

        Those that wait now, or were decided since, are among them.
        """

    def kept_sounds(self, after: int, limit: int) -> tuple[KeptSound, ...]:
        """Return, by number, once accepted clips and sounds whose sound fingerprint is kept."""

    def hold_late(self, find: LateMatch, held_per_hash: int) -> bool:
        """Put an accepted or released upload into the review queue retroactively.

        For an upload that waits already, the new claims are added, so that it still waits if the
        first claim is withdrawn. Many uploads of one registered hash become one item. After a
        deferred scan the upload's bytes stay for the reviewer, under the limits of :meth:`keep`.

        Returns:
            False if the upload waits already, is no longer stored, or none of these claims matches
            any more.
        """

    def published(self, after: str, limit: int) -> tuple[Review, ...]:
        """Return published uploads that wait for review, or that have to be removed.

        They are ordered by arrival after that case, or from the first if there is no such case.
        """

    def forget_removed(self, now: datetime) -> int:
        """Delist uploads confirmed :data:`LISTED_FOR` ago and delete their references.

        Returns how many.
        """

    def forget_accepted(self, before: datetime) -> int:
        """Delete the hashes, frames, sounds and references of uploads accepted before then.

        Uploads that a person released are among them. Returns how many.
        """

    def may_appeal(self, case: str, secret_sha256: bytes) -> bool:
        """Return whether this is the hash of that case's secret. Reads only, in constant time."""

    def appeal(self, appeal: Appeal, untrusted_upload: bytes | None) -> None:
        """Put a refused upload into the review queue, once; for others, only record the appeal.

        Raises NoSuchReview (also for a wrong secret), AlreadyAppealed, NotThatUpload.
        """


class IndexStore(Protocol):
    """An index of registered hashes that follows a BankStore.

    It finds everything that was registered before a call, in any process. It may still find
    withdrawn hashes, so check with ``BankStore.claims_on``.
    """

    def near(self, hashes: Sequence[bytes], *, part: bool) -> Sequence[NearHash]:
        """Return all registered hashes within 31 bits, of whole pictures or of parts."""

    def parts(self) -> int:
        """Count the part hashes known to the last look-up; withdrawn ones count for a while."""


class SoundIndexStore(Protocol):
    """An index of registered sounds; follows a BankStore as an IndexStore does."""

    def near(self, views: Sequence[HeardAs]) -> Sequence[Alike]:
        """Return the registered sounds, by number, that resemble some view of an upload."""

    def newest(self) -> int:
        """Return the number of the newest sound; 0 if there was none.

        If that sound was withdrawn, the number may be a lower one.
        """


class NoSoundIndex:
    """A SoundIndexStore for a platform without sounds."""

    def near(self, _views: Sequence[HeardAs]) -> Sequence[Alike]:
        return ()

    def newest(self) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything that a platform's gate uses.

    Decoders take a stranger's bytes and, outside of tests, run in a jailed subprocess.
    ``read_picture`` decodes a picture. ``read_luma`` is faster: it decodes only brightness, and a
    JPEG at a reduced size with at least the given number of pixels per side (None: not available).
    ``read_clip`` decodes frame by frame while its context is open. ``read_sound`` decodes a sound,
    also that of a clip. ``sounds`` finds registered sounds. ``limits`` say how much the gate takes
    and keeps. ``likeness`` is Return the network for embeddings; None without the extra
    `embedding`. ``page`` alerts a person (None: nobody), and raises PageFailed.
    """

    clock: Clock
    dice: RandomSource
    bank: BankStore
    index: IndexStore
    reviews: ReviewQueue
    read_picture: Callable[[bytes], Picture]
    limits: GateLimits = field(default_factory=GateLimits)
    read_clip: Callable[[bytes, FrameSelection], AbstractContextManager[Clip]] = no_clips
    read_sound: ReadSound = no_sounds
    sounds: SoundIndexStore = field(default_factory=NoSoundIndex)
    likeness: Likeness | None = None
    read_luma: Callable[[bytes, int], Picture] | None = None
    page: Callable[[Alert], object] | None = None

    def read_upload(self, untrusted_data: bytes, at_least_px: int) -> Picture:
        """Decode a picture for hashing only. Raises what ``read_picture`` raises."""
        if self.read_luma is None:
            return self.read_picture(untrusted_data)
        return self.read_luma(untrusted_data, at_least_px)
