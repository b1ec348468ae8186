"""BankStore in memory, for tests and for a village in one process."""

import copy
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Final

from entrenous.adapters.bank.told import (
    Told,
    bank_told,
    claim_told,
    dispute_told,
    move_told,
    opinion_told,
    partner_told,
)
from entrenous.adapters.system import SystemClock
from entrenous.model.audit import AuditRow, Details, Head
from entrenous.model.bank import Bank, Counts, Entry, NoSuchBank
from entrenous.model.claim import (
    CLAIM_MOVES,
    MATCHING,
    AlreadyWithdrawn,
    Change,
    Claim,
    ClaimEvent,
    ClaimState,
    NoSuchClaim,
    Registration,
)
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.opinion import NoSuchPartner, Opinion, Partner
from entrenous.ports import BankStore, Clock

_PARTS: Final = ("clock", "on_withdraw")  # given to it, not kept by it


def _nothing(_claim: ClaimId) -> None:
    """A bank without a review queue has no look-backs to forget."""


@dataclass(slots=True)
class MemoryBankStore:
    """Everything in dictionaries; one thread at a time. ``on_withdraw`` is the review queue's."""

    clock: Clock = field(default_factory=SystemClock)
    policies: dict[BankName, Bank] = field(default_factory=dict)
    held: dict[ClaimId, Claim] = field(default_factory=dict)
    known: dict[tuple[bytes, bool], Entry] = field(default_factory=dict)
    claims_by_entry: dict[int, dict[ClaimId, None]] = field(default_factory=dict)
    last_number: int = 0
    changed: dict[ClaimId, tuple[int, datetime]] = field(default_factory=dict)
    last_change: int = 0
    known_partners: dict[bytes, Partner] = field(default_factory=dict)
    said: dict[tuple[ClaimId, bytes], Opinion] = field(default_factory=dict)
    rows: list[AuditRow] = field(default_factory=list)
    on_withdraw: Callable[[ClaimId], object] = _nothing

    def set_bank(self, bank: Bank) -> None:
        """Make or replace."""
        self.policies[bank.name] = bank
        self._tell(bank_told(bank))

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
            self._changed(one.claim.id, claim_told(one.claim))

    def extend(self, claim: ClaimId, *whole: bytes) -> None:
        """More hashes."""
        if self.claim(claim).state not in MATCHING:
            raise NoSuchClaim(claim=claim)
        self._add(claim, whole, part=False)
        self._changed(claim, ("claim extended", claim, {}))

    def extend_all(self, claims: Collection[ClaimId], *whole: bytes) -> None:
        """One by one."""
        for one in dict.fromkeys(claims):
            if one in self.held and self.held[one].state in MATCHING:
                self.extend(one, *whole)

    def claim(self, claim: ClaimId) -> Claim:
        """By id."""
        if claim not in self.held:
            raise NoSuchClaim(claim=claim)
        return self.held[claim]

    def move(self, claim: ClaimId, event: ClaimEvent) -> Claim:
        """Look the move up, and forget what a withdrawn claim leaves."""
        before = self.claim(claim)
        state = CLAIM_MOVES.get((before.state, event))
        if state is None:
            raise AlreadyWithdrawn(claim=claim)
        if state is before.state:
            return before
        self.held[claim] = replace(before, state=state)
        if state is ClaimState.WITHDRAWN:
            self._forget(claim)
            self.on_withdraw(claim)
        self._changed(claim, move_told(self.held[claim]))
        return self.held[claim]

    def move_all(self, event: ClaimEvent, *claims: ClaimId) -> tuple[Claim, ...]:
        """One by one."""
        there = [one for one in dict.fromkeys(claims) if one in self.held]
        may = [one for one in there if (self.held[one].state, event) in CLAIM_MOVES]
        return tuple(self.move(one, event) for one in may)

    def withdraw(self, *claims: ClaimId) -> int:
        """One by one."""
        there = [one for one in dict.fromkeys(claims) if one in self.held]
        live = [one for one in there if self.held[one].state is not ClaimState.WITHDRAWN]
        for one in live:
            self.move(one, ClaimEvent.WITHDRAW)
        return len(live)

    def dispute(self, *claims: ClaimId) -> tuple[Claim, ...]:
        """All or none: every name is looked up first."""
        every = [self.claim(one) for one in dict.fromkeys(claims)]
        disputed = [replace(one, disputes=one.disputes + 1) for one in every]
        for one in disputed:
            self.held[one.id] = one
            self._tell(dispute_told(one))
        return tuple(disputed)

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

    def hashes_of(self, claim: ClaimId) -> tuple[bytes, ...]:
        """Whole ones."""
        return tuple(
            entry.bits
            for entry in self.known.values()
            if not entry.part and claim in self.claims_by_entry[entry.number]
        )

    def opine(
        self,
        opinion: Opinion,
        also: Callable[[tuple[Opinion, ...], BankStore], None] | None = None,
    ) -> tuple[Opinion, ...]:
        """The newest of each key."""
        self.claim(opinion.claim)
        self._partner(opinion.key)
        every = self.opinions(opinion.claim)
        before = self.said.get((opinion.claim, opinion.key))
        with self.together():
            if before is None or before.at < opinion.at:
                self.said[opinion.claim, opinion.key] = opinion
                self._tell(opinion_told(opinion))
            if also is not None:
                also(every, self)
        return self.opinions(opinion.claim)

    def opinions(self, claim: ClaimId) -> tuple[Opinion, ...]:
        """By time."""
        found = (one for one in self.said.values() if one.claim == claim)
        return tuple(sorted(found, key=lambda one: (one.at, one.key)))

    def add_partner(self, partner: Partner) -> None:
        """Make or rename."""
        self.known_partners[partner.key] = partner
        self._tell(partner_told(partner))

    def drop_partner(self, key: bytes) -> None:
        """Delete."""
        self._partner(key)
        del self.known_partners[key]
        self._tell(("partner dropped", key.hex(), {}))

    def partners(self) -> tuple[Partner, ...]:
        """By name."""
        every = self.known_partners.values()
        return tuple(sorted(every, key=lambda one: (one.name, one.key)))

    def changes(self, after: int, limit: int) -> tuple[Change, ...]:
        """By number."""
        news = sorted((number, at, one) for one, (number, at) in self.changed.items())
        found = [
            Change(number, at, one, claim.bank, claim.kind, claim.state, self.hashes_of(one))
            for number, at, one in news
            if number > after
            for claim in [self.held[one]]
        ]
        return tuple(found[:limit])

    def note(self, what: str, of: str, details: Details) -> None:
        """One row."""
        self._tell((what, of, details))

    def log(self, after: int, limit: int) -> tuple[AuditRow, ...]:
        """A page."""
        return tuple(row for row in self.rows if row.number > after)[:limit]

    def log_head(self) -> Head:
        """Of the last row."""
        return self.rows[-1].head if self.rows else Head()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is changed inside is changed as a whole or, when something is raised, not at all."""
        names = [one.name for one in fields(self) if one.name not in _PARTS]
        before = {name: copy.deepcopy(getattr(self, name)) for name in names}
        try:
            yield
        except BaseException:
            for name in names:
                setattr(self, name, before[name])
            raise

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

    def _partner(self, key: bytes) -> Partner:
        if key not in self.known_partners:
            raise NoSuchPartner
        return self.known_partners[key]

    def _changed(self, claim: ClaimId, told: Told) -> None:
        self.last_change += 1
        self.changed[claim] = (self.last_change, self.clock.now())
        self._tell(told)

    def _tell(self, told: Told) -> None:
        self.rows.append(AuditRow.after(self.log_head(), self.clock.now(), *told))
