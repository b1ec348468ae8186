"""ReviewQueue on SQLite."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from entrenous.adapters.bank.engine import reading, scrub, writing
from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.bank.tables import UPLOAD, read_time, stored_time
from entrenous.model.bank import (
    AlreadyDecided,
    Decision,
    NoSuchReview,
    Outcome,
    Review,
    ReviewState,
)
from entrenous.model.fingerprint import Match
from entrenous.ports import BankStore


@dataclass(frozen=True, slots=True)
class SqlReviewQueue:
    """Uploads in the tables of ``engine`` (see :func:`open_engine`)."""

    engine: sa.Engine

    def record(self, review: Review, untrusted_upload: bytes | None) -> None:
        """Insert."""
        values = {
            "case_number": review.case,
            "at": stored_time(review.at),
            "outcome": review.decision.outcome,
            "state": review.state,
            "matches": [asdict(match) for match in review.decision.matches],
            "bits": review.bits,
            "untrusted_upload": untrusted_upload,
        }
        with writing(self.engine) as db:
            db.execute(UPLOAD.insert().values(values))

    def next(self) -> Review | None:
        """The lowest number that waits."""
        wanted = sa.select(UPLOAD).where(UPLOAD.c.state == ReviewState.WAITING)
        with reading(self.engine) as db:
            row = db.execute(wanted.order_by(UPLOAD.c.number).limit(1)).one_or_none()
        return None if row is None else _to_review(row)

    def review(self, case: str) -> Review:
        """By case number."""
        with reading(self.engine) as db:
            return _review(db, case)

    def upload(self, case: str) -> bytes:
        """Its bytes, while it waits."""
        wanted = sa.select(UPLOAD.c.untrusted_upload).where(UPLOAD.c.case_number == case)
        with reading(self.engine) as db:
            data = db.execute(wanted).scalar()
        if data is None:
            raise NoSuchReview(case=case)
        return bytes(data)

    def close(
        self, case: str, state: ReviewState, also: Callable[[Review, BankStore], None]
    ) -> Review:
        """Decide and forget, in one transaction, so that two reviewers cannot both do it."""
        with writing(self.engine) as db:
            review = _review(db, case)
            if review.state is not ReviewState.WAITING:
                raise AlreadyDecided(case=case, state=review.state)
            forgotten = {"state": state, "bits": None, "untrusted_upload": None}
            db.execute(UPLOAD.update().where(UPLOAD.c.case_number == case).values(forgotten))
            also(review, SqlBankStore(db))
        scrub(self.engine)
        return review

    def waiting(self) -> int:
        """Counted."""
        wanted = sa.select(sa.func.count()).select_from(UPLOAD)
        with reading(self.engine) as db:
            waits = UPLOAD.c.state == ReviewState.WAITING
            return db.execute(wanted.where(waits)).scalar_one()


def _review(db: sa.Connection, case: str) -> Review:
    row = db.execute(sa.select(UPLOAD).where(UPLOAD.c.case_number == case)).one_or_none()
    if row is None:
        raise NoSuchReview(case=case)
    return _to_review(row)


def _to_review(row: Any) -> Review:
    matches = tuple(Match(**match) for match in row.matches)
    decision = Decision(Outcome(row.outcome), row.case_number, matches)
    return Review(decision, read_time(row.at), ReviewState(row.state), row.bits)
