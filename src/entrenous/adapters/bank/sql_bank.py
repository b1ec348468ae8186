"""BankStore on SQLite."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from entrenous.adapters.bank.engine import Where, reading, scrub, writing
from entrenous.adapters.bank.tables import (
    BANK,
    CLAIM,
    CLAIM_HASH,
    HASH,
    read_time,
    stored_time,
)
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
    Outcome,
    Registration,
)
from entrenous.model.ids import BankName, ClaimId

_BATCH: Final = 500  # SQLite takes some thousand parameters in a statement, no more


@dataclass(frozen=True, slots=True)
class SqlBankStore:
    """Banks and claims in the tables of ``engine`` (see :func:`open_engine`), or as one open
    transaction sees and changes them.
    """

    engine: Where

    def set_bank(self, bank: Bank) -> None:
        """Make or replace."""
        values = asdict(bank)
        with writing(self.engine) as db:
            db.execute(insert(BANK).values(values).on_conflict_do_update(["name"], set_=values))

    def bank(self, name: BankName) -> Bank:
        """By name."""
        with reading(self.engine) as db:
            return _bank(db, name)

    def banks(self) -> tuple[Bank, ...]:
        """All."""
        with reading(self.engine) as db:
            return tuple(_to_bank(row) for row in db.execute(sa.select(BANK).order_by(BANK.c.name)))

    def register(self, *registrations: Registration) -> None:
        """All or none."""
        with writing(self.engine) as db:
            for name in {one.claim.bank for one in registrations}:
                _bank(db, name)
            for one in registrations:
                db.execute(CLAIM.insert().values(_from_claim(one.claim)))
                _add_hashes(db, one.claim.id, one.whole, part=False)
                _add_hashes(db, one.claim.id, one.parts, part=True)

    def extend(self, claim: ClaimId, *whole: bytes) -> None:
        """More hashes."""
        with writing(self.engine) as db:
            if _claim(db, claim).state not in MATCHING:
                raise NoSuchClaim(claim=claim)
            _add_hashes(db, claim, whole, part=False)

    def claim(self, claim: ClaimId) -> Claim:
        """By id."""
        with reading(self.engine) as db:
            return _claim(db, claim)

    def move(self, claim: ClaimId, event: ClaimEvent) -> Claim:
        """Look the move up, and delete what a withdrawn claim leaves."""
        with writing(self.engine) as db:
            state = CLAIM_MOVES.get((_claim(db, claim).state, event))
            if state is None:
                raise AlreadyWithdrawn(claim=claim)
            db.execute(CLAIM.update().where(CLAIM.c.id == claim).values(state=state))
            if state is ClaimState.WITHDRAWN:
                _forget_hashes(db, claim)
            moved = _claim(db, claim)
        if state is ClaimState.WITHDRAWN:
            scrub(self.engine)
        return moved

    def dispute(self, claim: ClaimId) -> Claim:
        """One more."""
        with writing(self.engine) as db:
            more = CLAIM.c.disputes + 1
            db.execute(CLAIM.update().where(CLAIM.c.id == claim).values(disputes=more))
            return _claim(db, claim)

    def entries(self, after: int) -> tuple[Entry, ...]:
        """News."""
        wanted = sa.select(HASH).where(HASH.c.number > after).order_by(HASH.c.number)
        with reading(self.engine) as db:
            return tuple(Entry(row.number, row.bits, row.part) for row in db.execute(wanted))

    def claims_on(self, entries: Collection[int]) -> tuple[tuple[int, Claim], ...]:
        """Joined in batches."""
        with reading(self.engine) as db:
            return tuple(
                (row.number, _to_claim(row))
                for batch in _batches(sorted(entries))
                for row in db.execute(_claims_on(batch))
            )

    def counts(self) -> Counts:
        """Counted."""
        claims = sa.select(sa.func.count()).select_from(CLAIM).where(CLAIM.c.state.in_(MATCHING))
        hashes = sa.select(sa.func.count()).select_from(HASH)
        with reading(self.engine) as db:
            return Counts(db.execute(claims).scalar_one(), db.execute(hashes).scalar_one())


def _bank(db: sa.Connection, name: BankName) -> Bank:
    row = db.execute(sa.select(BANK).where(BANK.c.name == name)).one_or_none()
    if row is None:
        raise NoSuchBank(bank=name)
    return _to_bank(row)


def _claim(db: sa.Connection, claim: ClaimId) -> Claim:
    row = db.execute(sa.select(CLAIM).where(CLAIM.c.id == claim)).one_or_none()
    if row is None:
        raise NoSuchClaim(claim=claim)
    return _to_claim(row)


def _add_hashes(db: sa.Connection, claim: ClaimId, hashes: Iterable[bytes], *, part: bool) -> None:
    for batch in _batches(dict.fromkeys(hashes)):
        rows = [{"bits": bits, "part": part} for bits in batch]
        db.execute(insert(HASH).on_conflict_do_nothing(), rows)
        known = sa.select(sa.literal(claim), HASH.c.number)
        known = known.where(HASH.c.bits.in_(batch), HASH.c.part == part)
        wanted = CLAIM_HASH.insert().from_select(["claim", "number"], known)
        db.execute(wanted.prefix_with("OR IGNORE"))


def _forget_hashes(db: sa.Connection, claim: ClaimId) -> None:
    mine = sa.select(CLAIM_HASH.c.number).where(CLAIM_HASH.c.claim == claim)
    numbers = list(db.execute(mine).scalars())
    db.execute(CLAIM_HASH.delete().where(CLAIM_HASH.c.claim == claim))
    for batch in _batches(numbers):
        still = sa.select(CLAIM_HASH.c.number).where(CLAIM_HASH.c.number.in_(batch))
        db.execute(HASH.delete().where(HASH.c.number.in_(batch), HASH.c.number.not_in(still)))


def _claims_on(numbers: list[Any]) -> sa.Select[Any]:
    joined = CLAIM_HASH.join(CLAIM, CLAIM.c.id == CLAIM_HASH.c.claim)
    wanted = sa.select(CLAIM_HASH.c.number, CLAIM).select_from(joined)
    return wanted.where(CLAIM_HASH.c.number.in_(numbers), CLAIM.c.state.in_(MATCHING))


def _batches(things: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(things)
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _to_bank(row: Any) -> Bank:
    return Bank(BankName(row.name), row.radius, Outcome(row.on_claimed), Outcome(row.on_confirmed))


def _from_claim(claim: Claim) -> dict[str, Any]:
    return {**asdict(claim), "made_at": stored_time(claim.made_at)}


def _to_claim(row: Any) -> Claim:
    return Claim(
        id=ClaimId(row.id),
        bank=BankName(row.bank),
        state=ClaimState(row.state),
        kind=row.kind,
        quality=row.quality,
        made_at=read_time(row.made_at),
        holder_sha256=row.holder_sha256,
        reason=row.reason,
        jurisdiction=row.jurisdiction,
        disputes=row.disputes,
    )
