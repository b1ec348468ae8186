"""ReviewQueue in memory, for tests and for a village in one process."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from entrenous.adapters.bank.flood import UNREAD_BYTES_MAX, decided_with, is_unread
from entrenous.adapters.bank.memory_late import MemoryLate
from entrenous.adapters.bank.told import review_told, unkept_told
from entrenous.model.decision import Decision
from entrenous.model.review import (
    LATER,
    LISTED_FOR,
    AlreadyAppealed,
    AlreadyDecided,
    Appeal,
    Found,
    NoSuchReview,
    NotThatUpload,
    Review,
    ReviewState,
    UploadNotKept,
)
from entrenous.model.reviewer import OPERATOR
from entrenous.ports import BankStore


@dataclass(slots=True)
class MemoryReviewQueue(MemoryLate):
    """Everything in dictionaries, in the order of arrival; one thread at a time."""

    appealed: set[str] = field(default_factory=set)
    unread_bytes_max: int = UNREAD_BYTES_MAX

    def record(self, review: Review, untrusted_upload: bytes | None) -> None:
        """Keep."""
        self.reviews[review.case] = replace(review, decision=_without_secret(review.decision))
        if untrusted_upload is not None:
            self.uploads[review.case] = untrusted_upload
        if review.frames:
            self.frames[review.case] = review.frames
        if review.sound:
            self.sounds[review.case] = review.sound
        self._due_of(review)

    def keep(self, case: str, untrusted_upload: bytes, held_per_hash: int) -> None:
        """Gather first."""
        review = self.reviews.get(case)
        if review is None or review.state is not ReviewState.WAITING:
            return
        lead = self._gathered(review, held_per_hash)
        size = len(untrusted_upload)
        if lead is not None and not self._has_room(lead, review, held_per_hash):
            return
        unread = lead is None and is_unread(review)
        full = unread and self._unread_bytes() + size > self.unread_bytes_max
        if full or not self.has_disk():
            self.bank.note(*unkept_told(case, size))
        else:
            self.uploads[case] = untrusted_upload

    def next(self, after: str = "", but_confirmed_by: str = "") -> Review | None:
        """The first that waits."""
        cases = self._cases_after(after)
        found = (one for one in self._items() if one.case in cases)
        theirs = but_confirmed_by or None
        first = next((one for one in found if one.first_confirmer != theirs), None)
        return None if first is None else self.review(first.case)

    def upload(self, case: str) -> bytes:
        """Its bytes, while it waits."""
        self.review(case)
        if case not in self.uploads:
            raise UploadNotKept(case=case)
        return self.uploads[case]

    def close(
        self,
        case: str,
        state: ReviewState,
        also: Callable[[Review, BankStore], None],
        by: str = OPERATOR,
        *,
        keeps: bool = False,
    ) -> Review:
        """Decide and forget."""
        review = self.review(case)
        if review.state is not ReviewState.WAITING:
            raise AlreadyDecided(case=case, state=review.state)
        alike_too = decided_with(review, self._with(case), state)
        review = replace(review, also=tuple(one.case for one in alike_too))
        with self.bank.together():
            also(review, self.bank)
        for one in (review, *alike_too):
            self._forget(one.case, state, keeps=keeps and state is ReviewState.RELEASED)
        self._lead_again(case)
        self.bank.note(*review_told(review, state, by))
        return review

    def waiting(self) -> int:
        """Counted."""
        return len(self._items())

    def may_appeal(self, case: str, secret_sha256: bytes) -> bool:
        """By its secret."""
        review = self.reviews.get(case)
        known = None if review is None else review.secret_sha256
        return known is not None and hmac.compare_digest(known, secret_sha256)

    def appeal(self, appeal: Appeal, untrusted_upload: bytes | None) -> None:
        """Once."""
        review = self.reviews.get(appeal.case)
        known = b"" if review is None else review.secret_sha256 or b""
        if review is None or not hmac.compare_digest(known, appeal.secret_sha256):
            raise NoSuchReview(case=appeal.case)
        if appeal.case in self.appealed:
            raise AlreadyAppealed(case=appeal.case)
        if review.was_refused:
            if appeal.upload_sha256 not in (None, review.upload_sha256):
                raise NotThatUpload(case=appeal.case)
            self.since.pop(appeal.case, None)
            self.listed.pop(appeal.case, None)
            self.reviews[appeal.case] = replace(
                review, state=ReviewState.WAITING, found=Found.APPEAL, at=appeal.at
            )
            if untrusted_upload is not None and self.has_disk():
                self.uploads[appeal.case] = untrusted_upload
            elif untrusted_upload is not None:
                self.bank.note(*unkept_told(appeal.case, len(untrusted_upload)))
        self.appealed.add(appeal.case)
        self.bank.note("case appealed", appeal.case, {})

    def _forget(self, case: str, state: ReviewState, *, keeps: bool) -> None:
        decided = replace(self.reviews[case], state=state, first_confirmer="")
        self.listed.pop(case, None)
        if state is ReviewState.CONFIRMED and decided.found in LATER:
            self.listed[case] = self.bank.clock.now() + LISTED_FOR
        if not keeps:
            self._forget_clip(case)
        if not keeps or not self._is_compared(decided):
            file = None if state is ReviewState.RELEASED else decided.upload_sha256
            named = decided.reference if case in self.listed else ""
            decided = replace(decided, bits=None, reference=named, upload_sha256=file)
        self.reviews[case] = decided
        self.uploads.pop(case, None)
        self.slow.pop(case, None)
        self.leads.pop(case, None)


def _without_secret(decision: Decision) -> Decision:
    return replace(decision, secret=None)
