"""The stores of banks and claims as the gate's rules see them.

They are protocols so that no rule imports SQLAlchemy at run time.
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
ShownBy = tuple[int, Claim, int | None]  # a hash's number, a claim on it, its time in the video


class BankStore(EmbeddingStore, Protocol):
    """The authoritative store of banks and claims (docs/spec/gate.md section 5).

    Changes are durable when a method returns, and each is logged in the same transaction. Every
    method raises BankUnreachable when the store does not answer.
    """

    def set_bank(self, bank: Bank) -> None:
        """Create a bank, or replace the policy of the one with that name."""

    def bank(self, name: BankName) -> Bank:
        """Return the bank of that name; raises NoSuchBank."""

    def banks(self) -> tuple[Bank, ...]:
        """Return all banks, by name."""

    def register(self, *registrations: Registration) -> None:
        """Store claims and their hashes, all or none; raises NoSuchBank."""

    def register_new(
        self, enough: Collection[ClaimState], *registrations: Registration
    ) -> Mapping[bytes, Claim]:
        """Store the registrations, each of one picture in the same bank, whose hash is not listed.

        A hash is listed if :meth:`listed` finds it with the states ``enough``. Look-up and storage
        share one transaction, so if several imports add the same hash, only one stores it. All new
        ones are stored, or none; raises NoSuchBank.

        Returns:
            The claims that were already listed, by hash.
        """

    def extend(self, claims: Collection[ClaimId], *whole: bytes, confirmed: bool) -> None:
        """Add hashes of whole uploads to the claims that exist and match; skip the others.

        With ``confirmed`` a person said that these uploads are what the claims are about, and the
        claims count as confirmed on these hashes; otherwise they count as waiting.
        """

    def claim(self, claim: ClaimId) -> Claim:
        """Return the claim, even if it is withdrawn; raises NoSuchClaim."""

    def move(self, claim: ClaimId, event: ClaimEvent) -> Claim:
        """Change a claim's state by CLAIM_TRANSITIONS; a withdrawn claim loses its hashes at once.

        In the same transaction it is removed from uploads held by a look-back; uploads that match
        no other claim are accepted again. A move to the present state changes nothing.

        Raises NoSuchClaim, AlreadyWithdrawn.
        """

    def move_all(self, event: ClaimEvent, *claims: ClaimId) -> tuple[Claim, ...]:
        """Change the states of many claims at once and return them as they are now.

        Missing claims are skipped, and claims for which the change is not allowed: a withdrawn
            claim stays withdrawn.
        """

    def withdraw(self, *claims: ClaimId) -> int:
        """Withdraw many claims, as :meth:`move` does; return how many were not withdrawn before."""

    def dispute(self, *claims: ClaimId) -> tuple[Claim, ...]:
        """Count one more reviewer who disagreed with each; all or none. Raises NoSuchClaim."""

    def entries(self, after: int) -> tuple[Entry, ...]:
        """Return distinct hashes numbered above ``after``, in order, to update an index.

        It may return only the first ones: ask again after the last.
        """

    def claims_on(self, entries: Collection[int]) -> tuple[tuple[int, Claim], ...]:
        """Return matching (waiting or confirmed) claims on these picture hashes.

        Each comes with the number of its hash. Frames of videos are left out.
        """

    def next_content(self, bank: BankName, after: int) -> int | None:
        """Return the lowest number above ``after`` of a whole picture's hash in that bank.

        The claim on it matches or is suspended. None if there is no such hash.
        """

    def places_on(self, entries: Collection[int]) -> tuple[ShownBy, ...]:
        """Return matching claims on these hashes of pictures and of frames of videos.

        Each comes with the number of its hash, and with the time at which its video shows it (ms;
        None for a picture). A claim is listed once for each such time.
        """

    def sounds(self, after: int) -> tuple[tuple[int, SoundPrint], ...]:
        """Return distinct sounds numbered above ``after``, in order, to update an index.

        It may return only the first ones: ask again after the last.
        """

    def added_to(self, claims: Collection[ClaimId]) -> Mapping[ClaimId, Mapping[bytes, Claim]]:
        """Return the hashes that :meth:`extend` added, by claim.

        Each hash comes with the claim's state for that hash. Claims without added hashes are left
        out.
        """

    def sounds_of(self, claims: Collection[ClaimId]) -> Mapping[ClaimId, tuple[int, SoundPrint]]:
        """Return the number and the sound of each claim that has a sound."""

    def heard_by(self, sounds: Collection[int]) -> tuple[tuple[int, Claim], ...]:
        """Return matching claims on these sounds, each with the sound's number."""

    def release_file(self, sha256: bytes, at: datetime) -> None:
        """Record that a reviewer who knew of claims up to that time released this exact file."""

    def file_released(self, sha256: bytes) -> Release | None:
        """Return the newest release of this exact file, or None."""

    def counts(self) -> Counts:
        """Count matching claims and distinct hashes."""

    def hashes_of(self, claim: ClaimId) -> tuple[bytes, ...]:
        """Return a claim's hashes of whole pictures, 32 bytes each; none if it is withdrawn.

        Hashes of frames are left out.
        """

    def with_hashes(
        self, claims: Collection[ClaimId], *, frames: bool = False
    ) -> Mapping[ClaimId, ClaimHashes]:
        """Return the claims that exist, in the order given, with the hashes of :meth:`hashes_of`.

        With ``frames``, hashes of whole frames are included.
        """

    def listed(
        self, bank: BankName, hashes: Collection[bytes], states: Collection[ClaimState]
    ) -> Mapping[bytes, Claim]:
        """Return those of these whole-picture hashes that this bank has, with one claim each.

        Only claims of pictures in one of these states count.
        """

    def opine(
        self,
        opinion: Opinion,
        also: "Callable[[tuple[Opinion, ...], BankStore], None] | None" = None,
    ) -> tuple[Opinion, ...]:
        """Store a key's opinion of a claim unless a newer one is stored; return all of that claim.

        ``also`` applies its consequences in the same transaction: both take effect or neither. It
        gets the opinions stored before, and the bank with this opinion.

        Raises NoSuchClaim, NoSuchPartner, and what ``also`` raises.
        """

    def opinions(self, claim: ClaimId) -> tuple[Opinion, ...]:
        """Return one opinion for each key, the oldest first."""

    def facts(self, claims: Collection[ClaimId]) -> Mapping[ClaimId, ClaimFacts]:
        """Return the facts for a reviewer, for the claims that exist."""

    def add_partner(self, partner: Partner) -> None:
        """Add another platform, or change its name."""

    def drop_partner(self, key: bytes) -> None:
        """Remove a platform and keep its opinions. Raises NoSuchPartner."""

    def partners(self) -> tuple[Partner, ...]:
        """Return all platforms, by name."""

    def changes(self, after: int, limit: int) -> tuple[Change, ...]:
        """Return claims that changed after that number, in the order of their newest change.

        Numbers become visible in their order; a withdrawn claim has no hashes. Hashes that
        :meth:`extend` added without confirmation stay on this platform.
        """

    def note(self, what: str, of: str, details: Details) -> None:
        """Append a row to the log."""

    def log(self, after: int, limit: int) -> tuple[AuditRow, ...]:
        """Return rows of the log with a higher number, in order."""

    def log_head(self) -> Head:
        """Return the log's head, which is stored beside the log."""


class ListingStore(Protocol):
    """Listings by claim; changes are durable when a method returns.

    A withdrawn claim loses its listing in the same transaction. Every method raises
    BankUnreachable when the store does not answer.
    """

    def keep(self, claims: Collection[ClaimId], listing: Listing) -> None:
        """Set the listing of these claims; skip those that are withdrawn or missing."""

    def listings(self, claims: Collection[ClaimId]) -> Mapping[ClaimId, Listing]:
        """Return the listings of those claims that have one."""

    def due(self, at: datetime) -> tuple[ClaimId, ...]:
        """Return claims whose ``on_at`` is not after ``at``."""

    def annotate(self, claims: Collection[ClaimId], note: str) -> None:
        """Replace the reason of these claims and log each; skip withdrawn or missing ones."""
