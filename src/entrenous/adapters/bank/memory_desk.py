"""ReviewDesk in memory, for tests and for a village in one process."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime

from entrenous.adapters.bank.memory_due import MemoryDueWork
from entrenous.adapters.bank.told import first_told, flood_told, reviewer_told
from entrenous.model.page import AGAIN_AFTER, Page, PageKind
from entrenous.model.review import AlreadyDecided, NoSuchReview, Review, ReviewState
from entrenous.model.reviewer import (
    BadReviewerName,
    NoSuchReviewer,
    Reviewer,
    ReviewerKnown,
    SecondPersonNeeded,
    may_be_reviewer,
)


@dataclass(slots=True)
class MemoryReviewDesk(MemoryDueWork):
    """Dictionaries; ``since`` is when a case came before a reviewer, where that was later."""

    tokens: dict[bytes, Reviewer] = field(default_factory=dict)
    leads: dict[str, str] = field(default_factory=dict)
    since: dict[str, datetime] = field(default_factory=dict)
    untold: int = 0
    taken_at: dict[PageKind, datetime] = field(default_factory=dict)

    def add_reviewer(self, name: str, token_sha256: bytes) -> None:
        """Keep."""
        if not may_be_reviewer(name):
            raise BadReviewerName
        if any(one.name == name for one in self.tokens.values()):
            raise ReviewerKnown(name=name)
        self.tokens[token_sha256] = Reviewer(name, self.bank.clock.now())
        self.bank.note(*reviewer_told("added", name))

    def remove_reviewer(self, name: str) -> None:
        """Delete, and take their first words back."""
        theirs = [token for token, one in self.tokens.items() if one.name == name]
        if not theirs:
            raise NoSuchReviewer(name=name)
        del self.tokens[theirs[0]]
        for case, one in self.reviews.items():
            if one.first_confirmer == name:
                self.reviews[case] = replace(one, first_confirmer="")
        self.bank.note(*reviewer_told("removed", name))

    def reviewers(self) -> tuple[Reviewer, ...]:
        """All."""
        return tuple(sorted(self.tokens.values(), key=lambda one: one.name))

    def reviewer_with(self, token_sha256: bytes) -> Reviewer | None:
        """By the hash."""
        return self.tokens.get(token_sha256)

    def confirm_first(self, case: str, by: str) -> bool:
        """Keep."""
        if case not in self.reviews:
            raise NoSuchReview(case=case)
        review = self.reviews[case]
        if review.state is not ReviewState.WAITING:
            raise AlreadyDecided(case=case, state=review.state)
        if review.first_confirmer == by:
            raise SecondPersonNeeded(case=case, reviewer=by)
        if review.first_confirmer:
            return False
        self.reviews[case] = replace(review, first_confirmer=by)
        self.bank.note(*first_told(case, by))
        return True

    def take_pages(self, before: datetime, most: int) -> tuple[Page, ...]:
        """Counted."""
        every = Counter(self.leads[one.case] for one in self._waiting() if one.case in self.leads)
        floods = sum(count + 1 > most for count in every.values()) if self.untold else 0
        late = sum(self.since.get(one.case, one.at) < before for one in self._items())
        pages = Page(PageKind.FLOOD, floods, self.untold), Page(PageKind.WAITING, late)
        return tuple(page for page in pages if page.count and self._taken(page.kind))

    def paged(self, page: Page) -> None:
        """Those are told."""
        self.untold -= page.told

    def _taken(self, kind: PageKind) -> bool:
        now = self.bank.clock.now()
        taken_at = self.taken_at.get(kind)
        if taken_at is not None and now - AGAIN_AFTER < taken_at <= now + AGAIN_AFTER:
            return False
        self.taken_at[kind] = now
        return True

    def _flooded(self, lead: str, uploads: int, most: int) -> None:
        """So many are one item from now on."""
        self.bank.note(*flood_told(lead, uploads))
        self.untold += uploads > most

    def _items(self) -> list[Review]:
        return [one for one in self._waiting() if one.case not in self.leads]

    def _waiting(self) -> list[Review]:
        return [one for one in self.reviews.values() if one.state is ReviewState.WAITING]
