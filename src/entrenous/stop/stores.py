"""The store of banks and registrations, as the gate's rules see it.

Kept as protocols for now, so that no rule imports SQLAlchemy at run time.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Protocol

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.fingerprint.nouns import EmbeddingStore, SoundPrint
from entrenous.stop.nouns import AuditRow, Bank, Counts, Details, Entry, Head, Listing
from entrenous.stop.registration import (
    Change,
    Claim,
    ClaimEvent,
    ClaimFacts,
    ClaimState,
    Opinion,
    Partner,
    Registration,
)
from entrenous.stop.upload_record import Release

ClaimHashes = tuple[Claim, tuple[bytes, ...]]
ShownBy = tuple[int, Claim, int | None]  # number of a hash, a claim on it, when its video shows it


class BankStore(EmbeddingStore, Protocol):
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

    def register_new(
        self, enough: Collection[ClaimState], *registrations: Registration
    ) -> Mapping[bytes, Claim]:
        """Store those of these, each of one picture in the same bank, whose hash no claim has that
        :meth:`listed` would name with the states ``enough``. Looked up and stored in one
        transaction, so of several that store the same at once one does.

        Those that were there, by hash. All or none are stored; raises NoSuchBank.
        """
        ...

    def extend(self, claims: Collection[ClaimId], *whole: bytes, confirmed: bool) -> None:
        """Add hashes of whole uploads to claims; those that do not match, or are not there, are
        passed over. With ``confirmed`` a person said that these uploads are what the claims are
        about, and on these hashes the claims count as confirmed; else as waiting.
        """
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
        """Claims that match (waiting or confirmed) on these hashes of pictures, each with the
        hash's number. Frames of videos are left out.
        """
        ...

    def next_content(self, bank: BankName, after: int) -> int | None:
        """The lowest number above ``after`` of a whole picture's hash that a claim of that bank is
        on, whether it matches or is suspended; None when there is none. Frames are left out.
        """
        ...

    def places_on(self, entries: Collection[int]) -> tuple[ShownBy, ...]:
        """The same with frames of videos: the hash's number, a claim that matches on it, and when
        its video shows it (milliseconds; None: it is of a picture). Once for each time.
        """
        ...

    def sounds(self, after: int) -> tuple[tuple[int, SoundPrint], ...]:
        """Distinct sounds with a number above ``after``, in order: news for an index.

        Perhaps only the first of them: ask again after the last.
        """
        ...

    def added_to(self, claims: Collection[ClaimId]) -> Mapping[ClaimId, Mapping[bytes, Claim]]:
        """Hashes that :meth:`extend` added to those of these that have some, each with the claim as
        it stands on that.
        """
        ...

    def sounds_of(self, claims: Collection[ClaimId]) -> Mapping[ClaimId, tuple[int, SoundPrint]]:
        """The sound of each of these that has one, and the sound's number."""
        ...

    def heard_by(self, sounds: Collection[int]) -> tuple[tuple[int, Claim], ...]:
        """Claims that match on these sounds, each with the sound's number."""
        ...

    def release_file(self, sha256: bytes, at: datetime) -> None:
        """A reviewer let this very file through, who knew of claims up to that time."""
        ...

    def file_released(self, sha256: bytes) -> Release | None:
        """That a reviewer let this very file through, the last time; None if nobody did."""
        ...

    def counts(self) -> Counts:
        """How many claims match, and how many distinct hashes there are."""
        ...

    def hashes_of(self, claim: ClaimId) -> tuple[bytes, ...]:
        """Of whole pictures, 32 bytes each, not of frames; none of a withdrawn claim."""
        ...

    def with_hashes(
        self, claims: Collection[ClaimId], *, frames: bool = False
    ) -> Mapping[ClaimId, ClaimHashes]:
        """Those of these that are there, in the order given, each as it is now with its hashes as
        :meth:`hashes_of` has them; with ``frames``, of whole frames, too.
        """
        ...

    def listed(
        self, bank: BankName, hashes: Collection[bytes], states: Collection[ClaimState]
    ) -> Mapping[bytes, Claim]:
        """Those of these hashes that claims of a picture in this bank and in one of these states
        have as a whole; one claim each.
        """
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

    def facts(self, claims: Collection[ClaimId]) -> Mapping[ClaimId, ClaimFacts]:
        """What a reviewer decides by, of those of these that are there."""
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

        Numbers become visible in their order; a withdrawn claim has no hashes. Those that were
        added without being confirmed (:meth:`extend`) are nobody's but this platform's.
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


class ListingStore(Protocol):
    """Listings by claim; durable when it returns. A claim that is withdrawn loses its listing in
    the same transaction. Every method raises BankUnreachable when the store does not answer.
    """

    def keep(self, claims: Collection[ClaimId], listing: Listing) -> None:
        """Of each of these claims, in the place of what was kept; those that are withdrawn or not
        there are passed over.
        """
        ...

    def listings(self, claims: Collection[ClaimId]) -> Mapping[ClaimId, Listing]:
        """Those of these claims that have one."""
        ...

    def due(self, at: datetime) -> tuple[ClaimId, ...]:
        """Claims whose ``on_at`` has come."""
        ...

    def annotate(self, claims: Collection[ClaimId], note: str) -> None:
        """Write a reason in the place of the one that these claims have; a row of the log each.
        Those that are withdrawn or not there are passed over.
        """
        ...
