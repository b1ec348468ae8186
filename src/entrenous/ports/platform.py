"""What a platform's gate needs, and the room that holds it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from entrenous.model.audit import AuditRow, Details, Head
from entrenous.model.bank import Bank, Counts, Entry
from entrenous.model.claim import Change, Claim, ClaimEvent, Registration
from entrenous.model.fingerprint import Match, Near
from entrenous.model.gate import GateLimits
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.opinion import Opinion, Partner
from entrenous.model.picture import Picture
from entrenous.model.review import Accepted, Appeal, Review, ReviewState
from entrenous.ports.world import Clock, Dice


class BankStore(Protocol):
    """The truth about banks and claims (docs/spec/gate.md section 5). Durable when it returns.

    Every change is also a row of the log, in the same transaction. Every method raises
    BankUnreachable when the store does not answer.
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

    def extend_all(self, claims: Collection[ClaimId], *whole: bytes) -> None:
        """The same for many at once; those that do not match, or are not there, are passed over."""
        ...

    def claim(self, claim: ClaimId) -> Claim:
        """The claim, also when it is withdrawn; raises NoSuchClaim."""
        ...

    def move(self, claim: ClaimId, event: ClaimEvent) -> Claim:
        """Change a claim's state by CLAIM_MOVES; a withdrawn claim loses its hashes at once.

        In the same transaction it is taken out of waiting look-backs; uploads that wait for no
        other claim are accepted again. A move to where it is changes nothing.

        Raises NoSuchClaim, AlreadyWithdrawn.
        """
        ...

    def move_all(self, event: ClaimEvent, *claims: ClaimId) -> tuple[Claim, ...]:
        """Change the states of many at once; those that are there and may be moved so, as they are
        now. The others are passed over: a withdrawn claim stays withdrawn.
        """
        ...

    def withdraw(self, *claims: ClaimId) -> int:
        """Withdraw many at once, as :meth:`move` does; those that are there and were not withdrawn
        before: how many.
        """
        ...

    def dispute(self, *claims: ClaimId) -> tuple[Claim, ...]:
        """Count one more reviewer who disagreed with each; all or none. Raises NoSuchClaim."""
        ...

    def entries(self, after: int) -> tuple[Entry, ...]:
        """Distinct hashes with a number above ``after``, in order: news for an index.

        Perhaps only the first of them: ask again after the last.
        """
        ...

    def claims_on(self, entries: Collection[int]) -> tuple[tuple[int, Claim], ...]:
        """Claims that match (waiting or confirmed) on these hashes, each with the hash's number."""
        ...

    def counts(self) -> Counts:
        """How many claims match, and how many distinct hashes there are."""
        ...

    def hashes_of(self, claim: ClaimId) -> tuple[bytes, ...]:
        """Of whole pictures, 32 bytes each; none of a withdrawn claim."""
        ...

    def opine(
        self,
        opinion: Opinion,
        also: "Callable[[tuple[Opinion, ...], BankStore], None] | None" = None,
    ) -> tuple[Opinion, ...]:
        """Keep a key's opinion of a claim, unless it has a newer one; all that are kept of it.

        What it means for the claim is ``also``'s part, which is given what was kept before and the
        bank as it is with this opinion, and is done in the same transaction: both or neither.

        Raises NoSuchClaim, NoSuchPartner, and what ``also`` raises.
        """
        ...

    def opinions(self, claim: ClaimId) -> tuple[Opinion, ...]:
        """One of each key, the oldest first."""
        ...

    def add_partner(self, partner: Partner) -> None:
        """Know another platform from now on, or give it another name."""
        ...

    def drop_partner(self, key: bytes) -> None:
        """Know it no more; its opinions stay. Raises NoSuchPartner."""
        ...

    def partners(self) -> tuple[Partner, ...]:
        """All, by name."""
        ...

    def changes(self, after: int, limit: int) -> tuple[Change, ...]:
        """Claims that changed after that number, in the order of their newest change.

        Numbers become visible in their order; a withdrawn claim has no hashes.
        """
        ...

    def note(self, what: str, of: str, details: Details) -> None:
        """One more row of the log."""
        ...

    def log(self, after: int, limit: int) -> tuple[AuditRow, ...]:
        """Rows of the log with a higher number, in order."""
        ...

    def log_head(self) -> Head:
        """What is kept beside the log of its last row."""
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

    def next(self) -> Review | None:
        """The upload that has waited longest, or None; of those that wait as one, the first."""
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

        Those that wait with it and are close enough are decided too, and named; the others are one
        item again. What the decision means for the bank is ``also``'s part, which is given the
        review and the bank, and is done in the same transaction: both or neither.

        Raises NoSuchReview, AlreadyDecided, and what ``also`` raises.
        """
        ...

    def waiting(self) -> int:
        """How many items wait."""
        ...

    def accepted(self, after: int, limit: int) -> tuple[Accepted, ...]:
        """Uploads that were let through and whose hash is kept, by number."""
        ...

    def look_back(
        self, case: str, matches: tuple[Match, ...], entry: int, held_per_hash: int
    ) -> bool:
        """Put an accepted upload before a reviewer, for newer claims; False if it is no more, or if
        none of these claims matches any more: such a one is not kept.

        ``entry`` is the registered hash that it fits; many of one hash are one item.
        """
        ...

    def forget_accepted(self, before: datetime) -> int:
        """Forget the hashes and the reference of what was let through before then; how many."""
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


@dataclass(frozen=True, slots=True)
class Platform:
    """All that a platform's gate may touch.

    ``read_picture`` decodes what a stranger made (in a jailed child, outside of tests);
    ``limits`` say how much it takes and keeps.
    """

    clock: Clock
    dice: Dice
    bank: BankStore
    index: IndexStore
    reviews: ReviewQueue
    read_picture: Callable[[bytes], Picture]
    limits: GateLimits = field(default_factory=GateLimits)
