"""What people at a platform ask of its bank, apart from what an upload does."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from entrenous.adapters.bank.engine import Where, reading
from entrenous.adapters.bank.rows import batches, to_claim
from entrenous.adapters.bank.sql_claims import added_to, some, wholes_of
from entrenous.adapters.bank.sql_clips import sounds_of
from entrenous.adapters.bank.tables import CLAIM, CLAIM_HASH, HASH, OPINION
from entrenous.adapters.system import SystemClock
from entrenous.model.claim import Claim, ClaimState
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.opinion import ClaimFacts, Stance
from entrenous.model.print import PICTURE_KIND, SoundPrint
from entrenous.ports import Clock
from entrenous.ports.bank import ClaimHashes


@dataclass(frozen=True, slots=True)
class SqlAsked:
    """A part of BankStore, in the tables of ``engine``."""

    engine: Where
    clock: Clock = field(default_factory=SystemClock)

    def with_hashes(
        self, claims: Collection[ClaimId], *, frames: bool = False
    ) -> dict[ClaimId, ClaimHashes]:
        """In batches, from one state of the bank."""
        with reading(self.engine) as db:
            there = some(db, claims)
            hashes = wholes_of(db, [one.id for one in there], frames=frames)
            return {one.id: (one, hashes.get(one.id, ())) for one in there}

    def added_to(self, claims: Collection[ClaimId]) -> dict[ClaimId, dict[bytes, Claim]]:
        """In batches."""
        with reading(self.engine) as db:
            return added_to(db, claims)

    def sounds_of(self, claims: Collection[ClaimId]) -> dict[ClaimId, tuple[int, SoundPrint]]:
        """In batches."""
        with reading(self.engine) as db:
            return sounds_of(db, claims)

    def listed(
        self, bank: BankName, hashes: Collection[bytes], states: Collection[ClaimState]
    ) -> dict[bytes, Claim]:
        """In batches."""
        joined = HASH.join(CLAIM_HASH).join(CLAIM, CLAIM.c.id == CLAIM_HASH.c.claim)
        wanted = sa.select(HASH.c.bits, CLAIM).select_from(joined).where(HASH.c.part.is_(False))
        mine = CLAIM.c.bank == bank, CLAIM.c.kind == PICTURE_KIND, CLAIM.c.state.in_(states)
        with reading(self.engine) as db:
            return {
                bytes(row.bits): to_claim(row)
                for batch in batches(dict.fromkeys(hashes))
                for row in db.execute(wanted.where(*mine, HASH.c.bits.in_(batch)))
            }

    def facts(self, claims: Collection[ClaimId]) -> dict[ClaimId, ClaimFacts]:
        """In batches, from one state of the bank."""
        with reading(self.engine) as db:
            said = _said_of(db, claims)
            return {one.id: ClaimFacts(one, said[one.id]) for one in some(db, claims)}


def _said_of(db: sa.Connection, claims: Collection[ClaimId]) -> Mapping[ClaimId, Counter[Stance]]:
    found: dict[ClaimId, Counter[Stance]] = defaultdict(Counter)
    wanted = sa.select(OPINION.c.claim, OPINION.c.stance, sa.func.count().label("many"))
    wanted = wanted.group_by(OPINION.c.claim, OPINION.c.stance)
    for batch in batches(dict.fromkeys(claims)):
        for row in db.execute(wanted.where(OPINION.c.claim.in_(batch))):
            found[ClaimId(row.claim)][Stance(row.stance)] = row.many
    return found
