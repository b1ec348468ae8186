"""What a platform's gate needs, and the room that holds it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from entrenous.model.bank import (
    Bank,
    Claim,
    ClaimEvent,
    Counts,
    Entry,
    Registration,
    Review,
    ReviewState,
)
from entrenous.model.fingerprint import Near
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.picture import Picture
from entrenous.ports.world import Clock, Dice


class BankStore(Protocol):
    """The truth about banks and claims (docs/spec/gate.md section 5). Durable when it returns.

    Every method raises BankUnreachable when the store does not answer.
    """

    def set_bank(self, bank: Bank) -> None:
        """Make a bank, or replace the policy of the one with that name."""
        ...

    def bank(self, name: BankName) -> Bank:
        """The policy; raises NoSuchBank."""
        ...

    def banks(self) -> tuple[Bank, ...]:
        """All banks, by name."""
        ...

    def register(self, *registrations: Registration) -> None:
        """Store claims and their hashes, all or none; raises NoSuchBank."""
        ...

    def extend(self, claim: ClaimId, *whole: bytes) -> None:
        """Add hashes of whole pictures to a claim that matches; raises NoSuchClaim."""
        ...

    def claim(self, claim: ClaimId) -> Claim:
        """The claim, also when it is withdrawn; raises NoSuchClaim."""
        ...

    def move(self, claim: ClaimId, event: ClaimEvent) -> Claim:
        """Change a claim's state by CLAIM_MOVES; a withdrawn claim loses its hashes at once.

        Raises NoSuchClaim, AlreadyWithdrawn.
        """
        ...

    def dispute(self, claim: ClaimId) -> Claim:
        """Count one more reviewer who disagreed; raises NoSuchClaim."""
        ...

    def entries(self, after: int) -> tuple[Entry, ...]:
        """Distinct hashes with a number above ``after``, in order: news for an index."""
        ...

    def claims_on(self, entries: Collection[int]) -> tuple[tuple[int, Claim], ...]:
        """Claims that match (waiting or confirmed) on these hashes, each with the hash's number."""
        ...

    def counts(self) -> Counts:
        """How many claims match, and how many distinct hashes there are."""
        ...


class IndexStore(Protocol):
    """Finds registered hashes near others. It follows a BankStore: what was registered before a
    call, in this process or another, is found; what was withdrawn may be too (claims_on decides).
    """

    def near(self, hashes: Sequence[bytes], *, part: bool) -> Sequence[Near]:
        """All registered hashes, of whole pictures or of parts, within 31 bits. None is missed."""
        ...


class ReviewQueue(Protocol):
    """Uploads that were judged, and those that wait for a person."""

    def record(self, review: Review, untrusted_upload: bytes | None) -> None:
        """Keep a judged upload; a held one with its bytes, for the reviewer. Durable on return."""
        ...

    def next(self) -> Review | None:
        """The upload that has waited longest, or None."""
        ...

    def review(self, case: str) -> Review:
        """The upload of that case; raises NoSuchReview."""
        ...

    def upload(self, case: str) -> bytes:
        """The bytes of a held upload (untrusted); raises NoSuchReview once it was decided."""
        ...

    def close(
        self, case: str, state: ReviewState, also: Callable[[Review, BankStore], None]
    ) -> Review:
        """Decide a waiting upload and forget its bytes, once; the review as it was before.

        What the decision means for the bank is ``also``'s part, which is given the review and the
        bank, and is done in the same transaction: both or neither.

        Raises NoSuchReview, AlreadyDecided, and what ``also`` raises.
        """
        ...

    def waiting(self) -> int:
        """How many wait."""
        ...


@dataclass(frozen=True, slots=True)
class Platform:
    """All that a platform's gate may touch.

    ``read_picture`` decodes what a stranger made (in a jailed child, outside of tests).
    """

    clock: Clock
    dice: Dice
    bank: BankStore
    index: IndexStore
    reviews: ReviewQueue
    read_picture: Callable[[bytes], Picture]
