"""ReviewQueue on SQLite or PostgreSQL."""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from entrenous.adapters.bank import sql_claims as claims
from entrenous.adapters.bank import sql_late as late
from entrenous.adapters.bank import sql_uploads as uploads
from entrenous.adapters.bank.engine import adding, inserting, reading, scrub, writing
from entrenous.adapters.bank.flood import UNREAD_BYTES_MAX, decided_with, is_unread
from entrenous.adapters.bank.prepared import PreparedInsert
from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.bank.sql_desk import SqlReviewDesk
from entrenous.adapters.bank.sql_log import tell
from entrenous.adapters.bank.tables import stored_time
from entrenous.adapters.bank.together import Row, Together
from entrenous.adapters.bank.told import FITS_MORE_TOLD, LATE_TOLD, review_told, unkept_told
from entrenous.adapters.bank.upload_tables import (
    ACCEPTED,
    RELEASED_KEPT,
    SINGLE,
    TO_REMOVE,
    UPLOAD,
    WAITS,
)
from entrenous.model.review import (
    LISTED_FOR,
    AlreadyAppealed,
    AlreadyDecided,
    Appeal,
    Found,
    KeptClip,
    KeptPicture,
    KeptSound,
    LateFind,
    NoSuchReview,
    NotThatUpload,
    Review,
    ReviewState,
    UploadNotKept,
)
from entrenous.model.reviewer import OPERATOR
from entrenous.ports import BankStore

_INSERT: Final = PreparedInsert(UPLOAD, [*uploads.WRITTEN, "untrusted_upload"])


@dataclass(frozen=True, slots=True)
class SqlReviewQueue(SqlReviewDesk):
    """Uploads in the tables of ``engine`` (see :func:`open_engine`)."""

    unread_bytes_max: int = UNREAD_BYTES_MAX
    _together: Together = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_together", Together(self._insert))

    def record(self, review: Review, untrusted_upload: bytes | None) -> None:
        """Insert: SQLite has one writer at a time, so there those that wait are written at once. A
        clip comes with what it is looked back at by, or not at all.
        """
        kept = self._kept(review.case, untrusted_upload)
        row = uploads.from_review(review) | {"untrusted_upload": kept}
        if review.frames or review.sound:
            with adding(self.engine) as db:
                _INSERT.run(db, [row])
                late.keep_clip(db, review)
        elif self.engine.dialect.name == "sqlite":
            self._together.add(row)
        else:
            self._insert([row])

    def _insert(self, rows: Sequence[Row]) -> None:
        with inserting(self.engine) as db:
            _INSERT.run(db, rows)

    def keep(self, case: str, untrusted_upload: bytes, held_per_hash: int) -> None:
        """Gather first, in one transaction, so that two uploads do not both become the first."""
        kept = self._kept(case, untrusted_upload)  # sealed before others have to wait
        with writing(self.engine) as db:
            review = uploads.review_of(db, case)
            if review.state is not ReviewState.WAITING:
                return
            lead = uploads.gather(db, self.clock, review, held_per_hash)
            size = len(untrusted_upload)
            if lead is not None and not uploads.has_room(db, lead, review, held_per_hash):
                return
            if self._has_room(db, review, lead, size):
                uploads.change(db, case, untrusted_upload=kept)
            else:
                tell(db, self.clock, unkept_told(case, size))

    def next(self, after: str = "", but_confirmed_by: str = "") -> Review | None:
        """The lowest number that waits and that no other stands for."""
        wanted = sa.select(UPLOAD.c.case_number).where(*SINGLE)
        if but_confirmed_by:
            wanted = wanted.where(UPLOAD.c.first_confirmer.is_distinct_from(but_confirmed_by))
        if after:
            wanted = wanted.where(uploads.is_after(after))
        with reading(self.engine) as db:
            case = db.execute(wanted.order_by(UPLOAD.c.number).limit(1)).scalar()
            return None if case is None else uploads.counted(db, case)

    def review(self, case: str) -> Review:
        """By case number."""
        with reading(self.engine) as db:
            return uploads.counted(db, case)

    def upload(self, case: str) -> bytes:
        """Its bytes, while it waits."""
        wanted = sa.select(UPLOAD.c.untrusted_upload).where(UPLOAD.c.case_number == case)
        wanted = wanted.where(WAITS)
        with reading(self.engine) as db:
            data = db.execute(wanted).scalar()
            if data is None:
                uploads.review_of(db, case)
                raise UploadNotKept(case=case)
        return self.held.opened(case, bytes(data))

    def close(
        self,
        case: str,
        state: ReviewState,
        also: Callable[[Review, BankStore], None],
        by: str = OPERATOR,
        *,
        keeps: bool = False,
    ) -> Review:
        """Decide and forget, in one transaction, so that two reviewers cannot both do it."""
        with writing(self.engine) as db:
            review = uploads.counted(db, case)
            if review.state is not ReviewState.WAITING:
                raise AlreadyDecided(case=case, state=review.state)
            alike = decided_with(review, uploads.waiting_with(db, case), state)
            review = uploads.named(review, alike)
            keeps = keeps and state is ReviewState.RELEASED
            until = self.clock.now() + LISTED_FOR
            uploads.forget(db, (case, *review.also), state, until, keeps=keeps)
            uploads.lead_again(db, case)
            tell(db, self.clock, review_told(review, state, by))
            also(review, SqlBankStore(db, self.clock))
        scrub(self.engine)
        return review

    def waiting(self) -> int:
        """Counted."""
        wanted = sa.select(sa.func.count()).select_from(UPLOAD).where(*SINGLE)
        with reading(self.engine) as db:
            return db.execute(wanted).scalar_one()

    def kept_pictures(self, after: int, limit: int) -> tuple[KeptPicture, ...]:
        """A page, by number."""
        with reading(self.engine) as db:
            return late.kept_pictures(db, after, limit)

    def kept_clips(self, after: int, limit: int) -> tuple[KeptClip, ...]:
        """A page, by number."""
        with reading(self.engine) as db:
            return late.kept_clips(db, after, limit)

    def kept_sounds(self, after: int, limit: int) -> tuple[KeptSound, ...]:
        """A page, by number."""
        with reading(self.engine) as db:
            return late.kept_sounds(db, after, limit)

    def hold_late(self, find: LateFind, held_per_hash: int) -> bool:
        """It waits now, or waited already."""
        with writing(self.engine) as db:
            asked = claims.matching(db, [one.claim for one in find.matches])
            left = [one for one in find.matches if one.claim in asked]
            if not left or not late.hold_late(db, self.clock, find, left):
                if late.fits_more(db, find, left):
                    tell(db, self.clock, (FITS_MORE_TOLD, find.case, {}))
                return False
            review = uploads.review_of(db, find.case)
            lead = uploads.gather(db, self.clock, review, held_per_hash)
            if lead is not None and not uploads.has_room(db, lead, review, held_per_hash):
                late.drop_bytes(db, review)
            tell(db, self.clock, (LATE_TOLD[find.found], find.case, {}))
            return True

    def published(self, after: str, limit: int) -> tuple[Review, ...]:
        """A page."""
        with reading(self.engine) as db:
            return late.published(db, after, limit)

    def forget_accepted(self, before: datetime) -> int:
        """By time."""
        old = UPLOAD.update().where(UPLOAD.c.at < stored_time(before))
        old = old.values(bits=None, upload_sha256=None, reference="")
        with writing(self.engine) as db:
            clips = late.forget_clips(db, before)
            pictures = (db.execute(old.where(*those)) for those in (ACCEPTED, RELEASED_KEPT))
            return clips + sum(gone.rowcount for gone in pictures)

    def forget_removed(self, now: datetime) -> int:
        """By time."""
        over = UPLOAD.update().where(TO_REMOVE, UPLOAD.c.listed_until <= stored_time(now))
        with writing(self.engine) as db:
            return db.execute(over.values(listed_until=None, reference="")).rowcount

    def may_appeal(self, case: str, secret_sha256: bytes) -> bool:
        """One row by an index, and no lock."""
        wanted = sa.select(UPLOAD.c.secret_sha256).where(UPLOAD.c.case_number == case)
        with reading(self.engine) as db:
            known = db.execute(wanted).scalar()
        return known is not None and hmac.compare_digest(bytes(known), secret_sha256)

    def appeal(self, appeal: Appeal, untrusted_upload: bytes | None) -> None:
        """Once; sealed before anybody waits for the database."""
        brought = untrusted_upload if self.has_disk() else None
        kept = self._kept(appeal.case, brought)
        with writing(self.engine) as db:
            review, appealed = uploads.with_appeal(db, appeal.case)
            if not hmac.compare_digest(review.secret_sha256 or b"", appeal.secret_sha256):
                raise NoSuchReview(case=appeal.case)
            if appealed:
                raise AlreadyAppealed(case=appeal.case)
            if review.was_refused:
                if appeal.upload_sha256 not in (None, review.upload_sha256):
                    raise NotThatUpload(case=appeal.case)
                waits = {"state": ReviewState.WAITING, "found": Found.APPEAL, "lead": None}
                uploads.change(
                    db, appeal.case, **waits, at=stored_time(appeal.at), waits_since=None,
                    untrusted_upload=kept, listed_until=None,
                )  # fmt: skip
                if untrusted_upload is not None and brought is None:
                    tell(db, self.clock, unkept_told(appeal.case, len(untrusted_upload)))
            uploads.change(db, appeal.case, appealed_at=stored_time(appeal.at))
            tell(db, self.clock, ("case appealed", appeal.case, {}))

    def _kept(self, case: str, untrusted_upload: bytes | None) -> bytes | None:
        return None if untrusted_upload is None else self.held.stored(case, untrusted_upload)

    def _has_room(self, db: sa.Connection, review: Review, lead: str | None, size: int) -> bool:
        """For the bytes of one more upload: on the disk, and among those that cannot be read."""
        if not self.has_disk():
            return False
        unread = lead is None and is_unread(review)
        return not unread or uploads.unread_bytes(db) + size <= self.unread_bytes_max
