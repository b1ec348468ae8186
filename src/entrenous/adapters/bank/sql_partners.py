"""Other platforms and their opinions, and the order of changes for whoever fetches them."""

import sqlalchemy as sa

from entrenous.adapters.bank.insert import insert_or
from entrenous.adapters.bank.sql_claims import claim_of, wholes_of
from entrenous.adapters.bank.sql_log import tell
from entrenous.adapters.bank.tables import (
    CLAIM,
    OPINION,
    PARTNER,
    read_time,
    stored_time,
)
from entrenous.adapters.bank.told import opinion_told, partner_told
from entrenous.model.claim import Change, ClaimState
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.opinion import NoSuchPartner, Opinion, Partner, Stance
from entrenous.ports import Clock


def every(db: sa.Connection) -> tuple[Partner, ...]:
    """By name."""
    rows = db.execute(sa.select(PARTNER))
    found = (Partner(row.name, bytes(row.key)) for row in rows)
    return tuple(sorted(found, key=lambda one: (one.name, one.key)))


def add(db: sa.Connection, clock: Clock, partner: Partner) -> None:
    """Make or rename."""
    wanted = insert_or(db, PARTNER).values(key=partner.key, name=partner.name)
    renamed = {"name": partner.name}
    db.execute(wanted.on_conflict_do_update(index_elements=["key"], set_=renamed))
    tell(db, clock, partner_told(partner))


def drop(db: sa.Connection, clock: Clock, key: bytes) -> None:
    """Forget it; raises NoSuchPartner."""
    if db.execute(PARTNER.delete().where(PARTNER.c.key == key)).rowcount == 0:
        raise NoSuchPartner
    tell(db, clock, ("partner dropped", key.hex(), {}))


def opine(db: sa.Connection, clock: Clock, opinion: Opinion) -> tuple[Opinion, ...]:
    """Keep it if it is the newest of its key; raises NoSuchClaim, NoSuchPartner."""
    claim_of(db, opinion.claim)
    _known(db, opinion.key)
    news = {"stance": opinion.stance, "at": stored_time(opinion.at)}
    wanted = insert_or(db, OPINION).values(claim=opinion.claim, key=opinion.key, **news)
    newer = wanted.on_conflict_do_update(
        index_elements=["claim", "key"], set_=news, where=OPINION.c.at < news["at"]
    )
    if db.execute(newer).rowcount:
        tell(db, clock, opinion_told(opinion))
    return opinions(db, opinion.claim)


def opinions(db: sa.Connection, claim: ClaimId) -> tuple[Opinion, ...]:
    """By time."""
    wanted = sa.select(OPINION).where(OPINION.c.claim == claim)
    return tuple(
        Opinion(claim, Stance(row.stance), read_time(row.at), bytes(row.key))
        for row in db.execute(wanted.order_by(OPINION.c.at, OPINION.c.key))
    )


def changes(db: sa.Connection, after: int, limit: int) -> tuple[Change, ...]:
    """By number."""
    wanted = sa.select(CLAIM).where(CLAIM.c.changed > after).order_by(CLAIM.c.changed)
    rows = db.execute(wanted.limit(limit)).all()
    hashes = wholes_of(db, [row.id for row in rows], told=True)
    return tuple(
        Change(
            number=row.changed,
            at=read_time(row.changed_at),
            claim=ClaimId(row.id),
            bank=BankName(row.bank),
            kind=row.kind,
            state=ClaimState(row.state),
            hashes=hashes.get(row.id, ()),
        )
        for row in rows
    )


def _known(db: sa.Connection, key: bytes) -> None:
    if db.execute(sa.select(PARTNER.c.key).where(PARTNER.c.key == key)).one_or_none() is None:
        raise NoSuchPartner
