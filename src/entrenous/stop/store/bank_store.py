"""BankStore on SQLite or PostgreSQL; docs/spec/gate.md, section 5."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from entrenous.base.environment import Clock, SystemClock
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.fingerprint.nouns import PICTURE_KIND, KeptEmbedding, SoundPrint
from entrenous.stop.nouns import AuditRow, Bank, Counts, Details, Entry, Head
from entrenous.stop.registration import (
    MATCHING,
    Change,
    Claim,
    ClaimEvent,
    ClaimFacts,
    ClaimState,
    Opinion,
    Partner,
    Registration,
    Stance,
)
from entrenous.stop.store import registration_changes, uploads
from entrenous.stop.store import registrations as claim_rows
from entrenous.stop.store.audit_events import append_event, audit_head, audit_rows_after, bank_told
from entrenous.stop.store.engine import Where, glancing, insert_on_conflict, reading, scrub, writing
from entrenous.stop.store.prepared_statements import PreparedSelect
from entrenous.stop.store.registrations import (
    added_to,
    batches,
    some,
    sounds_of,
    to_claim,
    wholes_of,
)
from entrenous.stop.store.schema import BANK, CLAIM, CLAIM_HASH, HASH, OPINION
from entrenous.stop.stores import BankStore, ClaimHashes, ShownBy
from entrenous.stop.upload_record import Release


@dataclass(frozen=True, slots=True)
class SqlBankQueries:
    """Queries for many claims at once, each from one snapshot of the database."""

    engine: Where
    clock: Clock = field(default_factory=SystemClock)

    def with_hashes(
        self, claims: Collection[ClaimId], *, frames: bool = False
    ) -> dict[ClaimId, ClaimHashes]:
        with reading(self.engine) as db:
            there = some(db, claims)
            hashes = wholes_of(db, [one.id for one in there], frames=frames)
            return {one.id: (one, hashes.get(one.id, ())) for one in there}

    def added_to(self, claims: Collection[ClaimId]) -> dict[ClaimId, dict[bytes, Claim]]:
        with reading(self.engine) as db:
            return added_to(db, claims)

    def sounds_of(self, claims: Collection[ClaimId]) -> dict[ClaimId, tuple[int, SoundPrint]]:
        with reading(self.engine) as db:
            return sounds_of(db, claims)

    def listed(
        self, bank: BankName, hashes: Collection[bytes], states: Collection[ClaimState]
    ) -> dict[bytes, Claim]:
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
        with reading(self.engine) as db:
            opinions = _opinion_counts(db, claims)
            return {one.id: ClaimFacts(one, opinions[one.id]) for one in some(db, claims)}


def _opinion_counts(
    db: sa.Connection, claims: Collection[ClaimId]
) -> Mapping[ClaimId, Counter[Stance]]:
    found: dict[ClaimId, Counter[Stance]] = defaultdict(Counter)
    wanted = sa.select(OPINION.c.claim, OPINION.c.stance, sa.func.count().label("many"))
    wanted = wanted.group_by(OPINION.c.claim, OPINION.c.stance)
    for batch in batches(dict.fromkeys(claims)):
        for row in db.execute(wanted.where(OPINION.c.claim.in_(batch))):
            found[ClaimId(row.claim)][Stance(row.stance)] = row.many
    return found


_ENTRIES_MAX: Final = 100_000  # per read; a new index reads all of them
_NEWS: Final = PreparedSelect(
    sa.select(HASH)
    .where(HASH.c.number > sa.bindparam("after"))
    .order_by(HASH.c.number)
    .limit(_ENTRIES_MAX)
)


@dataclass(frozen=True, slots=True)
class SqlBankStore(SqlBankQueries):
    """Banks and claims in the database ``engine``, or within one open transaction."""

    def set_bank(self, bank: Bank) -> None:
        values = asdict(bank)
        with writing(self.engine) as db:
            wanted = insert_on_conflict(db, BANK).values(values)
            db.execute(wanted.on_conflict_do_update(index_elements=["name"], set_=values))
            append_event(db, self.clock, bank_told(bank))

    def bank(self, name: BankName) -> Bank:
        with reading(self.engine) as db:
            return claim_rows.bank_of(db, name)

    def banks(self) -> tuple[Bank, ...]:
        with glancing(self.engine) as db:
            return claim_rows.banks(db)

    def register(self, *registrations: Registration) -> None:
        with writing(self.engine) as db:
            claim_rows.register(db, self.clock, registrations)

    def register_new(
        self, enough: Collection[ClaimState], *registrations: Registration
    ) -> dict[bytes, Claim]:
        hashes = [one.whole[0] for one in registrations]
        with writing(self.engine) as db:
            there = dict[bytes, Claim]()
            for bank in {one.claim.bank for one in registrations}:
                there |= SqlBankQueries(db, self.clock).listed(bank, hashes, enough)
            new = [one for one in registrations if one.whole[0] not in there]
            claim_rows.register(db, self.clock, new)
            return there

    def extend(self, claims_given: Collection[ClaimId], *whole: bytes, confirmed: bool) -> None:
        with writing(self.engine) as db:
            existing = some(db, claims_given)
            registration_changes.extend(db, self.clock, existing, whole, confirmed=confirmed)

    def claim(self, claim: ClaimId) -> Claim:
        with reading(self.engine) as db:
            return claim_rows.claim_of(db, claim)

    def move(self, claim: ClaimId, event: ClaimEvent) -> Claim:
        with writing(self.engine) as db:
            before = claim_rows.claim_of(db, claim)
            moved = registration_changes.move(db, self.clock, before, event)
            is_gone = moved.state is ClaimState.WITHDRAWN and moved is not before
            if is_gone:
                uploads.forget_claims(db, {claim})
        if is_gone:
            scrub(self.engine)
        return moved

    def move_all(self, event: ClaimEvent, *claims_given: ClaimId) -> tuple[Claim, ...]:
        if event is ClaimEvent.WITHDRAW:
            self.withdraw(*claims_given)
        with writing(self.engine) as db:
            existing = some(db, claims_given)
            return tuple(registration_changes.move_all(db, self.clock, existing, event))

    def withdraw(self, *claims_given: ClaimId) -> int:
        """Withdraw them in one transaction, and scrub the database once."""
        with writing(self.engine) as db:
            live = claim_rows.live(db, claims_given)
            registration_changes.move_all(db, self.clock, live, ClaimEvent.WITHDRAW)
            if live:
                uploads.forget_claims(db, {before.id for before in live})
        if live:
            scrub(self.engine)
        return len(live)

    def dispute(self, *claims_given: ClaimId) -> tuple[Claim, ...]:
        with writing(self.engine) as db:
            return tuple(registration_changes.dispute(db, self.clock, claims_given))

    def entries(self, after: int) -> tuple[Entry, ...]:
        with glancing(self.engine) as db:
            rows = _NEWS.rows(db, {"after": after})
            return tuple(Entry(row.number, row.bits, row.part) for row in rows)

    def claims_on(self, entries: Collection[int]) -> tuple[tuple[int, Claim], ...]:
        with reading(self.engine) as db:
            return claim_rows.claims_on(db, entries)

    def next_content(self, bank: BankName, after: int) -> int | None:
        with reading(self.engine) as db:
            return claim_rows.next_content(db, bank, after)

    def places_on(self, entries: Collection[int]) -> tuple[ShownBy, ...]:
        look = glancing if len(entries) <= claim_rows.FEW else reading
        with look(self.engine) as db:
            return claim_rows.places_on(db, entries)

    def sounds(self, after: int) -> tuple[tuple[int, SoundPrint], ...]:
        with glancing(self.engine) as db:
            return claim_rows.sounds_after(db, after)

    def heard_by(self, sounds: Collection[int]) -> tuple[tuple[int, Claim], ...]:
        with reading(self.engine) as db:
            return claim_rows.heard_by(db, sounds)

    def embeddings(self, after: int) -> tuple[KeptEmbedding, ...]:
        with glancing(self.engine) as db:
            return claim_rows.embeddings_after(db, after)

    def embedding_count(self) -> int:
        with glancing(self.engine) as db:
            return claim_rows.embedding_count(db)

    def release_file(self, sha256: bytes, at: datetime) -> None:
        with writing(self.engine) as db:
            claim_rows.release_file(db, at, sha256, claim_rows.next_change(db))

    def file_released(self, sha256: bytes) -> Release | None:
        with glancing(self.engine) as db:
            return claim_rows.file_released(db, sha256)

    def counts(self) -> Counts:
        matching = sa.select(sa.func.count()).select_from(CLAIM).where(CLAIM.c.state.in_(MATCHING))
        hashes = sa.select(sa.func.count()).select_from(HASH)
        with reading(self.engine) as db:
            return Counts(db.execute(matching).scalar_one(), db.execute(hashes).scalar_one())

    def hashes_of(self, claim: ClaimId) -> tuple[bytes, ...]:
        with reading(self.engine) as db:
            return wholes_of(db, [claim]).get(claim, ())

    def opine(
        self,
        opinion: Opinion,
        also: Callable[[tuple[Opinion, ...], BankStore], None] | None = None,
    ) -> tuple[Opinion, ...]:
        with writing(self.engine) as db:
            before = registration_changes.opinions(db, opinion.claim)
            now = registration_changes.add_opinion(db, self.clock, opinion)
            if also is not None:
                also(before, SqlBankStore(db, self.clock))
            return now

    def opinions(self, claim: ClaimId) -> tuple[Opinion, ...]:
        with reading(self.engine) as db:
            return registration_changes.opinions(db, claim)

    def add_partner(self, partner: Partner) -> None:
        with writing(self.engine) as db:
            registration_changes.add_partner(db, self.clock, partner)

    def drop_partner(self, key: bytes) -> None:
        with writing(self.engine) as db:
            registration_changes.drop_partner(db, self.clock, key)

    def partners(self) -> tuple[Partner, ...]:
        with reading(self.engine) as db:
            return registration_changes.all_partners(db)

    def changes(self, after: int, limit: int) -> tuple[Change, ...]:
        with reading(self.engine) as db:
            return registration_changes.changes(db, after, limit)

    def note(self, what: str, of: str, details: Details) -> None:
        with writing(self.engine) as db:
            append_event(db, self.clock, (what, of, details))

    def log(self, after: int, limit: int) -> tuple[AuditRow, ...]:
        with reading(self.engine) as db:
            return audit_rows_after(db, after, limit)

    def log_head(self) -> Head:
        with reading(self.engine) as db:
            return audit_head(db)
