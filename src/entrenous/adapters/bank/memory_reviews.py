"""ReviewQueue in memory, for tests and for a village in one process."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

from entrenous.adapters.bank.memory_bank import MemoryBankStore
from entrenous.model.bank import AlreadyDecided, NoSuchReview, Review, ReviewState
from entrenous.ports import BankStore


@dataclass(slots=True)
class MemoryReviewQueue:
    """Everything in dictionaries, in the order of arrival; one thread at a time."""

    bank: MemoryBankStore
    reviews: dict[str, Review] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)

    def record(self, review: Review, untrusted_upload: bytes | None) -> None:
        """Keep."""
        self.reviews[review.case] = review
        if untrusted_upload is not None:
            self.uploads[review.case] = untrusted_upload

    def next(self) -> Review | None:
        """The first that waits."""
        return next(iter(self._waiting()), None)

    def review(self, case: str) -> Review:
        """By case number."""
        if case not in self.reviews:
            raise NoSuchReview(case=case)
        return self.reviews[case]

    def upload(self, case: str) -> bytes:
        """Its bytes, while it waits."""
        if case not in self.uploads:
            raise NoSuchReview(case=case)
        return self.uploads[case]

    def close(
        self, case: str, state: ReviewState, also: Callable[[Review, BankStore], None]
    ) -> Review:
        """Decide and forget."""
        review = self.review(case)
        if review.state is not ReviewState.WAITING:
            raise AlreadyDecided(case=case, state=review.state)
        self._all_or_nothing(review, also)
        self.reviews[case] = replace(review, state=state, bits=None)
        self.uploads.pop(case, None)
        return review

    def waiting(self) -> int:
        """Counted."""
        return len(self._waiting())

    def _all_or_nothing(self, review: Review, also: Callable[[Review, BankStore], None]) -> None:
        names = [field.name for field in fields(self.bank)]
        before = {name: copy.deepcopy(getattr(self.bank, name)) for name in names}
        try:
            also(review, self.bank)
        except BaseException:
            for name in names:
                setattr(self.bank, name, before[name])
            raise

    def _waiting(self) -> list[Review]:
        return [one for one in self.reviews.values() if one.state is ReviewState.WAITING]
