"""Hashes of the bank in memory, and whose they are."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from entrenous.model.bank import Entry
from entrenous.model.ids import ClaimId


@dataclass(slots=True)
class MemoryHashes:
    """``known`` in the order of numbers, of which none is used again; ``claims`` by number;
    ``added`` as in tables.py.
    """

    known: dict[tuple[bytes, bool], Entry] = field(default_factory=dict)
    claims: dict[int, dict[ClaimId, None]] = field(default_factory=dict)
    added: dict[tuple[ClaimId, int], int] = field(default_factory=dict)
    last_number: int = 0

    def add(
        self,
        claim: ClaimId,
        hashes: Iterable[bytes],
        *,
        part: bool,
        added: int | None = None,
        anew: Collection[bytes] = (),
    ) -> None:
        """One that is there already gets one more claim; what its owner registered stays that, but
        for ``anew``.
        """
        for bits in hashes:
            if (bits, part) not in self.known:
                self.last_number += 1
                self.known[bits, part] = Entry(self.last_number, bits, part)
            number = self.number(bits, part=part)
            claims = self.claims.setdefault(number, {})
            is_new = claim not in claims or (claim, number) in self.added or bits in anew
            if added is not None and is_new:
                self.added[claim, number] = max(added, self.added.get((claim, number), added))
            claims[claim] = None

    def added_to(self, claims: Collection[ClaimId]) -> dict[ClaimId, dict[bytes, int]]:
        """Of those that have some."""
        bits_of = {entry.number: entry.bits for entry in self.known.values()}
        found: dict[ClaimId, dict[bytes, int]] = {}
        for (claim, number), at in self.added.items():
            if claim in claims:
                found.setdefault(claim, {})[bits_of[number]] = at
        return found

    def number(self, bits: bytes, *, part: bool) -> int:
        """Of one that is there."""
        return self.known[bits, part].number

    def after(self, number: int) -> tuple[Entry, ...]:
        """News."""
        return tuple(entry for entry in self.known.values() if entry.number > number)

    def claims_of(self, entries: Collection[int]) -> list[tuple[int, ClaimId]]:
        """Claims on these hashes."""
        return [
            (number, claim) for number in sorted(entries) for claim in self.claims.get(number, ())
        ]

    def wholes_of(self, claim: ClaimId) -> tuple[Entry, ...]:
        """Those of a claim that are no parts."""
        every = self.known.values()
        return tuple(one for one in every if not one.part and claim in self.claims[one.number])

    def forget(self, claim: ClaimId) -> None:
        """Those of a claim that no other claim has."""
        self.added = {key: at for key, at in self.added.items() if key[0] != claim}
        for entry in list(self.known.values()):
            claims = self.claims[entry.number]
            claims.pop(claim, None)
            if not claims:
                del self.claims[entry.number], self.known[entry.bits, entry.part]
