"""How a gate stands, counted in its tables (docs/spec/gate.md section 10)."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Final

import sqlalchemy as sa

from entrenous.adapters.bank.engine import reading
from entrenous.adapters.bank.held_bytes import HEAD_BYTES, HeldBytes
from entrenous.adapters.bank.tables import (
    AUDIT,
    AUDIT_HEAD,
    BANK,
    CLAIM,
    HASH,
    read_time,
    stored_time,
)
from entrenous.adapters.bank.upload_tables import SINGLE, UPLOAD
from entrenous.model.decision import Outcome
from entrenous.model.ids import BankName
from entrenous.model.review import Due, ReviewState
from entrenous.model.standing import ShadowCell, Standing, even

SHADOW_KEPT: Final = timedelta(days=30)
_DECISIONS_MAX: Final = 1_000
_ROWS_MAX: Final = 100_000  # of the log, in which decisions are looked for
_SHADOW_MAX: Final = 100_000  # uploads read for a tally: the newest
_LOOKED_AT: Final = 200  # uploads whose keys are asked for
_SINCE: Final = sa.func.coalesce(UPLOAD.c.waits_since, UPLOAD.c.at)
_DECIDED: Final = [f"case {state}" for state in (ReviewState.CONFIRMED, ReviewState.RELEASED)]


def standing(
    engine: sa.Engine,
    at: datetime,
    due: Due,
    *,
    with_shadow: bool = False,
    all_in_shadow: bool = False,
) -> Standing:
    """As of now, which is ``at``; ``due`` was counted apart.

    With what banks in shadow would have done, if that is asked for: where the gate is in shadow,
    all of them.

    Raises BankUnreachable.
    """
    with reading(engine) as db:
        waiting, oldest = _queue(db)
        return Standing(
            at=at,
            claims=_claims(db),
            hashes=db.execute(sa.select(sa.func.count()).select_from(HASH)).scalar_one(),
            waiting=waiting,
            oldest=oldest,
            review_s=_review_s(db),
            due=due,
            shadow=_shadow(db, at - SHADOW_KEPT, every=all_in_shadow) if with_shadow else {},
        )


def shut_away(engine: sa.Engine, held: HeldBytes) -> int:
    """How many of the uploads that have waited longest are sealed with a key that is gone; looks at
    200, since SQLite reads an upload whole for its first bytes. Raises BankUnreachable.
    """
    oldest = sa.select(UPLOAD.c.number).where(*SINGLE).order_by(UPLOAD.c.number).limit(_LOOKED_AT)
    head = sa.func.substr(UPLOAD.c.untrusted_upload, 1, HEAD_BYTES)
    wanted = sa.select(head).where(UPLOAD.c.number.in_(oldest))
    wanted = wanted.where(UPLOAD.c.untrusted_upload.is_not(None))
    with reading(engine) as db:
        return sum(not held.has_key_of(bytes(one)) for one in db.execute(wanted).scalars())


def _claims(db: sa.Connection) -> dict[tuple[str, str], int]:
    wanted = sa.select(CLAIM.c.kind, CLAIM.c.state, sa.func.count())
    rows = db.execute(wanted.group_by(CLAIM.c.kind, CLAIM.c.state))
    return {(kind, state): count for kind, state, count in rows}


def _queue(db: sa.Connection) -> tuple[int, datetime | None]:
    """How many items wait, and since when the oldest does."""
    wanted = sa.select(sa.func.count(), sa.func.min(_SINCE)).select_from(UPLOAD).where(*SINGLE)
    count, oldest = db.execute(wanted).one()
    return count, None if oldest is None else read_time(oldest)


def _review_s(db: sa.Connection) -> float | None:
    """The median from the beginning of the wait to the decision, in seconds. When a case that was
    decided is appealed, how long it had waited before is known no more.
    """
    head = db.execute(sa.select(AUDIT_HEAD.c.number)).scalar() or 0
    decided = AUDIT.c.number > head - _ROWS_MAX, AUDIT.c.what.in_(_DECIDED)
    newest = sa.select(AUDIT.c.at, AUDIT.c.of).where(*decided)
    some = newest.order_by(AUDIT.c.number.desc()).limit(_DECISIONS_MAX).subquery()
    wanted = sa.select(some.c.at - _SINCE).join(UPLOAD, UPLOAD.c.case_number == some.c.of)
    took = [one for one in db.execute(wanted).scalars() if one >= 0]
    return median(took) / 1e6 if took else None


def _shadow(db: sa.Connection, since: datetime, *, every: bool) -> dict[ShadowCell, int]:
    """By the banks that are in shadow now, or every one."""
    names = sa.select(BANK.c.name)
    dark = set(db.execute(names if every else names.where(BANK.c.shadow)).scalars())
    wanted = sa.select(UPLOAD.c.would, UPLOAD.c.matches)
    wanted = wanted.where(UPLOAD.c.would.is_not(None), UPLOAD.c.at >= stored_time(since))
    rows = db.execute(wanted.order_by(UPLOAD.c.at.desc()).limit(_SHADOW_MAX))
    return dict(Counter(cell for row in rows for cell in _cells(row.would, row.matches, dark)))


def _cells(would: str, matches: Iterable[Any], dark: set[str]) -> Iterator[ShadowCell]:
    """One for each bank in shadow: its nearest match."""
    nearest: dict[str, int] = {}
    for match in matches:
        if match["bank"] in dark:
            least = nearest.get(match["bank"], match["distance"])
            nearest[match["bank"]] = min(least, match["distance"])
    for bank, distance in nearest.items():
        yield ShadowCell(BankName(bank), Outcome(would), even(distance))
