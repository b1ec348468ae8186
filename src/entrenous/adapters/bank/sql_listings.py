"""ListingStore in a table beside the claims."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from entrenous.adapters.bank.engine import reading, writing
from entrenous.adapters.bank.insert import insert_or
from entrenous.adapters.bank.rows import batches
from entrenous.adapters.bank.sql_log import tell
from entrenous.adapters.bank.tables import CLAIM, LISTING, read_time, stored_time
from entrenous.adapters.bank.told import note_told
from entrenous.model.claim import ClaimState
from entrenous.model.ids import ClaimId
from entrenous.model.listing import Listing
from entrenous.ports import Clock


@dataclass(frozen=True, slots=True)
class SqlListingStore:
    """In the tables of ``engine`` (see :func:`open_engine`)."""

    engine: sa.Engine
    clock: Clock

    def keep(self, claims: Collection[ClaimId], listing: Listing) -> None:
        """Insert or replace."""
        at = None if listing.on_at is None else stored_time(listing.on_at)
        values = {"content_id": listing.content_id, "on_at": at}
        with writing(self.engine) as db:
            for batch in batches(claims):
                live = sa.select(CLAIM.c.id).where(CLAIM.c.id.in_(batch), _LIVE)
                rows = [{"claim": claim, **values} for claim in db.execute(live).scalars()]
                wanted = insert_or(db, LISTING)
                if rows:
                    db.execute(
                        wanted.on_conflict_do_update(index_elements=["claim"], set_=values), rows
                    )

    def listings(self, claims: Collection[ClaimId]) -> Mapping[ClaimId, Listing]:
        """In batches."""
        with reading(self.engine) as db:
            return {
                ClaimId(row.claim): Listing(row.content_id, _time(row.on_at))
                for batch in batches(claims)
                for row in db.execute(sa.select(LISTING).where(LISTING.c.claim.in_(batch)))
            }

    def due(self, at: datetime) -> tuple[ClaimId, ...]:
        """The earliest first."""
        wanted = sa.select(LISTING.c.claim).where(LISTING.c.on_at <= stored_time(at))
        with reading(self.engine) as db:
            rows = db.execute(wanted.order_by(LISTING.c.on_at, LISTING.c.claim))
            return tuple(ClaimId(claim) for claim in rows.scalars())

    def annotate(self, claims: Collection[ClaimId], note: str) -> None:
        """In one transaction, with rows of the log."""
        with writing(self.engine) as db:
            for batch in batches(claims):
                live = sa.select(CLAIM.c.id).where(CLAIM.c.id.in_(batch), _LIVE)
                found = list(db.execute(live).scalars())
                db.execute(CLAIM.update().where(CLAIM.c.id.in_(found)).values(reason=note))
                tell(db, self.clock, *(note_told(ClaimId(claim)) for claim in found))


_LIVE = CLAIM.c.state != ClaimState.WITHDRAWN


def _time(stored: int | None) -> datetime | None:
    return None if stored is None else read_time(stored)
