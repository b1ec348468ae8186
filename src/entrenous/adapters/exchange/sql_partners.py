"""PartnerStore in tables beside the bank's."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from entrenous.adapters.bank.engine import reading, writing
from entrenous.adapters.bank.rows import batches
from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.bank.sql_log import tell
from entrenous.adapters.bank.tables import read_time, stored_time
from entrenous.adapters.exchange.sql_served import drop_unserved, overwrite
from entrenous.adapters.exchange.tables import OPINION, PARTNER, SERVED_TO
from entrenous.adapters.system import SystemClock
from entrenous.model.audit import Details
from entrenous.model.exchange import (
    NAME,
    OURSELVES,
    BadPartnerName,
    ExchangePartner,
    NoSuchExchangePartner,
    PartnerKnown,
    Said,
)
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.opinion import Stance
from entrenous.ports import BankStore
from entrenous.ports.world import Clock


@dataclass(frozen=True, slots=True)
class SqlPartnerStore:
    """Partners in the tables of ``engine`` (see :func:`prepare_tables`)."""

    engine: sa.Engine
    clock: Clock = field(default_factory=SystemClock)

    def add(self, name: str, banks: Collection[BankName], *, submits: bool, key: bytes) -> None:
        """Insert; rows are numbered from 1, which is ourselves."""
        if not NAME.fullmatch(name):
            raise BadPartnerName
        values = {"name": name, "banks": sorted(banks), "submits": submits, "key_sha256": key}
        with writing(self.engine) as db:
            if db.execute(sa.select(PARTNER.c.number).where(PARTNER.c.name == name)).first():
                raise PartnerKnown(name=name)
            db.execute(PARTNER.insert().values(values))
            details: Details = {"banks": ", ".join(sorted(banks)), "submits": submits}
            tell(db, self.clock, ("exchange partner added", name, details))

    def remove(self, name: str) -> None:
        """Delete, and what only it was waiting for."""
        with writing(self.engine) as db:
            number = db.execute(sa.select(PARTNER.c.number).where(PARTNER.c.name == name)).scalar()
            if number is None:
                raise NoSuchExchangePartner(name=name)
            for table in (OPINION, SERVED_TO):
                db.execute(table.delete().where(table.c.partner == number))
            db.execute(PARTNER.delete().where(PARTNER.c.number == number))
            drop_unserved(db)
            tell(db, self.clock, ("exchange partner removed", name, {}))
        overwrite(self.engine)

    def partners(self) -> tuple[ExchangePartner, ...]:
        """All."""
        with reading(self.engine) as db:
            return tuple(map(_partner, db.execute(sa.select(PARTNER).order_by(PARTNER.c.name))))

    def with_key(self, key: bytes) -> ExchangePartner | None:
        """By the key's hash."""
        with reading(self.engine) as db:
            row = db.execute(sa.select(PARTNER).where(PARTNER.c.key_sha256 == key)).one_or_none()
        return None if row is None else _partner(row)

    def asked(self, name: str, at: datetime) -> None:
        """Update."""
        asked = PARTNER.update().where(PARTNER.c.name == name).values(asked_at=stored_time(at))
        with writing(self.engine) as db:
            db.execute(asked)

    def say(
        self,
        partner: ExchangePartner,
        said: Mapping[ClaimId, Stance],
        at: datetime,
        also: Callable[[tuple[Said, ...], tuple[Said, ...], BankStore], None] | None = None,
    ) -> None:
        """Replace."""
        of = {"partner": partner.number - OURSELVES, "at": stored_time(at)}
        mine = OPINION.c.partner == of["partner"]
        with writing(self.engine) as db:
            before = _said(db, said)
            for batch in batches(said):
                db.execute(OPINION.delete().where(mine, OPINION.c.claim.in_(batch)))
                rows = [{**of, "claim": claim, "stance": said[claim]} for claim in batch]
                db.execute(OPINION.insert(), rows)
            if also is not None:
                also(before, _said(db, said), SqlBankStore(db, self.clock))

    def said(self, claims: Collection[ClaimId]) -> tuple[Said, ...]:
        """Joined in batches."""
        with reading(self.engine) as db:
            return _said(db, claims)


def _said(db: sa.Connection, claims: Collection[ClaimId]) -> tuple[Said, ...]:
    wanted = sa.select(OPINION, PARTNER.c.name).join(PARTNER)
    found = [
        Said(row.name, row.partner + OURSELVES, ClaimId(row.claim), Stance(row.stance))
        for batch in batches(claims)
        for row in db.execute(wanted.where(OPINION.c.claim.in_(batch)))
    ]
    return tuple(sorted(found, key=lambda one: (one.number, one.claim)))


def _partner(row: Any) -> ExchangePartner:
    asked_at = None if row.asked_at is None else read_time(row.asked_at)
    banks = tuple(BankName(bank) for bank in row.banks)
    return ExchangePartner(row.name, row.number + OURSELVES, banks, row.submits, asked_at)
