"""The review queue on SQLite or PostgreSQL: judged uploads, reviewers, and sent alerts."""

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from entrenous.stop.nouns import ALERT_INTERVAL, Alert, AlertKind
from entrenous.stop.review import UNDECODABLE_BYTES_MAX, find_decided_together, was_undecodable
from entrenous.stop.store import retroactive_quarantine, uploads
from entrenous.stop.store.audit_events import (
    MORE_CLAIMS_MATCH_EVENT,
    RETROACTIVE_QUARANTINE_EVENTS,
    append_events,
    bytes_not_stored_event,
    first_confirmation_event,
    review_event,
    reviewer_event,
)
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.due_work import DueWorkStore
from entrenous.stop.store.engine import (
    concurrent_write,
    exclusive_write,
    insert_on_conflict_statement,
    overwrite_deleted_data,
    single_insert,
    single_read,
    snapshot_read,
)
from entrenous.stop.store.prepared_statements import BatchInserter, PreparedInsert, RowValues
from entrenous.stop.store.registrations import matching_claims
from entrenous.stop.store.schema import (
    ALERT_TABLE,
    IS_TO_BE_REMOVED,
    IS_WAITING,
    LET_THROUGH_WITH_HASH_CONDITIONS,
    QUEUE_ITEM_CONDITIONS,
    RELEASED_WITH_HASH_CONDITIONS,
    REVIEWER_TABLE,
    UPLOAD_TABLE,
    WAITS_SINCE,
    read_time,
    stored_time,
)
from entrenous.stop.upload_record import (
    OPERATOR_NAME,
    PUBLISHED_LISTING_PERIOD,
    AlreadyAppealed,
    AlreadyDecided,
    Appeal,
    BadReviewerName,
    FoundBy,
    NoSuchReview,
    NoSuchReviewer,
    RetroactiveMatches,
    Review,
    Reviewer,
    ReviewerKnown,
    ReviewState,
    SecondPersonNeeded,
    StoredClipHashes,
    StoredPictureHash,
    StoredSoundPrint,
    UploadFileDiffers,
    UploadNotKept,
    is_reviewer_name,
)


@dataclass(frozen=True, slots=True)
class ReviewerStore(DueWorkStore):
    """Stores reviewers, first confirmations and sent alerts in the tables of ``engine``."""

    def add_reviewer(self, name: str, token_sha256: bytes) -> None:
        """Add a reviewer, with the hash of their token.

        Raises BadReviewerName, ReviewerKnown.
        """
        if not is_reviewer_name(name):
            raise BadReviewerName
        values = {"name": name, "token_sha256": token_sha256}
        at = stored_time(self.clock.now())
        with exclusive_write(self.engine) as db:
            known = sa.select(REVIEWER_TABLE.c.name).where(REVIEWER_TABLE.c.name == name)
            if db.execute(known).first() is not None:
                raise ReviewerKnown(name=name)
            db.execute(REVIEWER_TABLE.insert().values(**values, added_at=at))
            append_events(db, self.clock, reviewer_event("added", name))

    def remove_reviewer(self, name: str) -> None:
        """Remove a reviewer and their first confirmations of undecided cases.

        Raises NoSuchReviewer.
        """
        theirs = UPLOAD_TABLE.update().where(IS_WAITING, UPLOAD_TABLE.c.first_confirmer == name)
        with exclusive_write(self.engine) as db:
            if (
                db.execute(REVIEWER_TABLE.delete().where(REVIEWER_TABLE.c.name == name)).rowcount
                == 0
            ):
                raise NoSuchReviewer(name=name)
            db.execute(theirs.values(first_confirmer=None))
            append_events(db, self.clock, reviewer_event("removed", name))

    def reviewers(self) -> tuple[Reviewer, ...]:
        """Return all reviewers, by name."""
        with snapshot_read(self.engine) as db:
            rows = db.execute(sa.select(REVIEWER_TABLE).order_by(REVIEWER_TABLE.c.name))
            return tuple(Reviewer(row.name, read_time(row.added_at)) for row in rows)

    def reviewer_with_token_hash(self, token_sha256: bytes) -> Reviewer | None:
        """Return the reviewer whose token has this hash, or None."""
        query = sa.select(REVIEWER_TABLE).where(REVIEWER_TABLE.c.token_sha256 == token_sha256)
        with single_read(self.engine) as db:
            row = db.execute(query).one_or_none()
        return None if row is None else Reviewer(row.name, read_time(row.added_at))

    def record_first_confirmation(
        self, case: str, by: str, check: Callable[[Review], None] = lambda _: None
    ) -> bool:
        """Record the first of two confirmations of a waiting upload.

        ``check`` is called with the review in the same transaction, so no match is added to the
        case between the check and the confirmation.

        Returns False if another person has confirmed it already: the case may then be closed.

        Raises NoSuchReview, AlreadyDecided; SecondPersonNeeded if ``by`` confirmed it already; and
        what ``check`` raises.
        """
        with exclusive_write(self.engine) as db:
            review = uploads.get_review(db, case)
            if review.state is not ReviewState.WAITING:
                raise AlreadyDecided(case=case, state=review.state)
            check(review)
            if review.first_confirmer == by:
                raise SecondPersonNeeded(case=case, reviewer=by)
            if review.first_confirmer:
                return False
            uploads.update_upload(db, case, first_confirmer=by)
            append_events(db, self.clock, first_confirmation_event(case, by))
            return True

    def take_due_alerts(self, before: datetime, most: int) -> tuple[Alert, ...]:
        """Return the alerts to send now, each kind at most once an hour across all callers.

        They are about items that have waited since ``before``, and about waiting floods of more
        than ``most`` uploads that no alert has reported.

        Whether an alert is due is read first, since usually there is nothing to write.
        """
        with snapshot_read(self.engine) as db:
            alerts = [
                alert
                for alert in (_flood_alert(db, most), _waiting_alert(db, before))
                if alert.count
            ]
        return tuple(alert for alert in alerts if self._reserve_alert(alert.kind))

    def record_alert_sent(self, alert: Alert) -> None:
        """Record that this alert was sent."""
        update = ALERT_TABLE.update().where(ALERT_TABLE.c.kind == alert.kind)
        with concurrent_write(self.engine) as db:
            db.execute(update.values(untold=ALERT_TABLE.c.untold - alert.reported_floods))

    def _reserve_alert(self, kind: AlertKind) -> bool:
        """Return whether this process may send the alert: none was sent within the hour.

        A single statement ensures that only one process succeeds. A time far in the future comes
        from a wrong clock and does not count. A new row is dated 1970, so it counts as old.
        """
        now = self.clock.now()
        around = ALERT_TABLE.c.at.between(
            stored_time(now - ALERT_INTERVAL) + 1, stored_time(now + ALERT_INTERVAL)
        )
        free = ALERT_TABLE.c.kind == kind, sa.not_(around)
        with concurrent_write(self.engine) as db:
            made = insert_on_conflict_statement(db, ALERT_TABLE).values(kind=kind)
            db.execute(made.on_conflict_do_nothing(index_elements=["kind"]))
            taken = ALERT_TABLE.update().where(*free).values(at=stored_time(now))
            return db.execute(taken).rowcount > 0


def _flood_alert(db: sa.Connection, most: int) -> Alert:
    """Return the alert about waiting floods; its count is 0 if all of them were reported."""
    untold = db.execute(
        sa.select(ALERT_TABLE.c.untold).where(ALERT_TABLE.c.kind == AlertKind.FLOOD)
    ).scalar()
    if not untold:
        return Alert(AlertKind.FLOOD, 0)
    with_lead = sa.select(UPLOAD_TABLE.c.lead).where(IS_WAITING, UPLOAD_TABLE.c.lead.is_not(None))
    large = with_lead.group_by(UPLOAD_TABLE.c.lead).having(sa.func.count() + 1 > most).subquery()
    waiting = db.execute(sa.select(sa.func.count()).select_from(large)).scalar_one()
    return Alert(AlertKind.FLOOD, waiting, reported_floods=untold)


def _waiting_alert(db: sa.Connection, before: datetime) -> Alert:
    """Return the alert about items that have waited since ``before``."""
    late = sa.select(sa.func.count()).select_from(UPLOAD_TABLE)
    late = late.where(*QUEUE_ITEM_CONDITIONS, stored_time(before) > WAITS_SINCE)
    return Alert(AlertKind.WAITING, db.execute(late).scalar_one())


_INSERT_UPLOAD: Final = PreparedInsert(
    UPLOAD_TABLE, [*uploads.INSERTED_COLUMN_NAMES, "untrusted_upload"]
)


@dataclass(frozen=True, slots=True)
class ReviewQueue(ReviewerStore):
    """Stores judged uploads and their reviews in the tables of ``engine`` (see
    :func:`open_engine`).
    """

    undecodable_bytes_max: int = UNDECODABLE_BYTES_MAX
    _batch: BatchInserter = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_batch", BatchInserter(self._insert))

    def record_upload(self, review: Review, untrusted_upload: bytes | None) -> None:
        """Store a judged upload in one row, whatever the decision; durable on return.

        The bytes of a held upload are stored in the row, or later by :meth:`store_review_bytes`.

        In SQLite, which has one writer at a time, the row is inserted together with the rows of
        other waiting threads. A clip and its fingerprint are inserted in one transaction.
        """
        kept = self._encrypt_upload(review.case, untrusted_upload)
        row = uploads.row_from_review(review) | {"untrusted_upload": kept}
        if review.frames or review.sound:
            with concurrent_write(self.engine) as db:
                _INSERT_UPLOAD.run(db, [row])
                uploads.add_clip_prints(db, review)
        elif self.engine.dialect.name == "sqlite":
            self._batch.add(row)
        else:
            self._insert([row])

    def _insert(self, rows: Sequence[RowValues]) -> None:
        with single_insert(self.engine) as db:
            _INSERT_UPLOAD.run(db, rows)

    def store_review_bytes(self, case: str, untrusted_upload: bytes, held_per_hash: int) -> None:
        """Keep a waiting upload's bytes for the reviewer; do nothing if it does not wait.

        When more than ``held_per_hash`` uploads within an hour wait for the same registered hash,
        they become one item, and the bytes of some are kept (docs/spec/gate.md section 5, 5.1).

        The upload first joins such a flood, in the same transaction, so that the flood gets only
        one lead (the upload that represents it).
        """
        kept = self._encrypt_upload(case, untrusted_upload)  # encrypt before blocking others
        with exclusive_write(self.engine) as db:
            review = uploads.get_review(db, case)
            if review.state is not ReviewState.WAITING:
                return
            lead = uploads.join_flood(db, self.clock, review, held_per_hash)
            size = len(untrusted_upload)
            if lead is not None and not uploads.should_store_bytes_in_flood(
                db, lead, review, held_per_hash
            ):
                return
            if self._has_room(db, review, lead, size):
                uploads.update_upload(db, case, untrusted_upload=kept)
            else:
                append_events(db, self.clock, bytes_not_stored_event(case, size))

    def next_waiting_upload(self, after: str = "", except_confirmed_by: str = "") -> Review | None:
        """Return the first waiting upload by arrival after that case, or None.

        If there is no such case, start with the first upload. Of uploads that wait as one item, the
        first counts. Cases whose first confirmation is by ``except_confirmed_by`` are skipped.
        """
        query = sa.select(UPLOAD_TABLE.c.case_number).where(*QUEUE_ITEM_CONDITIONS)
        if except_confirmed_by:
            query = query.where(
                UPLOAD_TABLE.c.first_confirmer.is_distinct_from(except_confirmed_by)
            )
        if after:
            query = query.where(uploads.is_newer_than_case(after))
        with snapshot_read(self.engine) as db:
            case = db.execute(query.order_by(UPLOAD_TABLE.c.number).limit(1)).scalar()
            return None if case is None else uploads.review_with_gathered_count(db, case)

    def review(self, case: str) -> Review:
        """Return the upload of that case, even if it was decided; raises NoSuchReview."""
        with snapshot_read(self.engine) as db:
            return uploads.review_with_gathered_count(db, case)

    def upload_bytes(self, case: str) -> bytes:
        """Return the bytes of a held upload (untrusted).

        Raises NoSuchReview; UploadNotKept if the upload is decided, or if no bytes were kept.
        """
        query = sa.select(UPLOAD_TABLE.c.untrusted_upload).where(UPLOAD_TABLE.c.case_number == case)
        query = query.where(IS_WAITING)
        with snapshot_read(self.engine) as db:
            data = db.execute(query).scalar()
            if data is None:
                uploads.get_review(db, case)
                raise UploadNotKept(case=case)
        return self.cipher.decrypt(case, bytes(data))

    def decide_case(  # noqa: PLR0913 - all but three have a default
        self,
        case: str,
        state: ReviewState,
        apply_decision: Callable[[Review, BankStore], None],
        by: str = OPERATOR_NAME,
        *,
        keeps: bool = False,
        similar: bool = True,
    ) -> Review:
        """Decide a waiting upload once and delete its bytes; return the review as it was before.

        Uploads of the same item that are similar enough (without ``similar``: copies of the file)
        are decided too, and are named in the result; the others stay one item. ``apply_decision``
        changes the bank in the same transaction, so that both changes take effect or neither. The
        log says who decided (``by``). With ``keeps``, the data that look-backs (searches of stored
        uploads for newer claims) need is kept for a released upload until
        :meth:`delete_accepted_data`; otherwise it is deleted.

        Raises NoSuchReview, AlreadyDecided, and what ``apply_decision`` raises.

        All this is one transaction, so that two reviewers cannot both decide.
        """
        with exclusive_write(self.engine) as db:
            review = uploads.review_with_gathered_count(db, case)
            if review.state is not ReviewState.WAITING:
                raise AlreadyDecided(case=case, state=review.state)
            represented = uploads.waiting_uploads_represented_by(db, case)
            alike = find_decided_together(review, represented, state, similar=similar)
            review = uploads.with_cases_decided_together(review, alike)
            keeps = keeps and state is ReviewState.RELEASED
            until = self.clock.now() + PUBLISHED_LISTING_PERIOD
            uploads.record_decision_and_delete_data(
                db, (case, *review.also), state, until, keeps=keeps
            )
            uploads.choose_new_lead(db, case)
            append_events(db, self.clock, review_event(review, state, by))
            apply_decision(review, BankStore(db, self.clock))
        overwrite_deleted_data(self.engine)
        return review

    def count_waiting_items(self) -> int:
        """Count the waiting items."""
        query = sa.select(sa.func.count()).select_from(UPLOAD_TABLE).where(*QUEUE_ITEM_CONDITIONS)
        with snapshot_read(self.engine) as db:
            return db.execute(query).scalar_one()

    def stored_picture_hashes(self, after: int, limit: int) -> tuple[StoredPictureHash, ...]:
        """Return, by number, waiting and accepted uploads whose hash is kept.

        Uploads that a person released are included.
        """
        with snapshot_read(self.engine) as db:
            return uploads.stored_picture_hashes(db, after, limit)

    def stored_clip_hashes(self, after: int, limit: int) -> tuple[StoredClipHashes, ...]:
        """Return, by number, accepted, waiting and released clips whose frame hashes are kept."""
        with snapshot_read(self.engine) as db:
            return uploads.stored_clip_hashes(db, after, limit)

    def stored_sound_prints(self, after: int, limit: int) -> tuple[StoredSoundPrint, ...]:
        """Return, by number, the accepted, waiting and released clips and sounds whose sound
        fingerprint is kept.
        """
        with snapshot_read(self.engine) as db:
            return uploads.stored_sound_prints(db, after, limit)

    def hold_retroactively(
        self, retroactive_matches: RetroactiveMatches, held_per_hash: int
    ) -> bool:
        """Put an accepted or released upload into the review queue retroactively.

        For an upload that waits already, the new claims are added, so that it still waits if the
        first claim is withdrawn. Many uploads of one registered hash become one item. After a
        deferred scan the upload's bytes stay for the reviewer, under the limits of
        :meth:`store_review_bytes`.

        Returns:
            False if the upload waits already, is no longer stored, or none of these claims matches
            any more.
        """
        with exclusive_write(self.engine) as db:
            matching = matching_claims(db, [one.claim for one in retroactive_matches.matches])
            left = [one for one in retroactive_matches.matches if one.claim in matching]
            if not left or not retroactive_quarantine.quarantine_retroactively(
                db, self.clock, retroactive_matches, left
            ):
                if retroactive_quarantine.add_matches(db, retroactive_matches, left):
                    append_events(
                        db, self.clock, (MORE_CLAIMS_MATCH_EVENT, retroactive_matches.case, {})
                    )
                return False
            review = uploads.get_review(db, retroactive_matches.case)
            lead = uploads.join_flood(db, self.clock, review, held_per_hash)
            if lead is not None and not uploads.should_store_bytes_in_flood(
                db, lead, review, held_per_hash
            ):
                retroactive_quarantine.drop_bytes_if_found_by_scan(db, review)
            event = RETROACTIVE_QUARANTINE_EVENTS[retroactive_matches.found]
            append_events(db, self.clock, (event, retroactive_matches.case, {}))
            return True

    def published_to_review_or_remove(self, after: str, limit: int) -> tuple[Review, ...]:
        """Return published uploads that wait for review, or that have to be removed.

        They are ordered by arrival after that case, or from the first if there is no such case.
        """
        with snapshot_read(self.engine) as db:
            return retroactive_quarantine.published_to_review_or_remove(db, after, limit)

    def delete_accepted_data(self, before: datetime) -> int:
        """Delete the hashes, frames, sounds and references of uploads accepted earlier than
        ``before``.

        Uploads that a person released are included. Returns the number of uploads.
        """
        old = UPLOAD_TABLE.update().where(UPLOAD_TABLE.c.at < stored_time(before))
        old = old.values(bits=None, upload_sha256=None, reference="")
        with exclusive_write(self.engine) as db:
            clips = uploads.delete_clip_fingerprints(db, before)
            pictures = (
                db.execute(old.where(*those))
                for those in (LET_THROUGH_WITH_HASH_CONDITIONS, RELEASED_WITH_HASH_CONDITIONS)
            )
            return clips + sum(gone.rowcount for gone in pictures)

    def delist_removed_uploads(self, now: datetime) -> int:
        """Delist uploads confirmed :data:`PUBLISHED_LISTING_PERIOD` ago and delete their
        references.

        Returns how many.
        """
        over = UPLOAD_TABLE.update().where(
            IS_TO_BE_REMOVED, UPLOAD_TABLE.c.listed_until <= stored_time(now)
        )
        with exclusive_write(self.engine) as db:
            return db.execute(over.values(listed_until=None, reference="")).rowcount

    def is_appeal_secret(self, case: str, secret_sha256: bytes) -> bool:
        """Return whether this is the hash of that case's secret.

        This only reads; hashes are compared in constant time.
        """
        query = sa.select(UPLOAD_TABLE.c.secret_sha256).where(UPLOAD_TABLE.c.case_number == case)
        with snapshot_read(self.engine) as db:
            known = db.execute(query).scalar()
        return known is not None and hmac.compare_digest(bytes(known), secret_sha256)

    def record_appeal(self, appeal: Appeal, untrusted_upload: bytes | None) -> None:
        """Put a refused upload into the review queue, once; for others, only record the appeal.

        Raises NoSuchReview (also for a wrong secret), AlreadyAppealed, UploadFileDiffers.

        The bytes are encrypted before the transaction, since the transaction blocks others.
        """
        brought = untrusted_upload if self.has_disk_space() else None
        kept = self._encrypt_upload(appeal.case, brought)
        with exclusive_write(self.engine) as db:
            review, appealed = uploads.get_review_and_appealed(db, appeal.case)
            if not hmac.compare_digest(review.secret_sha256 or b"", appeal.secret_sha256):
                raise NoSuchReview(case=appeal.case)
            if appealed:
                raise AlreadyAppealed(case=appeal.case)
            if review.was_refused:
                if appeal.upload_sha256 not in (None, review.upload_sha256):
                    raise UploadFileDiffers(case=appeal.case)
                waits = {"state": ReviewState.WAITING, "found": FoundBy.APPEAL, "lead": None}
                uploads.update_upload(
                    db, appeal.case, **waits, at=stored_time(appeal.at), waits_since=None,
                    untrusted_upload=kept, listed_until=None,
                )  # fmt: skip
                if untrusted_upload is not None and brought is None:
                    append_events(
                        db, self.clock, bytes_not_stored_event(appeal.case, len(untrusted_upload))
                    )
            uploads.update_upload(db, appeal.case, appealed_at=stored_time(appeal.at))
            append_events(db, self.clock, ("case appealed", appeal.case, {}))

    def _encrypt_upload(self, case: str, untrusted_upload: bytes | None) -> bytes | None:
        return None if untrusted_upload is None else self.cipher.encrypt(case, untrusted_upload)

    def _has_room(self, db: sa.Connection, review: Review, lead: str | None, size: int) -> bool:
        """Return whether there is room for the bytes of one more upload.

        The disk has to have room, and unreadable uploads together have a limit.
        """
        if not self.has_disk_space():
            return False
        unread = lead is None and was_undecodable(review)
        return (
            not unread or uploads.count_undecodable_bytes(db) + size <= self.undecodable_bytes_max
        )
