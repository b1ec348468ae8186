"""What people at a platform ask of its bank, of the bank in memory."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from entrenous.adapters.bank.memory_hashes import MemoryHashes
from entrenous.adapters.bank.memory_log import MemoryLog
from entrenous.adapters.bank.memory_partners import MemoryPartners
from entrenous.model.claim import Claim, ClaimState
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.opinion import ClaimFacts
from entrenous.model.print import PICTURE_KIND


@dataclass(slots=True)
class MemoryAsked(MemoryLog):
    """A part of BankStore: claims, their hashes, and what other platforms say."""

    held: dict[ClaimId, Claim] = field(default_factory=dict)
    hashes: MemoryHashes = field(default_factory=MemoryHashes)
    others: MemoryPartners = field(default_factory=MemoryPartners)

    def listed(
        self, bank: BankName, hashes: Collection[bytes], states: Collection[ClaimState]
    ) -> dict[bytes, Claim]:
        """Each hash of each claim."""
        mine = [one for one in self.held.values() if one.bank == bank and one.state in states]
        pictures = [one for one in mine if one.kind == PICTURE_KIND]
        had = {entry.bits: one for one in pictures for entry in self.hashes.wholes_of(one.id)}
        return {bits: had[bits] for bits in hashes if bits in had}

    def facts(self, claims: Collection[ClaimId]) -> dict[ClaimId, ClaimFacts]:
        """One by one."""
        there = [one for one in claims if one in self.held]
        said = {one: Counter(who.stance for who in self.others.opinions(one)) for one in there}
        return {one: ClaimFacts(self.held[one], said[one]) for one in there}
