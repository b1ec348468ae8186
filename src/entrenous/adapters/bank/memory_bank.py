"""BankStore in memory, for tests and for a village in one process."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime

from entrenous.adapters.bank.memory_asked import MemoryAsked
from entrenous.adapters.bank.rows import on_hash
from entrenous.adapters.bank.tables import HOLDS
from entrenous.adapters.bank.told import (
    Told,
    bank_told,
    claim_told,
    dispute_told,
    move_told,
    opinion_told,
    partner_told,
)
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
from entrenous.model.embedding import KeptEmbedding
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.opinion import Opinion, Partner
from entrenous.model.print import SoundPrint
from entrenous.model.review import Release
from entrenous.ports import BankStore
from entrenous.ports.bank import ShownBy


def _nothing(_claim: ClaimId) -> None:
    """A bank without a review queue has no look-backs to forget."""


@dataclass(slots=True)
class MemoryBankStore(MemoryAsked):
    """Everything in dictionaries; one thread at a time. ``on_withdraw`` is the review queue's."""

    policies: dict[BankName, Bank] = field(default_factory=dict)
    changed: dict[ClaimId, tuple[int, datetime]] = field(default_factory=dict)
    last_change: int = 0
    embedded: dict[ClaimId, KeptEmbedding] = field(default_factory=dict)
    last_embedding: int = 0
    look_backs: dict[ClaimId, datetime] = field(default_factory=dict)
    on_withdraw: Callable[[ClaimId], object] = _nothing

    def set_bank(self, bank: Bank) -> None:
        """Make or replace."""
        self.policies[bank.name] = bank
        self.tell(bank_told(bank))

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
            self.held[one.claim.id] = self._numbered(one.claim)
            if one.looks_back:
                self.look_backs[one.claim.id] = self.clock.now()
            self.hashes.add(one.claim.id, one.whole, part=False)
            self.hashes.add(one.claim.id, one.parts, part=True)
            self._add_clip(one)
            self._add_embedding(one)
            self._changed(one.claim.id, claim_told(one.claim))

    def register_new(
        self, enough: Collection[ClaimState], *registrations: Registration
    ) -> dict[bytes, Claim]:
        """One thread at a time."""
        hashes, there = [one.whole[0] for one in registrations], dict[bytes, Claim]()
        for bank in {one.claim.bank for one in registrations}:
            there |= self.listed(bank, hashes, enough)
        self.register(*(one for one in registrations if one.whole[0] not in there))
        return there

    def extend(self, claims: Collection[ClaimId], *whole: bytes, confirmed: bool) -> None:
        """One by one."""
        added = self.last_change + 1 if confirmed else HOLDS
        for one in dict.fromkeys(claims):
            if one in self.held and self.held[one].state in MATCHING:
                self._extend(one, whole, added)

    def _extend(self, claim: ClaimId, whole: Collection[bytes], added: int) -> None:
        frames = {bits for bits in whole if self._is_frame(claim, bits)}
        self.hashes.add(claim, whole, part=False, added=added, anew=frames)
        for bits in whole:
            self.clips.add_picture(claim, self.hashes.number(bits, part=False))
        self.look_backs[claim] = self.clock.now()
        self._changed(claim, ("claim extended", claim, {}))

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
        self.held[claim] = self._numbered(replace(before, state=state))
        if state is ClaimState.WITHDRAWN:
            self._forget(claim)
            self.on_withdraw(claim)
        if state is ClaimState.CONFIRMED:
            self.look_backs[claim] = self.clock.now()
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
            self.tell(dispute_told(one))
        return tuple(disputed)

    def entries(self, after: int) -> tuple[Entry, ...]:
        """News; dictionaries keep the order in which numbers were given."""
        return self.hashes.after(after)

    def claims_on(self, entries: Collection[int]) -> tuple[tuple[int, Claim], ...]:
        """Those that match."""
        found = self.places_on(entries)
        return tuple((number, claim) for number, claim, at_ms in found if at_ms is None)

    def next_content(self, bank: BankName, after: int) -> int | None:
        """Looked for in all."""
        pictures = (
            entry.number
            for entry in self.hashes.after(after)
            for claim in self.hashes.claims[entry.number]
            if not entry.part
            and self.held[claim].bank == bank
            and None in self.clips.times(claim, entry.number)
        )
        return min(pictures, default=None)

    def places_on(self, entries: Collection[int]) -> tuple[ShownBy, ...]:
        """Those that match, once for each time."""
        return tuple(
            (number, self._on(claim, number, at_ms), at_ms)
            for number, claim in self.hashes.claims_of(entries)
            if self.held[claim].state in MATCHING
            for at_ms in self.clips.times(claim, number)
        )

    def _on(self, claim: ClaimId, number: int, at_ms: int | None) -> Claim:
        added = self.hashes.added.get((claim, number)) if at_ms is None else None
        return on_hash(self.held[claim], added)

    def _is_frame(self, claim: ClaimId, bits: bytes) -> bool:
        """And no picture."""
        known = (bits, False) in self.hashes.known
        return known and None not in self.clips.times(claim, self.hashes.number(bits, part=False))

    def sounds(self, after: int) -> tuple[tuple[int, SoundPrint], ...]:
        """News."""
        return tuple(one for one in self.clips.sounds.items() if one[0] > after)

    def heard_by(self, sounds: Collection[int]) -> tuple[tuple[int, Claim], ...]:
        """Those that match."""
        found = ((number, self.held[claim]) for number, claim in self.clips.claims_of(sounds))
        return tuple(one for one in found if one[1].state in MATCHING)

    def embeddings(self, after: int) -> tuple[KeptEmbedding, ...]:
        """News."""
        return tuple(one for one in self.embedded.values() if one.number > after)

    def embedding_count(self) -> int:
        """Counted."""
        return len(self.embedded)

    def release_file(self, sha256: bytes, at: datetime) -> None:
        """Note."""
        self.clips.released[sha256] = Release(at, self.last_change + 1)

    def file_released(self, sha256: bytes) -> Release | None:
        """Look up."""
        return self.clips.released.get(sha256)

    def counts(self) -> Counts:
        """Counted."""
        matching = sum(claim.state in MATCHING for claim in self.held.values())
        return Counts(matching, len(self.hashes.known))

    def _told_of(self, claim: ClaimId) -> tuple[bytes, ...]:
        """As others are told: not what is held here and no more."""
        held = {
            entry.bits
            for entry in self.hashes.wholes_of(claim)
            if self.hashes.added.get((claim, entry.number)) == HOLDS
        }
        return tuple(bits for bits in self.hashes_of(claim) if bits not in held)

    def opine(
        self,
        opinion: Opinion,
        also: Callable[[tuple[Opinion, ...], BankStore], None] | None = None,
    ) -> tuple[Opinion, ...]:
        """The newest of each key."""
        self.claim(opinion.claim)
        self.others.require(opinion.key)
        every = self.opinions(opinion.claim)
        with self.together():
            if self.others.keep(opinion):
                self.tell(opinion_told(opinion))
            if also is not None:
                also(every, self)
        return self.opinions(opinion.claim)

    def opinions(self, claim: ClaimId) -> tuple[Opinion, ...]:
        """By time."""
        return self.others.opinions(claim)

    def add_partner(self, partner: Partner) -> None:
        """Make or rename."""
        self.others.known[partner.key] = partner
        self.tell(partner_told(partner))

    def drop_partner(self, key: bytes) -> None:
        """Delete."""
        self.others.drop(key)
        self.tell(("partner dropped", key.hex(), {}))

    def partners(self) -> tuple[Partner, ...]:
        """By name."""
        return self.others.every()

    def changes(self, after: int, limit: int) -> tuple[Change, ...]:
        """By number."""
        news = sorted((number, at, one) for one, (number, at) in self.changed.items())
        found = [
            Change(number, at, one, claim.bank, claim.kind, claim.state, self._told_of(one))
            for number, at, one in news
            if number > after
            for claim in [self.held[one]]
        ]
        return tuple(found[:limit])

    def _add_clip(self, one: Registration) -> None:
        for frame in one.video.frames if one.video else ():
            self._show(one.claim.id, frame.bits, frame.at_ms, part=False)
            if frame.inner is not None:
                self._show(one.claim.id, frame.inner, frame.at_ms, part=True)
        if one.sound is not None:
            self.clips.add_sound(one.claim.id, one.sound)

    def _add_embedding(self, one: Registration) -> None:
        if one.embedding is not None:
            self.last_embedding += 1
            entry = self.hashes.number(one.whole[0], part=False)
            kept = KeptEmbedding(self.last_embedding, entry, one.claim.id, one.embedding)
            self.embedded[one.claim.id] = kept

    def _show(self, claim: ClaimId, bits: bytes, at_ms: int, *, part: bool) -> None:
        self.hashes.add(claim, (bits,), part=part)
        self.clips.show(claim, self.hashes.number(bits, part=part), at_ms)

    def _forget(self, claim: ClaimId) -> None:
        self.clips.forget(claim)
        self.embedded.pop(claim, None)
        self.hashes.forget(claim)

    def _numbered(self, claim: Claim) -> Claim:
        """By which change it becomes confirmed, if it does."""
        by = self.last_change + 1
        return replace(claim, confirmed=by) if claim.state is ClaimState.CONFIRMED else claim

    def _changed(self, claim: ClaimId, told: Told) -> None:
        self.last_change += 1
        self.changed[claim] = (self.last_change, self.clock.now())
        self.tell(told)
