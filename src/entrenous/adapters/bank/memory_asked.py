"""What people at a platform ask of its bank, of the bank in memory."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from entrenous.adapters.bank.memory_clips import MemoryClips
from entrenous.adapters.bank.memory_hashes import MemoryHashes
from entrenous.adapters.bank.memory_log import MemoryLog
from entrenous.adapters.bank.memory_partners import MemoryPartners
from entrenous.adapters.bank.rows import on_hash
from entrenous.model.claim import Claim, ClaimState
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.opinion import ClaimFacts
from entrenous.model.print import PICTURE_KIND, SoundPrint
from entrenous.ports.bank import ClaimHashes


@dataclass(slots=True)
class MemoryAsked(MemoryLog):
    """A part of BankStore: claims, their hashes, and what other platforms say."""

    held: dict[ClaimId, Claim] = field(default_factory=dict)
    hashes: MemoryHashes = field(default_factory=MemoryHashes)
    others: MemoryPartners = field(default_factory=MemoryPartners)
    clips: MemoryClips = field(default_factory=MemoryClips)

    def added_to(self, claims: Collection[ClaimId]) -> dict[ClaimId, dict[bytes, Claim]]:
        """Of those that have some."""
        return {
            claim: {bits: on_hash(self.held[claim], at) for bits, at in added.items()}
            for claim, added in self.hashes.added_to(claims).items()
        }

    def sounds_of(self, claims: Collection[ClaimId]) -> dict[ClaimId, tuple[int, SoundPrint]]:
        """Of those that have one."""
        return self.clips.sounds_of(claims)

    def hashes_of(self, claim: ClaimId) -> tuple[bytes, ...]:
        """Whole ones."""
        return tuple(
            entry.bits
            for entry in self.hashes.wholes_of(claim)
            if None in self.clips.times(claim, entry.number)
        )

    def with_hashes(
        self, claims: Collection[ClaimId], *, frames: bool = False
    ) -> dict[ClaimId, ClaimHashes]:
        """One by one."""
        there = [one for one in claims if one in self.held]
        of = self._with_frames if frames else self.hashes_of
        return {one: (self.held[one], of(one)) for one in there}

    def _with_frames(self, claim: ClaimId) -> tuple[bytes, ...]:
        return tuple(entry.bits for entry in self.hashes.wholes_of(claim))

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
