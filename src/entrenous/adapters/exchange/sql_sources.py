"""SourceStore in tables beside the bank's."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from entrenous.adapters.bank.engine import reading, writing
from entrenous.adapters.bank.rows import batches
from entrenous.adapters.bank.sql_log import tell
from entrenous.adapters.bank.tables import AUDIT, read_time, stored_time
from entrenous.adapters.exchange.tables import CHECKPOINT, RECORD, SOURCE
from entrenous.adapters.system import SystemClock
from entrenous.model.audit import Details
from entrenous.model.exchange import (
    Checkpoint,
    Known,
    NoSuchSource,
    Source,
    SourceKind,
    SourceKnown,
)
from entrenous.model.ids import BankName, ClaimId
from entrenous.ports.world import Clock

_REMOVED: Final = "exchange source removed"


@dataclass(frozen=True, slots=True)
class SqlSourceStore:
    """Sources in the tables of ``engine`` (see :func:`prepare_tables`)."""

    engine: sa.Engine
    clock: Clock = field(default_factory=SystemClock)

    def add(self, source: Source) -> None:
        """Insert."""
        with writing(self.engine) as db:
            if db.execute(sa.select(SOURCE).where(SOURCE.c.name == source.name)).first():
                raise SourceKnown(name=source.name)
            db.execute(SOURCE.insert().values(asdict(source)))
            if generation := _last_generation(db, source.name):
                goes_on = _stored(Checkpoint(generation))
                db.execute(CHECKPOINT.insert().values(source=source.name, **goes_on))
            tell(db, self.clock, ("exchange source added", source.name, _told(source)))

    def remove(self, name: str) -> None:
        """In one transaction."""
        source = self.source(name)
        with writing(self.engine) as db:
            generation = _generation(db, name)
            db.execute(_of(name))
            db.execute(CHECKPOINT.delete().where(CHECKPOINT.c.source == name))
            db.execute(SOURCE.delete().where(SOURCE.c.name == name))
            details = {**_told(source), "generation": generation}
            tell(db, self.clock, (_REMOVED, name, details))

    def sources(self) -> tuple[Source, ...]:
        """All."""
        with reading(self.engine) as db:
            return tuple(map(_source, db.execute(sa.select(SOURCE).order_by(SOURCE.c.name))))

    def source(self, name: str) -> Source:
        """By name."""
        with reading(self.engine) as db:
            row = db.execute(sa.select(SOURCE).where(SOURCE.c.name == name)).one_or_none()
        if row is None:
            raise NoSuchSource(name=name)
        return _source(row)

    def checkpoint(self, name: str) -> Checkpoint:
        """By source."""
        wanted = sa.select(CHECKPOINT).where(CHECKPOINT.c.source == name)
        with reading(self.engine) as db:
            row = db.execute(wanted).one_or_none()
        if row is None:
            return Checkpoint()
        times = (_time(row.begun_at), _time(row.whole_at))
        return Checkpoint(row.generation, row.anew, row.token, *times)

    def known(self, name: str, keys: Collection[bytes]) -> Mapping[bytes, Known]:
        """In batches."""
        wanted = sa.select(RECORD).where(RECORD.c.source == name)
        with reading(self.engine) as db:
            return {
                row.key_sha256: _known(row)
                for batch in batches(keys)
                for row in db.execute(wanted.where(RECORD.c.key_sha256.in_(batch)))
            }

    def keep(self, name: str, known: Collection[Known], checkpoint: Checkpoint) -> None:
        """In one transaction."""
        with writing(self.engine) as db:
            for batch in batches(known):
                keys = [one.key_sha256 for one in batch]
                db.execute(_of(name).where(RECORD.c.key_sha256.in_(keys)))
                db.execute(RECORD.insert(), [{"source": name, **asdict(one)} for one in batch])
            db.execute(CHECKPOINT.delete().where(CHECKPOINT.c.source == name))
            db.execute(CHECKPOINT.insert().values(source=name, **_stored(checkpoint)))

    def unseen(self, name: str, generation: int) -> tuple[Known, ...]:
        """Of earlier generations."""
        wanted = sa.select(RECORD).where(RECORD.c.source == name, RECORD.c.claim.is_not(None))
        with reading(self.engine) as db:
            rows = db.execute(wanted.where(RECORD.c.generation < generation))
            return tuple(map(_known, rows))

    def live(self, name: str) -> int:
        """Counted."""
        wanted = sa.select(sa.func.count()).select_from(RECORD)
        with reading(self.engine) as db:
            live = wanted.where(RECORD.c.source == name, RECORD.c.claim.is_not(None))
            return db.execute(live).scalar_one()


def _generation(db: sa.Connection, name: str) -> int:
    """The newest of a source that is known; 0 before its first."""
    wanted = sa.select(CHECKPOINT.c.generation).where(CHECKPOINT.c.source == name)
    return int(db.execute(wanted).scalar() or 0)


def _last_generation(db: sa.Connection, name: str) -> int:
    """The newest of sources that had this name before; 0 for none. Claims' names are made of it:
    what was withdrawn must not be taken for what a new source of that name brings.
    """
    rows = sa.select(AUDIT.c.details).where(AUDIT.c.what == _REMOVED, AUDIT.c.of == name)
    return max((int(row.details["generation"]) for row in db.execute(rows)), default=0)


def _of(name: str) -> sa.Delete:
    return RECORD.delete().where(RECORD.c.source == name)


def _told(source: Source) -> Details:
    """Into which bank, and whether its claims refuse; its address may be private."""
    return {"kind": str(source.kind), "bank": source.bank, "confirmed": source.confirmed}


def _source(row: Any) -> Source:
    kind, bank = SourceKind(row.kind), BankName(row.bank)
    return Source(row.name, kind, row.place, bank, row.part, row.confirmed, row.credentials)


def _known(row: Any) -> Known:
    claim = None if row.claim is None else ClaimId(row.claim)
    return Known(row.key_sha256, row.generation, row.version, row.hashes_sha256, claim)


def _stored(checkpoint: Checkpoint) -> dict[str, object]:
    values = asdict(checkpoint)
    for name in ("begun_at", "whole_at"):
        at = values[name]
        values[name] = None if at is None else stored_time(at)
    return values


def _time(stored: int | None) -> datetime | None:
    return None if stored is None else read_time(stored)
