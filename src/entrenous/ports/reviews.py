"""What a gate needs of the store of its uploads."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from entrenous.model.review import (
    Appeal,
    KeptClip,
    KeptPicture,
    KeptSound,
    LateFind,
    Review,
    ReviewState,
)
from entrenous.model.reviewer import OPERATOR
from entrenous.ports.bank import BankStore
from entrenous.ports.due import DueWork
from entrenous.ports.review_desk import ReviewDesk


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
