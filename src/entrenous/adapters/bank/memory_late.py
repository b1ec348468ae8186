"""Uploads in memory that were let through, what is kept of them, and those that wait after all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from entrenous.adapters.bank.memory_floods import MemoryFloods
from entrenous.adapters.bank.told import FITS_MORE_TOLD, LATE_TOLD
from entrenous.model.claim import MATCHING
from entrenous.model.decision import Outcome
from entrenous.model.fingerprint import Match
from entrenous.model.ids import ClaimId
from entrenous.model.print import SoundPrint
from entrenous.model.review import (
    LATER,
    Found,
    KeptClip,
    KeptPicture,
    KeptSound,
    LateFind,
    Review,
    ReviewState,
)


@dataclass(slots=True)
class MemoryLate(MemoryFloods):
    """``frames`` and ``sounds`` of clips, by case; ``listed`` is for how long a platform is told to
    remove one.
    """

    frames: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    sounds: dict[str, SoundPrint] = field(default_factory=dict)
    listed: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bank.on_withdraw = self._forget_claim

    def kept_pictures(self, after: int, limit: int) -> tuple[KeptPicture, ...]:
        """Numbered by arrival."""
        every = self._comparable(after)
        found = (KeptPicture(at, one.case, one.bits) for at, one in every if one.bits is not None)
        return tuple(islice(found, limit))

    def kept_clips(self, after: int, limit: int) -> tuple[KeptClip, ...]:
        """Numbered by arrival."""
        every, frames = self._comparable(after), self.frames
        found = (
            KeptClip(at, one.case, frames[one.case]) for at, one in every if one.case in frames
        )
        return tuple(islice(found, limit))

    def kept_sounds(self, after: int, limit: int) -> tuple[KeptSound, ...]:
        """Numbered by arrival."""
        every, sounds = self._comparable(after), self.sounds
        found = (
            KeptSound(at, one.case, sounds[one.case]) for at, one in every if one.case in sounds
        )
        return tuple(islice(found, limit))

    def _comparable(self, after: int) -> Iterator[tuple[int, Review]]:
        """Those with a higher number that later claims are compared with."""
        for number, one in enumerate(self.reviews.values(), start=1):
            stays = one.state in (ReviewState.WAITING, ReviewState.RELEASED)
            if number > after and (stays or _is_accepted(one)):
                yield number, one

    def hold_late(self, find: LateFind, held_per_hash: int) -> bool:
        """It waits now, or waited already."""
        review = self.reviews.get(find.case)
        left = tuple(one for one in find.matches if self._matches(one.claim))
        slowly = find.found is Found.SLOW_LOOK
        if review is None or not left:
            return False
        if review.state is ReviewState.WAITING:
            return self._fits_more(review, left)
        if not _is_accepted(review) and (slowly or review.state is not ReviewState.RELEASED):
            return False
        if not slowly and not self._is_compared(review):
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
        waits = ReviewState.WAITING
        late = [
            one.case
            for one in found
            if (one.state is waits and one.found in LATER) or one.case in self.listed
        ]
        return tuple(self.review(case) for case in late[:limit])

    def forget_removed(self, now: datetime) -> int:
        """By time."""
        over = [case for case, until in self.listed.items() if until <= now]
        for case in over:
            del self.listed[case]
            self.reviews[case] = replace(self.reviews[case], reference="")
        return len(over)

    def forget_accepted(self, before: datetime) -> int:
        """By time."""
        old = [one for one in self.reviews.values() if one.at < before]
        passed = [one for one in old if _is_accepted(one) or one.state is ReviewState.RELEASED]
        kept = [one for one in passed if self._is_compared(one)]
        for one in kept:
            self._forget_clip(one.case)
            self.reviews[one.case] = replace(one, bits=None, upload_sha256=None, reference="")
        return len(kept)

    def _fits_more(self, review: Review, left: Sequence[Match]) -> bool:
        """False, as it waited already."""
        known = {match.claim for match in review.decision.matches}
        more = tuple(one for one in left if one.claim not in known)
        if more:
            decision = replace(review.decision, matches=(*review.decision.matches, *more))
            self.reviews[review.case] = replace(review, decision=decision, first_confirmer="")
            self.bank.note(FITS_MORE_TOLD, review.case, {})
        return False

    def _is_compared(self, review: Review) -> bool:
        clip = review.case in self.frames or review.case in self.sounds
        return clip or review.bits is not None

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

    def _forget_clip(self, case: str) -> None:
        self.frames.pop(case, None)
        self.sounds.pop(case, None)

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

    def _matches(self, claim: ClaimId) -> bool:
        held = self.bank.held.get(claim)
        return held is not None and held.state in MATCHING

    def _cases_after(self, case: str) -> dict[str, None]:
        """By arrival; all of them if there is no such case."""
        cases = list(self.reviews)
        first = cases.index(case) + 1 if case in self.reviews else 0
        return dict.fromkeys(cases[first:])


def _is_accepted(review: Review) -> bool:
    closed = review.state is ReviewState.CLOSED
    return closed and review.decision.outcome is Outcome.LET_THROUGH


def _late(review: Review, find: LateFind, left: tuple[Match, ...]) -> Review:
    """As it waits; what the slow look knows of it anew is kept with it."""
    decision = replace(review.decision, outcome=Outcome.HOLD, matches=left)
    waiting = replace(
        review, decision=decision, state=ReviewState.WAITING, found=find.found, entry=find.entry
    )
    if find.found is not Found.SLOW_LOOK:
        return waiting
    return replace(waiting, bits=find.bits, upload_sha256=find.upload_sha256)
