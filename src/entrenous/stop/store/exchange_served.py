"""The tables of exchanges, and the record of which hashes were served to which partner.

A change time is a pair: a second, and the number of the change that was the newest at that second.
A tombstone is a withdrawn claim that a partner still has to be told about (docs/spec/exchange.md,
5.2, 5.3).
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.stop.exchange_nouns import (
    OWN_MEMBER_NUMBER,
    ChangeTime,
    ExchangePartner,
    ServedClaim,
)
from entrenous.stop.registration import ClaimChange, ClaimState
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import (
    exclusive_write,
    overwrite_deleted_data,
    refuse_other_version,
    snapshot_read,
)
from entrenous.stop.store.registrations import statement_batches
from entrenous.stop.store.schema import stored_time

EXCHANGE_SCHEMA_VERSION: Final = 1
EXCHANGE_METADATA: Final = sa.MetaData()
EXCHANGE_VERSION_TABLE: Final = sa.Table(
    "exchange_schema_version", EXCHANGE_METADATA, sa.Column("version", sa.Integer, primary_key=True)
)
EXCHANGE_PARTNER_TABLE: Final = sa.Table(
    "exchange_partner",
    EXCHANGE_METADATA,
    # A number is never reused, since other partners may still know a removed partner by its number.
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("key_sha256", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("banks", sa.JSON, nullable=False),
    sa.Column("submits", sa.Boolean, nullable=False),
    sa.Column("asked_at", sa.BigInteger),
    sqlite_autoincrement=True,
)
EXCHANGE_OPINION_TABLE: Final = sa.Table(
    "exchange_opinion",
    EXCHANGE_METADATA,
    sa.Column("claim", sa.Text, primary_key=True),
    sa.Column("partner", sa.ForeignKey("exchange_partner.number"), primary_key=True),
    sa.Column("stance", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
)
EXCHANGE_CHANGE_TIME_TABLE: Final = sa.Table(
    "exchange_mark",
    EXCHANGE_METADATA,
    sa.Column("at_s", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, nullable=False, unique=True),
)
# A table with at most one row: the second before which no new change time may be dated.
EARLIEST_NEW_CHANGE_TIME_TABLE: Final = sa.Table(
    "exchange_settled",
    EXCHANGE_METADATA,
    sa.Column("one", sa.Integer, primary_key=True),
    sa.Column("before_s", sa.BigInteger, nullable=False),
)
# One row for each claim that was served with its hashes. ``ended_number`` and ``ended_at`` are the
# number and the time of the change that withdrew the claim; null if it is not withdrawn.
SERVED_TABLE: Final = sa.Table(
    "exchange_served",
    EXCHANGE_METADATA,
    sa.Column("claim", sa.Text, primary_key=True),
    sa.Column("bank", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("ended_number", sa.BigInteger, index=True),
    sa.Column("ended_at", sa.BigInteger),
)
SERVED_HASH_TABLE: Final = sa.Table(
    "exchange_served_hash",
    EXCHANGE_METADATA,
    sa.Column("bits", sa.LargeBinary(32), primary_key=True),
    sa.Column("claim", sa.ForeignKey("exchange_served.claim"), primary_key=True, index=True),
)
SERVED_TO_TABLE: Final = sa.Table(
    "exchange_served_to",
    EXCHANGE_METADATA,
    sa.Column("claim", sa.ForeignKey("exchange_served.claim"), primary_key=True),
    sa.Column("partner", sa.ForeignKey("exchange_partner.number"), primary_key=True, index=True),
)
# A table with one row: the number of the last change that was applied to SERVED_TABLE.
APPLIED_CHANGE_TABLE: Final = sa.Table(
    "exchange_followed",
    EXCHANGE_METADATA,
    sa.Column("one", sa.Integer, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)
SOURCE_TABLE: Final = sa.Table(
    "exchange_source",
    EXCHANGE_METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("bank", sa.Text, nullable=False),
    sa.Column("part", sa.Text, nullable=False),
    sa.Column("confirmed", sa.Boolean, nullable=False),
    sa.Column("credentials", sa.Text, nullable=False),
)
CHECKPOINT_TABLE: Final = sa.Table(
    "exchange_checkpoint",
    EXCHANGE_METADATA,
    sa.Column("source", sa.ForeignKey("exchange_source.name"), primary_key=True),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("anew", sa.Boolean, nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("begun_at", sa.BigInteger),
    sa.Column("whole_at", sa.BigInteger),
)
FETCHED_RECORD_TABLE: Final = sa.Table(
    "exchange_record",
    EXCHANGE_METADATA,
    sa.Column("source", sa.ForeignKey("exchange_source.name"), primary_key=True),
    sa.Column("key_sha256", sa.LargeBinary(32), primary_key=True),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("hashes_sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("claim", sa.Text),
    sa.Index("exchange_record_seen", "source", "generation"),
)


def prepare_exchange_tables(engine: sa.Engine) -> None:
    """Create the tables if they are missing.

    Raises:
        NewerBank, OlderBank: another version of Entrenous wrote them; nothing is changed.
    """
    with exclusive_write(engine) as db:
        if sa.inspect(db).has_table(EXCHANGE_VERSION_TABLE.name):
            refuse_other_version(db, EXCHANGE_VERSION_TABLE, EXCHANGE_SCHEMA_VERSION)
            return
        EXCHANGE_METADATA.create_all(db)
        db.execute(EXCHANGE_VERSION_TABLE.insert().values(version=EXCHANGE_SCHEMA_VERSION))
        db.execute(APPLIED_CHANGE_TABLE.insert().values(one=1, number=0))


_CHANGES_PER_READ: Final = 1000
_VACUUM: Final = "VACUUM (SKIP_LOCKED) exchange_served, exchange_served_hash, exchange_served_to"
_READS_PER_CALL_MAX: Final = 50  # reads per call; the next call continues


@dataclass(frozen=True, slots=True)
class ServedClaimStore:
    """Records which claims were served to which partner, in the tables of ``engine``.

    :func:`prepare_exchange_tables` creates the tables.
    """

    engine: sa.Engine

    def newest_change_time(self) -> ChangeTime | None:
        """Return the newest change time."""
        with snapshot_read(self.engine) as db:
            row = db.execute(
                sa.select(EXCHANGE_CHANGE_TIME_TABLE)
                .order_by(EXCHANGE_CHANGE_TIME_TABLE.c.at_s.desc())
                .limit(1)
            ).one_or_none()
        return None if row is None else ChangeTime(row.at_s, row.number)

    def last_change_number_before(self, at_s: int) -> int:
        """Return the number of the last change dated before that second; 0 when there is none."""
        with snapshot_read(self.engine) as db:
            wanted = sa.select(sa.func.max(EXCHANGE_CHANGE_TIME_TABLE.c.number)).where(
                EXCHANGE_CHANGE_TIME_TABLE.c.at_s < at_s
            )
            return db.execute(wanted).scalar() or 0

    def change_times_between(self, after: int, upto: int) -> tuple[ChangeTime, ...]:
        """Return the change times that date the changes numbered above ``after``, up to ``upto``.

        Each change is dated by the first change time whose number is not below the change's. In the
        result, both seconds and numbers increase.
        """
        top = (
            sa.select(sa.func.min(EXCHANGE_CHANGE_TIME_TABLE.c.number))
            .where(EXCHANGE_CHANGE_TIME_TABLE.c.number >= upto)
            .scalar_subquery()
        )
        wanted = sa.select(EXCHANGE_CHANGE_TIME_TABLE).where(
            EXCHANGE_CHANGE_TIME_TABLE.c.number > after, EXCHANGE_CHANGE_TIME_TABLE.c.number <= top
        )
        with snapshot_read(self.engine) as db:
            rows = db.execute(wanted.order_by(EXCHANGE_CHANGE_TIME_TABLE.c.number))
            return tuple(ChangeTime(row.at_s, row.number) for row in rows)

    def add_change_time(self, change_time: ChangeTime, drop_before_s: int) -> None:
        """Add a change time, dated no earlier than the latest second given to
        :meth:`stop_dating_changes_before`.

        If its second or its number is not above those of the newest change time, it is ignored,
        since another process has added a newer one. Of the change times before ``drop_before_s``,
        only the newest is kept.
        """
        with exclusive_write(self.engine) as db:
            highest = sa.select(
                sa.func.max(EXCHANGE_CHANGE_TIME_TABLE.c.at_s),
                sa.func.max(EXCHANGE_CHANGE_TIME_TABLE.c.number),
            )
            at_s, number = db.execute(highest).one()
            dated_s = max(change_time.at_s, _earliest_new_change_second(db))
            if at_s is not None and (dated_s <= at_s or change_time.number <= number):
                return
            db.execute(
                EXCHANGE_CHANGE_TIME_TABLE.insert().values(at_s=dated_s, number=change_time.number)
            )
            old = sa.select(sa.func.max(EXCHANGE_CHANGE_TIME_TABLE.c.at_s)).where(
                EXCHANGE_CHANGE_TIME_TABLE.c.at_s < drop_before_s
            )
            db.execute(
                EXCHANGE_CHANGE_TIME_TABLE.delete().where(
                    EXCHANGE_CHANGE_TIME_TABLE.c.at_s < old.scalar_subquery()
                )
            )

    def stop_dating_changes_before(self, before_s: int) -> None:
        """From now on, date no change before that second, even if a clock is behind.

        Call this before answering a partner about the time up to that second.
        """
        with snapshot_read(self.engine) as db:
            if _earliest_new_change_second(db) >= before_s:
                return
        with exclusive_write(self.engine) as db:
            if _earliest_new_change_second(db) < before_s:
                db.execute(EARLIEST_NEW_CHANGE_TIME_TABLE.delete())
                db.execute(EARLIEST_NEW_CHANGE_TIME_TABLE.insert().values(one=1, before_s=before_s))

    def record_served(
        self, partner: ExchangePartner, changes: Iterable[ClaimChange], seen: int
    ) -> None:
        """Record these changes before they are served to that partner. Each of them must have
        hashes.

        ``seen`` is the number of the newest change that was known when these were read. If later
        changes have been applied meanwhile, or if no claim was recorded before,
        :meth:`apply_next_changes` continues after ``seen``; otherwise it continues where it was.

        A claim that is recorded already is replaced, with its hashes. The partners that it was
        served to before are kept.
        """
        fresh = {change.claim: change for change in changes}
        if not fresh:
            return
        with exclusive_write(self.engine) as db:
            if _last_applied_change(db) > seen or not _is_anything_served(db):
                _set_last_applied_change(db, seen)
            for claims in statement_batches(fresh):
                _replace_served(db, partner, [fresh[claim] for claim in claims])

    def served_to(
        self, partner: ExchangePartner, claims: Collection[ClaimId]
    ) -> Mapping[ClaimId, ServedClaim]:
        """Return the claims among ``claims`` that are recorded as served to this partner."""
        wanted = _select_served().join(
            SERVED_TO_TABLE, SERVED_TO_TABLE.c.claim == SERVED_TABLE.c.claim
        )
        served = wanted.where(SERVED_TO_TABLE.c.partner == partner.number - OWN_MEMBER_NUMBER)
        found = dict[ClaimId, ServedClaim]()
        with snapshot_read(self.engine) as db:
            for batch in statement_batches(claims):
                for row in db.execute(served.where(SERVED_TABLE.c.claim.in_(batch))):
                    _add_hash_of_row(found, row)
        return found

    def claims_on_hashes(
        self, banks: Collection[BankName], hashes: Collection[bytes]
    ) -> tuple[tuple[bytes, ServedClaim], ...]:
        """Return the recorded claims of these banks that have one of these hashes, whichever
        partner they were served to.

        A claim is returned once for each of these hashes that it has, as a pair of the hash and the
        claim with this hash only. The claims on one hash are in the order of their ids.
        """
        wanted = (
            _select_served().where(SERVED_TABLE.c.bank.in_(banks)).order_by(SERVED_TABLE.c.claim)
        )
        with snapshot_read(self.engine) as db:
            return tuple(
                (row.bits, _served_from_row(row, (row.bits,)))
                for batch in statement_batches(hashes)
                for row in db.execute(wanted.where(SERVED_HASH_TABLE.c.bits.in_(batch)))
            )

    def apply_next_changes(self, feed: BankStore, upto: int) -> None:
        """Apply the next changes up to the number ``upto``, at most 50,000, to the recorded claims.

        A withdrawn claim becomes a tombstone. Tombstones that no partner still has to read are
        deleted and overwritten. If no claim is recorded, nothing is done.
        """
        with snapshot_read(self.engine) as db:
            after, any_served = _last_applied_change(db), _is_anything_served(db)
        for _ in range(_READS_PER_CALL_MAX if any_served else 0):
            news = [one for one in feed.changes(after, _CHANGES_PER_READ) if one.number <= upto]
            if not news or not self._apply_changes(news, after):
                return
            after = news[-1].number

    def delete_tombstones_read_by(self, partner: ExchangePartner, upto: int) -> None:
        """Record that a partner has read all changes up to this number.

        Tombstones of these changes are no longer kept for this partner. If no other partner has to
        read them, they are deleted and overwritten.
        """
        ended = sa.select(SERVED_TABLE.c.claim).where(SERVED_TABLE.c.ended_number <= upto)
        mine = SERVED_TO_TABLE.c.partner == partner.number - OWN_MEMBER_NUMBER
        read = sa.and_(mine, SERVED_TO_TABLE.c.claim.in_(ended))
        # Usually there are no such tombstones; then nothing is written, and no write lock is taken.
        with snapshot_read(self.engine) as db:
            if db.execute(sa.select(SERVED_TO_TABLE.c.claim).where(read).limit(1)).first() is None:
                return
        with exclusive_write(self.engine) as db:
            db.execute(SERVED_TO_TABLE.delete().where(read))
            delete_read_tombstones(db)
        overwrite_deleted_served(self.engine)

    def delete_tombstones(self, before: datetime) -> int:
        """Delete the tombstones of claims that were withdrawn earlier than ``before``, even if a
        partner has not read them; return how many were deleted.
        """
        ended = SERVED_TABLE.c.ended_number.is_not(
            None
        )  # with this condition, the query uses the index
        old = sa.select(SERVED_TABLE.c.claim).where(
            ended, SERVED_TABLE.c.ended_at < stored_time(before)
        )
        with snapshot_read(self.engine) as db:
            if db.execute(old.limit(1)).first() is None:
                return 0
        with exclusive_write(self.engine) as db:
            db.execute(SERVED_TO_TABLE.delete().where(SERVED_TO_TABLE.c.claim.in_(old)))
            count = delete_read_tombstones(db)
        if count:
            overwrite_deleted_served(self.engine)
        return count

    def _apply_changes(self, news: list[ClaimChange], after: int) -> bool:
        """Apply the changes ``news``, which follow the number ``after``.

        Apply none and return False if the last applied change no longer has the number ``after``,
        because another process has changed it.
        """
        newest = {change.claim: change for change in news}
        gone = 0
        with exclusive_write(self.engine) as db:
            if _last_applied_change(db) != after:
                return False
            for claims in statement_batches(newest):
                wanted = sa.select(SERVED_TABLE.c.claim).where(SERVED_TABLE.c.claim.in_(claims))
                for claim in db.execute(wanted).scalars().all():
                    _update_served(db, newest[ClaimId(claim)])
            _set_last_applied_change(db, news[-1].number)
            if any(change.state is ClaimState.WITHDRAWN for change in news):
                gone = delete_read_tombstones(db)
        if gone:
            overwrite_deleted_served(self.engine)
        return True


def overwrite_deleted_served(engine: sa.Engine) -> None:
    """Overwrite deleted rows of these tables, as :func:`overwrite_deleted_data` does."""
    if engine.dialect.name == "postgresql":
        with engine.connect() as db:
            db.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(_VACUUM)
        return
    overwrite_deleted_data(engine)


def delete_read_tombstones(db: sa.Connection) -> int:
    """Delete the tombstones that no partner still has to read; return how many."""
    waited_for = sa.select(SERVED_TO_TABLE.c.claim)
    return _delete_served_claims(
        db, SERVED_TABLE.c.ended_number.is_not(None), SERVED_TABLE.c.claim.not_in(waited_for)
    )


def delete_unserved_claims(db: sa.Connection) -> int:
    """Delete claims that were served to no present partner; return how many."""
    return _delete_served_claims(
        db, SERVED_TABLE.c.claim.not_in(sa.select(SERVED_TO_TABLE.c.claim))
    )


def _delete_served_claims(db: sa.Connection, *which: sa.ColumnElement[bool]) -> int:
    gone = db.execute(sa.select(SERVED_TABLE.c.claim).where(*which)).scalars().all()
    for batch in statement_batches(gone):
        db.execute(SERVED_HASH_TABLE.delete().where(SERVED_HASH_TABLE.c.claim.in_(batch)))
        db.execute(SERVED_TABLE.delete().where(SERVED_TABLE.c.claim.in_(batch)))
    return len(gone)


def _replace_served(
    db: sa.Connection, partner: ExchangePartner, changes: list[ClaimChange]
) -> None:
    claims = [change.claim for change in changes]
    number = partner.number - OWN_MEMBER_NUMBER
    to = sa.select(SERVED_TO_TABLE).where(SERVED_TO_TABLE.c.claim.in_(claims))
    receivers = {(row.claim, row.partner) for row in db.execute(to)}
    receivers |= {(claim, number) for claim in claims}
    for table in (SERVED_TO_TABLE, SERVED_HASH_TABLE, SERVED_TABLE):
        db.execute(table.delete().where(table.c.claim.in_(claims)))
    db.execute(
        SERVED_TABLE.insert(),
        [{"claim": one.claim, "bank": one.bank, "state": one.state} for one in changes],
    )
    hashes = [{"claim": one.claim, "bits": bits} for one in changes for bits in set(one.hashes)]
    db.execute(SERVED_HASH_TABLE.insert(), hashes)
    db.execute(
        SERVED_TO_TABLE.insert(), [{"claim": claim, "partner": who} for claim, who in receivers]
    )


def _update_served(db: sa.Connection, change: ClaimChange) -> None:
    ended = change.state is ClaimState.WITHDRAWN
    values = {
        "state": change.state,
        "ended_number": change.number if ended else None,
        "ended_at": stored_time(change.at) if ended else None,
    }
    db.execute(SERVED_TABLE.update().where(SERVED_TABLE.c.claim == change.claim).values(values))


def _is_anything_served(db: sa.Connection) -> bool:
    return db.execute(sa.select(SERVED_TABLE.c.claim).limit(1)).first() is not None


def _earliest_new_change_second(db: sa.Connection) -> int:
    return (
        db.execute(sa.select(sa.func.max(EARLIEST_NEW_CHANGE_TIME_TABLE.c.before_s))).scalar() or 0
    )


def _last_applied_change(db: sa.Connection) -> int:
    return int(db.execute(sa.select(APPLIED_CHANGE_TABLE.c.number)).scalar_one())


def _set_last_applied_change(db: sa.Connection, number: int) -> None:
    db.execute(APPLIED_CHANGE_TABLE.update().values(number=number))


def _select_served() -> sa.Select[Any]:
    return sa.select(SERVED_TABLE, SERVED_HASH_TABLE.c.bits).join(
        SERVED_HASH_TABLE, SERVED_HASH_TABLE.c.claim == SERVED_TABLE.c.claim
    )


def _add_hash_of_row(found: dict[ClaimId, ServedClaim], row: Any) -> None:
    known = found.get(ClaimId(row.claim))
    found[ClaimId(row.claim)] = _served_from_row(row, (*(known.hashes if known else ()), row.bits))


def _served_from_row(row: Any, hashes: tuple[bytes, ...]) -> ServedClaim:
    return ServedClaim(ClaimId(row.claim), BankName(row.bank), ClaimState(row.state), hashes)
