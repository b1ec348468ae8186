"""Uploads in memory that wait as one item, as flood.py says which do."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from entrenous.adapters.bank.flood import alike, is_unread, wait_together
from entrenous.adapters.bank.memory_desk import MemoryReviewDesk
from entrenous.model.review import NoSuchReview, Review


@dataclass(slots=True)
class MemoryFloods(MemoryReviewDesk):
    """``uploads`` are bytes by case, ``leads`` which case stands for another."""

    uploads: dict[str, bytes] = field(default_factory=dict)

    def review(self, case: str) -> Review:
        """By case number."""
        if case not in self.reviews:
            raise NoSuchReview(case=case)
        kept = case in self.uploads
        return replace(self.reviews[case], gathered=len(self._with(case)), has_bytes=kept)

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

    def _with(self, case: str) -> Sequence[Review]:
        return [one for one in self._waiting() if self.leads.get(one.case) == case]


def _is_same(review: Review, other: Review) -> bool:
    """Of one registered hash or, of those that cannot be read, one file."""
    if is_unread(review) or is_unread(other):
        both = is_unread(review) and is_unread(other)
        return both and review.upload_sha256 == other.upload_sha256
    return (review.entry, review.found) == (other.entry, other.found)
