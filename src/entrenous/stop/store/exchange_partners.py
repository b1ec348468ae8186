"""Store exchange partners, which fetch hashes from us, and sources, from which we fetch hashes.

The opinions of partners are stored here too. A lock lets only one process at a time fetch from a
source.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from entrenous.base.environment import Clock, SystemClock
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.stop.audit import AuditDetails
from entrenous.stop.exchange_nouns import (
    EXCHANGE_NAME_PATTERN,
    OWN_MEMBER_NUMBER,
    BadPartnerName,
    Checkpoint,
    ExchangePartner,
    FetchAlreadyRunning,
    KnownRecord,
    NoSuchExchangePartner,
    NoSuchSource,
    PartnerKnown,
    PartnerOpinion,
    Source,
    SourceKind,
    SourceKnown,
)
from entrenous.stop.registration import Stance
from entrenous.stop.store.audit_events import append_events
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import exclusive_write, snapshot_read
from entrenous.stop.store.exchange_served import (
    CHECKPOINT_TABLE,
    EXCHANGE_OPINION_TABLE,
    EXCHANGE_PARTNER_TABLE,
    FETCHED_RECORD_TABLE,
    SERVED_TO_TABLE,
    SOURCE_TABLE,
    delete_unserved_claims,
    overwrite_deleted_served,
)
from entrenous.stop.store.registrations import statement_batches
from entrenous.stop.store.schema import AUDIT_TABLE, read_optional_time, stored_time


@dataclass(frozen=True, slots=True)
class ExchangePartnerStore:
    """Stores partners and their opinions in the tables of ``engine`` (see
    :func:`prepare_exchange_tables`).
    """

    engine: sa.Engine
    clock: Clock = field(default_factory=SystemClock)

    def add(
        self, name: str, banks: Collection[BankName], *, submits: bool, key_sha256: bytes
    ) -> None:
        """Add a partner; ``key_sha256`` is its key's SHA-256. Raises PartnerKnown, BadPartnerName.

        Partners are numbered from 2, since 1 is the number of this gate itself.
        """
        if not EXCHANGE_NAME_PATTERN.fullmatch(name):
            raise BadPartnerName
        values = {
            "name": name,
            "banks": sorted(banks),
            "submits": submits,
            "key_sha256": key_sha256,
        }
        with exclusive_write(self.engine) as db:
            if db.execute(
                sa.select(EXCHANGE_PARTNER_TABLE.c.number).where(
                    EXCHANGE_PARTNER_TABLE.c.name == name
                )
            ).first():
                raise PartnerKnown(name=name)
            db.execute(EXCHANGE_PARTNER_TABLE.insert().values(values))
            details: AuditDetails = {"banks": ", ".join(sorted(banks)), "submits": submits}
            append_events(db, self.clock, ("exchange partner added", name, details))

    def remove(self, name: str) -> None:
        """Remove a partner, its opinions, and the record of what it was served.

        Raises NoSuchExchangePartner.
        """
        with exclusive_write(self.engine) as db:
            number = db.execute(
                sa.select(EXCHANGE_PARTNER_TABLE.c.number).where(
                    EXCHANGE_PARTNER_TABLE.c.name == name
                )
            ).scalar()
            if number is None:
                raise NoSuchExchangePartner(name=name)
            for table in (EXCHANGE_OPINION_TABLE, SERVED_TO_TABLE):
                db.execute(table.delete().where(table.c.partner == number))
            db.execute(
                EXCHANGE_PARTNER_TABLE.delete().where(EXCHANGE_PARTNER_TABLE.c.number == number)
            )
            delete_unserved_claims(db)
            append_events(db, self.clock, ("exchange partner removed", name, {}))
        overwrite_deleted_served(self.engine)

    def partners(self) -> tuple[ExchangePartner, ...]:
        """Return all partners, by name."""
        with snapshot_read(self.engine) as db:
            return tuple(
                map(
                    _partner_from_row,
                    db.execute(
                        sa.select(EXCHANGE_PARTNER_TABLE).order_by(EXCHANGE_PARTNER_TABLE.c.name)
                    ),
                )
            )

    def partner_with_key_hash(self, key: bytes) -> ExchangePartner | None:
        """Return the partner whose key has this SHA-256."""
        with snapshot_read(self.engine) as db:
            row = db.execute(
                sa.select(EXCHANGE_PARTNER_TABLE).where(EXCHANGE_PARTNER_TABLE.c.key_sha256 == key)
            ).one_or_none()
        return None if row is None else _partner_from_row(row)

    def record_request(self, name: str, at: datetime) -> None:
        """Record when this partner last sent a request."""
        asked = (
            EXCHANGE_PARTNER_TABLE.update()
            .where(EXCHANGE_PARTNER_TABLE.c.name == name)
            .values(asked_at=stored_time(at))
        )
        with exclusive_write(self.engine) as db:
            db.execute(asked)

    def record_opinions(
        self,
        partner: ExchangePartner,
        stances: Mapping[ClaimId, Stance],
        at: datetime,
        apply_consequences: Callable[
            [tuple[PartnerOpinion, ...], tuple[PartnerOpinion, ...], BankStore], None
        ]
        | None = None,
    ) -> None:
        """Store a partner's opinions of claims, either all of them or none. Each one replaces the
        partner's previous opinion of that claim.

        ``apply_consequences`` changes the bank in the same transaction, so that both changes take
        effect or neither. It is called with the opinions of these claims before and after, and with
        the bank. Raises what ``apply_consequences`` raises.
        """
        of = {"partner": partner.number - OWN_MEMBER_NUMBER, "at": stored_time(at)}
        mine = EXCHANGE_OPINION_TABLE.c.partner == of["partner"]
        with exclusive_write(self.engine) as db:
            before = _read_opinions(db, stances)
            for batch in statement_batches(stances):
                db.execute(
                    EXCHANGE_OPINION_TABLE.delete().where(
                        mine, EXCHANGE_OPINION_TABLE.c.claim.in_(batch)
                    )
                )
                rows = [{**of, "claim": claim, "stance": stances[claim]} for claim in batch]
                db.execute(EXCHANGE_OPINION_TABLE.insert(), rows)
            if apply_consequences is not None:
                apply_consequences(before, _read_opinions(db, stances), BankStore(db, self.clock))

    def opinions_on(self, claims: Collection[ClaimId]) -> tuple[PartnerOpinion, ...]:
        """Return all opinions of these claims, in the order of partners' numbers."""
        with snapshot_read(self.engine) as db:
            return _read_opinions(db, claims)


def _read_opinions(db: sa.Connection, claims: Collection[ClaimId]) -> tuple[PartnerOpinion, ...]:
    query = sa.select(EXCHANGE_OPINION_TABLE, EXCHANGE_PARTNER_TABLE.c.name).join(
        EXCHANGE_PARTNER_TABLE
    )
    found = [
        PartnerOpinion(
            row.name, row.partner + OWN_MEMBER_NUMBER, ClaimId(row.claim), Stance(row.stance)
        )
        for batch in statement_batches(claims)
        for row in db.execute(query.where(EXCHANGE_OPINION_TABLE.c.claim.in_(batch)))
    ]
    return tuple(sorted(found, key=lambda one: (one.number, one.claim)))


def _partner_from_row(row: Any) -> ExchangePartner:
    asked_at = read_optional_time(row.asked_at)
    banks = tuple(BankName(bank) for bank in row.banks)
    return ExchangePartner(row.name, row.number + OWN_MEMBER_NUMBER, banks, row.submits, asked_at)


_SOURCE_REMOVED_EVENT: Final = "exchange source removed"


@dataclass(frozen=True, slots=True)
class SourceStore:
    """Stores sources and what was read from them in the tables of ``engine`` (see
    :func:`prepare_exchange_tables`).
    """

    engine: sa.Engine
    clock: Clock = field(default_factory=SystemClock)

    def add(self, source: Source) -> None:
        """Add a source; raises SourceKnown."""
        with exclusive_write(self.engine) as db:
            if db.execute(
                sa.select(SOURCE_TABLE).where(SOURCE_TABLE.c.name == source.name)
            ).first():
                raise SourceKnown(name=source.name)
            db.execute(SOURCE_TABLE.insert().values(asdict(source)))
            if generation := _last_generation_of_removed(db, source.name):
                goes_on = _stored_checkpoint(Checkpoint(generation))
                db.execute(CHECKPOINT_TABLE.insert().values(source=source.name, **goes_on))
            append_events(
                db, self.clock, ("exchange source added", source.name, _audit_details(source))
            )

    def remove(self, name: str) -> None:
        """Delete a source, its checkpoint and its records; keep claims. Raises NoSuchSource."""
        source = self.source(name)
        with exclusive_write(self.engine) as db:
            generation = _current_generation(db, name)
            db.execute(_delete_records_statement(name))
            db.execute(CHECKPOINT_TABLE.delete().where(CHECKPOINT_TABLE.c.source == name))
            db.execute(SOURCE_TABLE.delete().where(SOURCE_TABLE.c.name == name))
            details = {**_audit_details(source), "generation": generation}
            append_events(db, self.clock, (_SOURCE_REMOVED_EVENT, name, details))

    def sources(self) -> tuple[Source, ...]:
        """Return all sources, by name."""
        with snapshot_read(self.engine) as db:
            return tuple(
                map(
                    _source_from_row,
                    db.execute(sa.select(SOURCE_TABLE).order_by(SOURCE_TABLE.c.name)),
                )
            )

    def source(self, name: str) -> Source:
        """Return the source of that name; raises NoSuchSource."""
        with snapshot_read(self.engine) as db:
            row = db.execute(
                sa.select(SOURCE_TABLE).where(SOURCE_TABLE.c.name == name)
            ).one_or_none()
        if row is None:
            raise NoSuchSource(name=name)
        return _source_from_row(row)

    def checkpoint(self, name: str) -> Checkpoint:
        """Return the source's checkpoint; a fresh one if the source was never read."""
        query = sa.select(CHECKPOINT_TABLE).where(CHECKPOINT_TABLE.c.source == name)
        with snapshot_read(self.engine) as db:
            row = db.execute(query).one_or_none()
        if row is None:
            return Checkpoint()
        times = (read_optional_time(row.begun_at), read_optional_time(row.whole_at))
        return Checkpoint(row.generation, row.anew, row.token, *times)

    def known_records(self, name: str, keys: Collection[bytes]) -> Mapping[bytes, KnownRecord]:
        """Return the stored states of records, by the SHA-256 of their keys."""
        query = sa.select(FETCHED_RECORD_TABLE).where(FETCHED_RECORD_TABLE.c.source == name)
        with snapshot_read(self.engine) as db:
            return {
                row.key_sha256: _record_from_row(row)
                for batch in statement_batches(keys)
                for row in db.execute(query.where(FETCHED_RECORD_TABLE.c.key_sha256.in_(batch)))
            }

    def store_page(self, name: str, known: Collection[KnownRecord], checkpoint: Checkpoint) -> None:
        """Store records and the source's checkpoint, both or neither."""
        with exclusive_write(self.engine) as db:
            for batch in statement_batches(known):
                keys = [one.key_sha256 for one in batch]
                db.execute(
                    _delete_records_statement(name).where(
                        FETCHED_RECORD_TABLE.c.key_sha256.in_(keys)
                    )
                )
                db.execute(
                    FETCHED_RECORD_TABLE.insert(),
                    [{"source": name, **asdict(one)} for one in batch],
                )
            db.execute(CHECKPOINT_TABLE.delete().where(CHECKPOINT_TABLE.c.source == name))
            db.execute(
                CHECKPOINT_TABLE.insert().values(source=name, **_stored_checkpoint(checkpoint))
            )

    def unseen_records_with_claim(self, name: str, generation: int) -> tuple[KnownRecord, ...]:
        """Return records with a claim that were not seen in this generation."""
        query = sa.select(FETCHED_RECORD_TABLE).where(
            FETCHED_RECORD_TABLE.c.source == name, FETCHED_RECORD_TABLE.c.claim.is_not(None)
        )
        with snapshot_read(self.engine) as db:
            rows = db.execute(query.where(FETCHED_RECORD_TABLE.c.generation < generation))
            return tuple(map(_record_from_row, rows))

    def count_records_with_claim(self, name: str) -> int:
        """Count the source's records that have a claim."""
        query = sa.select(sa.func.count()).select_from(FETCHED_RECORD_TABLE)
        with snapshot_read(self.engine) as db:
            live = query.where(
                FETCHED_RECORD_TABLE.c.source == name, FETCHED_RECORD_TABLE.c.claim.is_not(None)
            )
            return db.execute(live).scalar_one()


def _current_generation(db: sa.Connection, name: str) -> int:
    """Return the present generation of a source, or 0 if it was never read."""
    query = sa.select(CHECKPOINT_TABLE.c.generation).where(CHECKPOINT_TABLE.c.source == name)
    return int(db.execute(query).scalar() or 0)


def _last_generation_of_removed(db: sa.Connection, name: str) -> int:
    """Return the highest generation of the removed sources of this name, or 0.

    Claim ids are derived from it, so that a new source of the same name cannot repeat the id of a
    withdrawn claim.
    """
    rows = sa.select(AUDIT_TABLE.c.details).where(
        AUDIT_TABLE.c.what == _SOURCE_REMOVED_EVENT, AUDIT_TABLE.c.of == name
    )
    return max((int(row.details["generation"]) for row in db.execute(rows)), default=0)


def _delete_records_statement(name: str) -> sa.Delete:
    return FETCHED_RECORD_TABLE.delete().where(FETCHED_RECORD_TABLE.c.source == name)


def _audit_details(source: Source) -> AuditDetails:
    """Return the details for the audit log, without the address, which may be private."""
    return {"kind": str(source.kind), "bank": source.bank, "confirmed": source.confirmed}


def _source_from_row(row: Any) -> Source:
    kind, bank = SourceKind(row.kind), BankName(row.bank)
    return Source(row.name, kind, row.place, bank, row.part, row.confirmed, row.credentials)


def _record_from_row(row: Any) -> KnownRecord:
    claim = None if row.claim is None else ClaimId(row.claim)
    return KnownRecord(row.key_sha256, row.generation, row.version, row.hashes_sha256, claim)


def _stored_checkpoint(checkpoint: Checkpoint) -> dict[str, object]:
    values = asdict(checkpoint)
    for name in ("begun_at", "whole_at"):
        at = values[name]
        values[name] = None if at is None else stored_time(at)
    return values


_LOCK_CONTEXT: Final = b"entrenous/1 exchange fetch\x00"


@contextmanager
def hold_source_lock(engine: sa.Engine, name: str) -> Iterator[None]:
    """Hold the lock of a source, which only one process on the same database can hold at a time.

    If the process dies, the lock is released. Raises FetchAlreadyRunning.
    """
    if engine.dialect.name == "postgresql":
        with _advisory_lock(engine, name):
            yield
        return
    with _file_lock(engine, name):
        yield


@contextmanager
def _advisory_lock(engine: sa.Engine, name: str) -> Iterator[None]:
    digest = hashlib.sha256(_LOCK_CONTEXT + name.encode()).digest()
    key = int.from_bytes(digest[:8], signed=True)
    with engine.connect() as db:
        db.execution_options(isolation_level="AUTOCOMMIT")
        if not db.execute(sa.select(sa.func.pg_try_advisory_lock(key))).scalar_one():
            raise FetchAlreadyRunning(name=name)
        try:
            yield
        finally:
            db.execute(sa.select(sa.func.pg_advisory_unlock(key)))


@contextmanager
def _file_lock(engine: sa.Engine, name: str) -> Iterator[None]:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(f"{engine.url.database}.fetch-{name}", flags, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise FetchAlreadyRunning(name=name) from None
    try:
        yield
    finally:
        os.close(handle)
