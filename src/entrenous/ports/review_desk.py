"""What a gate needs to know of the persons who decide, and of who is told that they are needed."""

from datetime import datetime
from typing import Protocol

from entrenous.model.page import Page
from entrenous.model.reviewer import Reviewer


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

    def take_pages(self, before: datetime, most: int) -> tuple[Page, ...]:
        """What somebody is to be told of now, each kind at most once an hour, whoever asks.

        Items that have waited since ``before``; floods of more than ``most`` uploads that nobody
        was told of and that wait still.
        """
        ...

    def paged(self, page: Page) -> None:
        """Somebody was told."""
        ...
