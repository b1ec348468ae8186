"""ReviewDesk on SQLite or PostgreSQL: reviewers, who confirmed first, and who was told of what."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from entrenous.adapters.bank import sql_uploads as uploads
from entrenous.adapters.bank.engine import adding, glancing, reading, writing
from entrenous.adapters.bank.insert import insert_or
from entrenous.adapters.bank.sql_due import SqlDueWork
from entrenous.adapters.bank.sql_log import tell
from entrenous.adapters.bank.tables import PAGE, REVIEWER, read_time, stored_time
from entrenous.adapters.bank.told import first_told, reviewer_told
from entrenous.adapters.bank.upload_tables import SINGLE, UPLOAD, WAITS
from entrenous.model.page import AGAIN_AFTER, Page, PageKind
from entrenous.model.review import AlreadyDecided, ReviewState
from entrenous.model.reviewer import (
    BadReviewerName,
    NoSuchReviewer,
    Reviewer,
    ReviewerKnown,
    SecondPersonNeeded,
    may_be_reviewer,
)

_SINCE: Final = sa.func.coalesce(UPLOAD.c.waits_since, UPLOAD.c.at)


@dataclass(frozen=True, slots=True)
class SqlReviewDesk(SqlDueWork):
    """In the tables of ``engine``."""

    def add_reviewer(self, name: str, token_sha256: bytes) -> None:
        """Insert."""
        if not may_be_reviewer(name):
            raise BadReviewerName
        values = {"name": name, "token_sha256": token_sha256}
        at = stored_time(self.clock.now())
        with writing(self.engine) as db:
            known = sa.select(REVIEWER.c.name).where(REVIEWER.c.name == name)
            if db.execute(known).first() is not None:
                raise ReviewerKnown(name=name)
            db.execute(REVIEWER.insert().values(**values, added_at=at))
            tell(db, self.clock, reviewer_told("added", name))

    def remove_reviewer(self, name: str) -> None:
        """Delete, and take their first words back."""
        theirs = UPLOAD.update().where(WAITS, UPLOAD.c.first_confirmer == name)
        with writing(self.engine) as db:
            if db.execute(REVIEWER.delete().where(REVIEWER.c.name == name)).rowcount == 0:
                raise NoSuchReviewer(name=name)
            db.execute(theirs.values(first_confirmer=None))
            tell(db, self.clock, reviewer_told("removed", name))

    def reviewers(self) -> tuple[Reviewer, ...]:
        """All."""
        with reading(self.engine) as db:
            rows = db.execute(sa.select(REVIEWER).order_by(REVIEWER.c.name))
            return tuple(Reviewer(row.name, read_time(row.added_at)) for row in rows)

    def reviewer_with(self, token_sha256: bytes) -> Reviewer | None:
        """By an index of the hashes."""
        wanted = sa.select(REVIEWER).where(REVIEWER.c.token_sha256 == token_sha256)
        with glancing(self.engine) as db:
            row = db.execute(wanted).one_or_none()
        return None if row is None else Reviewer(row.name, read_time(row.added_at))

    def confirm_first(self, case: str, by: str) -> bool:
        """One row, and one of the log."""
        with writing(self.engine) as db:
            review = uploads.review_of(db, case)
            if review.state is not ReviewState.WAITING:
                raise AlreadyDecided(case=case, state=review.state)
            if review.first_confirmer == by:
                raise SecondPersonNeeded(case=case, reviewer=by)
            if review.first_confirmer:
                return False
            uploads.change(db, case, first_confirmer=by)
            tell(db, self.clock, first_told(case, by))
            return True

    def take_pages(self, before: datetime, most: int) -> tuple[Page, ...]:
        """First asked whether there is anything, for most often nothing is written."""
        with reading(self.engine) as db:
            pages = [page for page in (_flood(db, most), _waiting(db, before)) if page.count]
        return tuple(page for page in pages if self._taken(page.kind))

    def paged(self, page: Page) -> None:
        """Those are told."""
        told = PAGE.update().where(PAGE.c.kind == page.kind)
        with adding(self.engine) as db:
            db.execute(told.values(untold=PAGE.c.untold - page.told))

    def _taken(self, kind: PageKind) -> bool:
        """Whether nobody has taken it within the hour; one statement, so that one process has it.
        What was taken long after now was so by a clock that was ahead.

        It is never taken before 1970, which is when a row that is made here was.
        """
        now = self.clock.now()
        around = PAGE.c.at.between(
            stored_time(now - AGAIN_AFTER) + 1, stored_time(now + AGAIN_AFTER)
        )
        free = PAGE.c.kind == kind, sa.not_(around)
        with adding(self.engine) as db:
            made = insert_or(db, PAGE).values(kind=kind)
            db.execute(made.on_conflict_do_nothing(index_elements=["kind"]))
            taken = PAGE.update().where(*free).values(at=stored_time(now))
            return db.execute(taken).rowcount > 0


def _flood(db: sa.Connection, most: int) -> Page:
    """Floods that wait, unless somebody was told of all there were."""
    untold = db.execute(sa.select(PAGE.c.untold).where(PAGE.c.kind == PageKind.FLOOD)).scalar()
    if not untold:
        return Page(PageKind.FLOOD, 0)
    with_lead = sa.select(UPLOAD.c.lead).where(WAITS, UPLOAD.c.lead.is_not(None))
    large = with_lead.group_by(UPLOAD.c.lead).having(sa.func.count() + 1 > most).subquery()
    waiting = db.execute(sa.select(sa.func.count()).select_from(large)).scalar_one()
    return Page(PageKind.FLOOD, waiting, told=untold)


def _waiting(db: sa.Connection, before: datetime) -> Page:
    """Counted in an index."""
    late = sa.select(sa.func.count()).select_from(UPLOAD)
    late = late.where(*SINGLE, stored_time(before) > _SINCE)
    return Page(PageKind.WAITING, db.execute(late).scalar_one())
