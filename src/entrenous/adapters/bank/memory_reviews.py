"""ReviewQueue in memory, for tests and for a village in one process."""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from entrenous.adapters.bank.flood import (
    UNREAD_BYTES_MAX,
    alike,
    decided_with,
    is_unread,
    wait_together,
)
from entrenous.adapters.bank.memory_desk import MemoryReviewDesk
from entrenous.adapters.bank.told import LATE_TOLD, review_told, unkept_told
from entrenous.model.claim import MATCHING
from entrenous.model.decision import Decision, Outcome
from entrenous.model.fingerprint import Match
from entrenous.model.ids import ClaimId
from entrenous.model.review import (
    LATER,
    Accepted,
    AcceptedClip,
    AlreadyAppealed,
    AlreadyDecided,
    Appeal,
    Found,
    LateFind,
    NoSuchReview,
    NotThatUpload,
    Review,
    ReviewState,
    UploadNotKept,
)
from entrenous.model.reviewer import OPERATOR
from entrenous.ports import BankStore


@dataclass(slots=True)
class MemoryReviewQueue(MemoryReviewDesk):
    """Everything in dictionaries, in the order of arrival; one thread at a time."""

    uploads: dict[str, bytes] = field(default_factory=dict)
    appealed: set[str] = field(default_factory=set)
    frames: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    unread_bytes_max: int = UNREAD_BYTES_MAX

    def __post_init__(self) -> None:
        self.bank.on_withdraw = self._forget_claim

    def record(self, review: Review, untrusted_upload: bytes | None) -> None:
        """Keep."""
        self.reviews[review.case] = replace(review, decision=_without_secret(review.decision))
        if untrusted_upload is not None:
            self.uploads[review.case] = untrusted_upload
        if review.frames:
            self.frames[review.case] = review.frames
        self._due_of(review)

    def keep(self, case: str, untrusted_upload: bytes, held_per_hash: int) -> None:
        """Gather first."""
        review = self.reviews.get(case)
        if review is None or review.state is not ReviewState.WAITING:
            return
        lead = self._gathered(review, held_per_hash)
        size = len(untrusted_upload)
        if (
            lead is None
            and is_unread(review)
            and self._unread_bytes() + size > self.unread_bytes_max
        ):
            self.bank.note(*unkept_told(case, size))
        elif lead is None or self._has_room(lead, review, held_per_hash):
            self.uploads[case] = untrusted_upload

    def next(self, after: str = "", but_confirmed_by: str = "") -> Review | None:
        """The first that waits."""
        cases = self._cases_after(after)
        found = (one for one in self._items() if one.case in cases)
        theirs = but_confirmed_by or None
        first = next((one for one in found if one.first_confirmer != theirs), None)
        return None if first is None else self.review(first.case)

    def review(self, case: str) -> Review:
        """By case number."""
        if case not in self.reviews:
            raise NoSuchReview(case=case)
        kept = case in self.uploads
        return replace(self.reviews[case], gathered=len(self._with(case)), has_bytes=kept)

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
            self._forget(one.case, state)
        self._lead_again(case)
        self.bank.note(*review_told(review, state, by))
        return review

    def waiting(self) -> int:
        """Counted."""
        return len(self._items())

    def accepted(self, after: int, limit: int) -> tuple[Accepted, ...]:
        """Numbered by arrival."""
        found = [
            Accepted(number, one.case, one.bits)
            for number, one in enumerate(self.reviews.values(), start=1)
            if number > after and _is_accepted(one) and one.bits is not None
        ]
        return tuple(found[:limit])

    def accepted_clips(self, after: int, limit: int) -> tuple[AcceptedClip, ...]:
        """Numbered by arrival."""
        found = [
            AcceptedClip(number, one.case, self.frames[one.case])
            for number, one in enumerate(self.reviews.values(), start=1)
            if number > after and _is_accepted(one) and one.case in self.frames
        ]
        return tuple(found[:limit])

    def hold_late(self, find: LateFind, held_per_hash: int) -> bool:
        """It waits now."""
        review = self.reviews.get(find.case)
        left = tuple(one for one in find.matches if self._matches(one.claim))
        slowly = find.found is Found.SLOW_LOOK
        if review is None or not _is_accepted(review) or not left:
            return False
        if not slowly and review.bits is None and find.case not in self.frames:
            return False
        waiting = _late(review, find, left)
        self.reviews[find.case] = waiting
        self.since[find.case] = self.bank.clock.now()
        lead = self._gathered(waiting, held_per_hash)
        if slowly:
            data = self.slow.pop(find.case).untrusted_upload
            if data is not None and (lead is None or self._has_room(lead, waiting, held_per_hash)):
                self.uploads[find.case] = data
        self.bank.note(LATE_TOLD[find.found], find.case, {})
        return True

    def published(self, after: str, limit: int) -> tuple[Review, ...]:
        """By arrival."""
        found = [self.reviews[case] for case in self._cases_after(after)]
        late = [one for one in found if one.state is ReviewState.WAITING and one.found in LATER]
        return tuple(self.review(one.case) for one in late[:limit])

    def _cases_after(self, case: str) -> dict[str, None]:
        """By arrival; all of them if there is no such case."""
        cases = list(self.reviews)
        first = cases.index(case) + 1 if case in self.reviews else 0
        return dict.fromkeys(cases[first:])

    def _forget_claim(self, claim: ClaimId) -> int:
        """Uploads that wait for no other claim are accepted again."""
        waits = [one for one in self._waiting() if one.found in LATER]
        fits = [one for one in waits if any(m.claim == claim for m in one.decision.matches)]
        for one in fits:
            left = tuple(match for match in one.decision.matches if match.claim != claim)
            decision = replace(one.decision, matches=left)
            self.reviews[one.case] = replace(one, decision=decision)
            if not left:
                self._accept_again(one)
        return len(fits)

    def forget_accepted(self, before: datetime) -> int:
        """By time."""
        old = [one for one in self.reviews.values() if _is_accepted(one) and one.at < before]
        kept = [one for one in old if one.bits is not None or one.case in self.frames]
        for one in kept:
            self.frames.pop(one.case, None)
            self.reviews[one.case] = replace(one, bits=None, upload_sha256=None, reference="")
        return len(kept)

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
            self.reviews[appeal.case] = replace(
                review, state=ReviewState.WAITING, found=Found.APPEAL, at=appeal.at
            )
            if untrusted_upload is not None:
                self.uploads[appeal.case] = untrusted_upload
        self.appealed.add(appeal.case)
        self.bank.note("case appealed", appeal.case, {})

    def _gathered(self, review: Review, held_per_hash: int) -> str | None:
        """The case that this one waits with, after it has joined; None if it waits singly."""
        if review.entry is None and not (is_unread(review) and review.upload_sha256):
            return None
        same = [one for one in self._items() if _is_same(one, review) and one.case != review.case]
        lead = next((one.case for one in same if self._with(one.case)), None)
        if lead is None:
            if not same or not wait_together(review, same, held_per_hash):
                return None
            lead, *joining = [one.case for one in same]
            self.leads.update(dict.fromkeys(joining, lead))
            self._flooded(lead, len(same) + 1, held_per_hash)
        self.leads[review.case] = lead
        return lead

    def _has_room(self, lead: str, review: Review, held_per_hash: int) -> bool:
        with_bytes = sum(one.case in self.uploads for one in self._with(lead))
        same = is_unread(review) or alike(self.reviews[lead].bits, review.bits)
        return not same and with_bytes < held_per_hash

    def _unread_bytes(self) -> int:
        unread = (one.case for one in self._waiting() if one.bits is None)
        return sum(len(self.uploads.get(case, b"")) for case in unread)

    def _lead_again(self, case: str) -> None:
        """Those that waited with a case that no longer waits are one item again."""
        left = self._with(case)
        if left:
            first = min(left, key=lambda one: one.case not in self.uploads).case
            self.leads.update({one.case: first for one in left})
            del self.leads[first]

    def _accept_again(self, review: Review) -> None:
        decision = replace(review.decision, outcome=Outcome.LET_THROUGH, matches=())
        self.reviews[review.case] = replace(
            review, decision=decision, state=ReviewState.CLOSED, found=Found.UPLOAD, entry=None,
            first_confirmer="",
        )  # fmt: skip
        self.since.pop(review.case, None)
        self.leads.pop(review.case, None)
        self.uploads.pop(review.case, None)
        self._lead_again(review.case)

    def _forget(self, case: str, state: ReviewState) -> None:
        review = self.reviews[case]
        file = None if state is ReviewState.RELEASED else review.upload_sha256
        self.reviews[case] = replace(
            review, state=state, bits=None, reference="", upload_sha256=file, first_confirmer=""
        )
        self.uploads.pop(case, None)
        self.frames.pop(case, None)
        self.slow.pop(case, None)
        self.leads.pop(case, None)

    def _matches(self, claim: ClaimId) -> bool:
        held = self.bank.held.get(claim)
        return held is not None and held.state in MATCHING

    def _with(self, case: str) -> Sequence[Review]:
        return [one for one in self._waiting() if self.leads.get(one.case) == case]


def _is_accepted(review: Review) -> bool:
    closed = review.state is ReviewState.CLOSED
    return closed and review.decision.outcome is Outcome.LET_THROUGH


def _is_same(review: Review, other: Review) -> bool:
    """Of one registered hash or, of those that cannot be read, one file."""
    if is_unread(review) or is_unread(other):
        both = is_unread(review) and is_unread(other)
        return both and review.upload_sha256 == other.upload_sha256
    return (review.entry, review.found) == (other.entry, other.found)


def _late(review: Review, find: LateFind, left: tuple[Match, ...]) -> Review:
    """As it waits; what the slow look knows of it anew is kept with it."""
    decision = replace(review.decision, outcome=Outcome.HOLD, matches=left)
    waiting = replace(
        review, decision=decision, state=ReviewState.WAITING, found=find.found, entry=find.entry
    )
    if find.found is not Found.SLOW_LOOK:
        return waiting
    return replace(waiting, bits=find.bits, upload_sha256=find.upload_sha256)


def _without_secret(decision: Decision) -> Decision:
    return replace(decision, secret=None)
