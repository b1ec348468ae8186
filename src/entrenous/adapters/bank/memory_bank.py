"""BankStore in memory, for tests and for a village in one process."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from entrenous.model.bank import (
    CLAIM_MOVES,
    MATCHING,
    AlreadyWithdrawn,
    Bank,
    Claim,
    ClaimEvent,
    ClaimState,
    Counts,
    Entry,
    NoSuchBank,
    NoSuchClaim,
    Registration,
)
from entrenous.model.ids import BankName, ClaimId


@dataclass(slots=True)
class MemoryBankStore:
    """Everything in dictionaries; one thread at a time."""

    policies: dict[BankName, Bank] = field(default_factory=dict)
    held: dict[ClaimId, Claim] = field(default_factory=dict)
    known: dict[tuple[bytes, bool], Entry] = field(default_factory=dict)
    claims_by_entry: dict[int, dict[ClaimId, None]] = field(default_factory=dict)
    last_number: int = 0

    def set_bank(self, bank: Bank) -> None:
        """Make or replace."""
        self.policies[bank.name] = bank

    def bank(self, name: BankName) -> Bank:
        """By name."""
        if name not in self.policies:
            raise NoSuchBank(bank=name)
        return self.policies[name]

    def banks(self) -> tuple[Bank, ...]:
        """All."""
        return tuple(self.policies[name] for name in sorted(self.policies))

    def register(self, *registrations: Registration) -> None:
        """All or none: every name is looked up first."""
        for one in registrations:
            self.bank(one.claim.bank)
        for one in registrations:
            self.held[one.claim.id] = one.claim
            self._add(one.claim.id, one.whole, part=False)
            self._add(one.claim.id, one.parts, part=True)

    def extend(self, claim: ClaimId, *whole: bytes) -> None:
        """More hashes."""
        if self.claim(claim).state not in MATCHING:
            raise NoSuchClaim(claim=claim)
        self._add(claim, whole, part=False)

    def claim(self, claim: ClaimId) -> Claim:
        """By id."""
        if claim not in self.held:
            raise NoSuchClaim(claim=claim)
        return self.held[claim]

    def move(self, claim: ClaimId, event: ClaimEvent) -> Claim:
        """Look the move up, and forget what a withdrawn claim leaves."""
        state = CLAIM_MOVES.get((self.claim(claim).state, event))
        if state is None:
            raise AlreadyWithdrawn(claim=claim)
        self.held[claim] = replace(self.held[claim], state=state)
        if state is ClaimState.WITHDRAWN:
            self._forget(claim)
        return self.held[claim]

    def dispute(self, claim: ClaimId) -> Claim:
        """One more."""
        disputes = self.claim(claim).disputes + 1
        self.held[claim] = replace(self.held[claim], disputes=disputes)
        return self.held[claim]

    def entries(self, after: int) -> tuple[Entry, ...]:
        """News; dictionaries keep the order in which numbers were given."""
        return tuple(entry for entry in self.known.values() if entry.number > after)

    def claims_on(self, entries: Collection[int]) -> tuple[tuple[int, Claim], ...]:
        """Those that match."""
        return tuple(
            (number, self.held[claim])
            for number in sorted(entries)
            for claim in self.claims_by_entry.get(number, ())
            if self.held[claim].state in MATCHING
        )

    def counts(self) -> Counts:
        """Counted."""
        matching = sum(claim.state in MATCHING for claim in self.held.values())
        return Counts(matching, len(self.known))

    def _add(self, claim: ClaimId, hashes: tuple[bytes, ...], *, part: bool) -> None:
        for bits in hashes:
            if (bits, part) not in self.known:
                self.last_number += 1
                self.known[bits, part] = Entry(self.last_number, bits, part)
            number = self.known[bits, part].number
            self.claims_by_entry.setdefault(number, {})[claim] = None

    def _forget(self, claim: ClaimId) -> None:
        for entry in list(self.known.values()):
            claims = self.claims_by_entry[entry.number]
            claims.pop(claim, None)
            if not claims:
                del self.claims_by_entry[entry.number], self.known[entry.bits, entry.part]
