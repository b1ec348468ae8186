"""Tests of ReviewQueue: waiting uploads, decisions, look-backs, expiry and appeals."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.fingerprint.nouns import Match, SoundPrint
from entrenous.stop.nouns import Bank, BankUnreachable
from entrenous.stop.registration import ClaimEvent, Registration
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine
from entrenous.stop.store.review_queue import ReviewQueue
from entrenous.stop.upload_record import (
    AlreadyAppealed,
    AlreadyDecided,
    Appeal,
    Decision,
    FoundBy,
    NoSuchReview,
    Outcome,
    RetroactiveMatches,
    Review,
    ReviewState,
    UploadFileDiffers,
    UploadNotKept,
)
from tests.stop.store.bank_stores import Stores, claim, no_effect

pytestmark = pytest.mark.slow

UPLOAD_TIME = datetime(2026, 11, 25, 12, 0, 0, 7, tzinfo=UTC)
MATCHES = (
    Match(BankName("people"), ClaimId("a"), 4, "mirror, border removed"),
    Match(BankName("people"), ClaimId("b"), 12, "cut-out", part=True),
)


def waiting_review(case: str) -> Review:
    return Review(
        Decision(Outcome.HOLD, case, MATCHES), UPLOAD_TIME, ReviewState.WAITING, b"\x09" * 32
    )


def test_oldest_upload_is_reviewed_first(queue: ReviewQueue) -> None:
    for case in ("b", "a"):
        queue.record_upload(waiting_review(case), case.encode())
    queue.record_upload(
        Review(Decision(Outcome.LET_THROUGH, "c"), UPLOAD_TIME, ReviewState.CLOSED), None
    )
    assert queue.count_waiting_items() == 2
    assert queue.next_waiting_upload() == waiting_review("b")
    assert queue.upload_bytes("b") == b"b"
    assert queue.decide_case("b", ReviewState.RELEASED, no_effect) == waiting_review("b")
    assert queue.next_waiting_upload() == waiting_review("a")
    queue.decide_case("a", ReviewState.CONFIRMED, no_effect)
    assert (queue.next_waiting_upload(), queue.count_waiting_items()) == (None, 0)


def test_next_waiting_upload_is_the_one_after_a_given_case(queue: ReviewQueue) -> None:
    """The given case may have been decided in the meantime."""
    for case in "cab":
        queue.record_upload(waiting_review(case), None)
    assert (
        queue.next_waiting_upload("c"),
        queue.next_waiting_upload("a"),
        queue.next_waiting_upload("b"),
    ) == (waiting_review("a"), waiting_review("b"), None)
    assert queue.next_waiting_upload("none") == queue.next_waiting_upload("") == waiting_review("c")
    queue.decide_case("a", ReviewState.RELEASED, no_effect)
    assert queue.next_waiting_upload("c") == queue.next_waiting_upload("a") == waiting_review("b")


def test_decided_upload_is_deleted_and_not_decided_again(queue: ReviewQueue) -> None:
    queue.record_upload(waiting_review("a"), b"bytes of the upload")
    queue.decide_case("a", ReviewState.CONFIRMED, no_effect)
    closed = queue.review("a")
    assert (closed.state, closed.bits, closed.decision) == (
        ReviewState.CONFIRMED,
        None,
        waiting_review("a").decision,
    )
    with pytest.raises(UploadNotKept, match="after the decision"):
        queue.upload_bytes("a")
    with pytest.raises(AlreadyDecided, match="confirmed"):
        queue.decide_case("a", ReviewState.RELEASED, no_effect)
    assert queue.review("a").state is ReviewState.CONFIRMED


def test_released_upload_keeps_its_hash_on_request(stores_with_claims: Stores) -> None:
    """The queue keeps hashes of pictures and clips, but none of unreadable or refused uploads."""
    bank, queue = stores_with_claims.bank, stores_with_claims.reviews
    picture = replace(waiting_review("p"), reference="post p", upload_sha256=FILE_SHA256)
    clip = replace(
        accepted_review("c", b""), bits=None, upload_sha256=FILE_SHA256, frames=(b"\x09" * 32,)
    )
    undecodable = Review(
        Decision(Outcome.HOLD, "u"), UPLOAD_TIME, ReviewState.WAITING, upload_sha256=FILE_SHA256
    )
    refused_later = replace(waiting_review("r"), reference="post r")
    for one in (picture, clip, undecodable, refused_later):
        queue.record_upload(one, b"bytes" if one.state is ReviewState.WAITING else None)
    assert queue.hold_retroactively(RetroactiveMatches("c", MATCHES[:1], 1), 20)
    for case in "pcu":
        queue.decide_case(case, ReviewState.RELEASED, no_effect, keeps=True)
    queue.decide_case("r", ReviewState.CONFIRMED, no_effect, keeps=True)
    assert [one.case for one in queue.stored_picture_hashes(0, 9)] == ["p"]
    assert [one.case for one in queue.stored_clip_hashes(0, 9)] == ["c"]
    left = {case: queue.review(case) for case in "pcur"}
    assert {case: one.reference for case, one in left.items()} == {
        "p": "post p",
        "c": "post c",
        "u": "",
        "r": "",
    }
    assert (left["u"].upload_sha256, left["r"].bits, left["p"].has_bytes) == (None, None, False)
    assert queue.hold_retroactively(RetroactiveMatches("p", MATCHES[1:], 2), 20)
    assert queue.hold_retroactively(RetroactiveMatches("c", MATCHES[1:], 2), 20)
    assert not queue.hold_retroactively(RetroactiveMatches("u", MATCHES[1:], 2), 20)
    assert not queue.hold_retroactively(RetroactiveMatches("r", MATCHES[1:], 2), 20)
    assert [one.case for one in queue.published_to_review_or_remove("", 9)] == ["p", "c"]
    assert queue.review("p").decision.matches == MATCHES[1:]
    queue.decide_case("c", ReviewState.RELEASED, no_effect, keeps=True)
    bank.withdraw(MATCHES[1].claim)
    assert queue.review("p").state is ReviewState.CLOSED
    assert queue.delete_accepted_data(UPLOAD_TIME + timedelta(days=1)) == 2
    assert (queue.stored_picture_hashes(0, 9), queue.stored_clip_hashes(0, 9)) == ((), ())
    assert (queue.review("c").reference, queue.review("c").upload_sha256) == ("", None)


def test_only_a_confirmed_upload_keeps_its_sha256_for_an_appeal(queue: ReviewQueue) -> None:
    known = {ReviewState.CONFIRMED: FILE_SHA256, ReviewState.RELEASED: None}
    for state, kept_sha256 in known.items():
        queue.record_upload(replace(waiting_review(state), upload_sha256=FILE_SHA256), None)
        queue.decide_case(state, state, no_effect)
        assert queue.review(state).upload_sha256 == kept_sha256


def test_sqlite_file_keeps_no_decided_upload(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "gate.sqlite")
    queue = ReviewQueue(engine)
    upload = bytes(range(256)) * 200
    queue.record_upload(waiting_review("a"), upload)
    assert any(upload[:256] in file.read_bytes() for file in tmp_path.iterdir())
    queue.decide_case("a", ReviewState.RELEASED, no_effect)
    assert not any(upload[:256] in file.read_bytes() for file in tmp_path.iterdir())
    engine.dispose()


def test_decision_and_its_effect_are_one_transaction(queue: ReviewQueue) -> None:
    """If the effect fails, the upload still waits and the bank is unchanged."""
    queue.record_upload(waiting_review("a"), b"bytes of the upload")
    name = BankName("made on the way")

    def set_bank_then_fail(_review: Review, bank: BankStore) -> None:
        bank.set_bank(Bank(name))
        raise BankUnreachable(why="busy")

    with pytest.raises(BankUnreachable):
        queue.decide_case("a", ReviewState.CONFIRMED, set_bank_then_fail)
    assert queue.review("a") == waiting_review("a")
    assert queue.upload_bytes("a") == b"bytes of the upload"
    seen: list[Bank] = []
    queue.decide_case("a", ReviewState.RELEASED, lambda _review, bank: seen.extend(bank.banks()))
    assert name not in {bank.name for bank in seen}


def test_missing_case_raises(queue: ReviewQueue) -> None:
    def close(case: str) -> Review:
        return queue.decide_case(case, ReviewState.RELEASED, no_effect)

    for ask in (queue.review, queue.upload_bytes, close):
        with pytest.raises(NoSuchReview):
            ask("x")
    assert queue.next_waiting_upload() is None


SECRET_SHA256, FILE_SHA256 = b"\x51" * 32, b"\x52" * 32
NOT_KEPT_EVENT = "upload not kept"  # an event of the audit log
NEAR_HASH, FAR_HASH = b"\x09" * 31 + b"\x0a", b"\xf6" * 32
ACCEPTED_DECISION = Decision(Outcome.LET_THROUGH, "p")
REFUSED_DECISION = Decision(Outcome.REFUSE, "r", MATCHES)


def waiting_review_of_hash(
    case: str, bits: bytes = b"\x09" * 32, entry: int | None = 7, at: datetime = UPLOAD_TIME
) -> Review:
    return replace(waiting_review(case), entry=entry, bits=bits, at=at)


def quarantine(
    queue: ReviewQueue, review: Review, data: bytes | None = None, held_max: int = 3
) -> None:
    queue.record_upload(review, None)
    queue.store_review_bytes(review.case, data or review.case.encode(), held_max)


def test_bytes_can_be_stored_after_the_answer(queue: ReviewQueue) -> None:
    queue.record_upload(waiting_review("a"), None)
    with pytest.raises(NoSuchReview):
        queue.upload_bytes("a")
    queue.store_review_bytes("a", b"bytes", 20)
    assert queue.upload_bytes("a") == b"bytes"
    queue.decide_case("a", ReviewState.CONFIRMED, no_effect)
    queue.store_review_bytes("a", b"too late", 20)
    with pytest.raises(NoSuchReview):
        queue.upload_bytes("a")


def test_stored_review_is_returned_unchanged(queue: ReviewQueue) -> None:
    review = replace(
        waiting_review("a"),
        decision=replace(waiting_review("a").decision, would=Outcome.REFUSE),
        entry=3,
        reference="post 17 of blog \u00e9",
        secret_sha256=SECRET_SHA256,
        upload_sha256=FILE_SHA256,
    )
    queue.record_upload(review, None)
    assert queue.review("a") == review


def test_flood_of_one_picture_is_one_item(queue: ReviewQueue) -> None:
    """Another test with a thousand uploads is in tests/stop/judge/test_thousand_uploads.py."""
    count = 60
    for number in range(count):
        quarantine(queue, waiting_review_of_hash(f"c{number}"), held_max=20)
    assert queue.count_waiting_items() == 1
    first = queue.next_waiting_upload()
    assert first is not None
    assert (first.case, first.gathered) == ("c0", count - 1)
    every = [f"c{number}" for number in range(count)]
    assert {queue.review(case).state for case in every} == {ReviewState.WAITING}
    assert queue.upload_bytes("c0") == b"c0"
    with pytest.raises(NoSuchReview):
        # The bytes of the last upload are not kept: a reviewer views the first upload.
        queue.upload_bytes(every[-1])
    closed = queue.decide_case("c0", ReviewState.RELEASED, no_effect)
    assert sorted(closed.also) == sorted(every[1:])
    assert queue.count_waiting_items() == 0
    assert {queue.review(case).state for case in every} == {ReviewState.RELEASED}
    assert {queue.review(case).bits for case in every} == {None}


def test_few_uploads_of_one_picture_wait_separately(queue: ReviewQueue) -> None:
    for number in range(3):
        quarantine(queue, waiting_review_of_hash(f"a{number}"))
        quarantine(queue, waiting_review_of_hash(f"b{number}", entry=8))
        quarantine(queue, waiting_review_of_hash(f"c{number}", entry=None))
    assert queue.count_waiting_items() == 9
    quarantine(queue, waiting_review_of_hash("late", at=UPLOAD_TIME + timedelta(hours=2)))
    assert queue.count_waiting_items() == 10
    quarantine(queue, waiting_review_of_hash("b3", entry=8))
    assert queue.count_waiting_items() == 8


def test_releasing_a_flood_releases_only_similar_uploads(queue: ReviewQueue) -> None:
    for number, bits in enumerate((b"\x09" * 32, NEAR_HASH, FAR_HASH, FAR_HASH, NEAR_HASH)):
        quarantine(queue, waiting_review_of_hash(f"c{number}", bits))
    assert queue.count_waiting_items() == 1
    closed = queue.decide_case("c0", ReviewState.RELEASED, no_effect)
    assert set(closed.also) == {"c1", "c4"}
    left = queue.next_waiting_upload()
    assert left is not None
    assert (left.case, left.gathered, queue.count_waiting_items()) == ("c2", 1, 1)
    assert queue.upload_bytes("c2") == b"c2"
    assert queue.decide_case("c2", ReviewState.CONFIRMED, no_effect).also == ("c3",)
    assert queue.count_waiting_items() == 0


def test_flood_keeps_bytes_of_some_uploads_only(queue: ReviewQueue) -> None:
    for number in range(12):
        bits = FAR_HASH if number else b"\x09" * 32
        quarantine(queue, waiting_review_of_hash(f"c{number}", bits), held_max=3)
    kept = 0
    for number in range(12):
        try:
            queue.upload_bytes(f"c{number}")
        except NoSuchReview:
            continue
        kept += 1
    assert kept == 4  # the first upload, and three of the eleven others


def quarantine_undecodable(queue: ReviewQueue, case: str, data: bytes) -> None:
    """Quarantine an upload as the gate quarantines a file that it cannot decode."""
    whole = Decision(Outcome.HOLD, case)
    file_sha256 = hashlib.sha256(data).digest()
    queue.record_upload(
        Review(whole, UPLOAD_TIME, ReviewState.WAITING, upload_sha256=file_sha256), None
    )
    queue.store_review_bytes(case, data, 20)


def has_bytes(queue: ReviewQueue, case: str) -> bool:
    try:
        return bool(queue.upload_bytes(case))
    except NoSuchReview:
        return False


def test_repeated_unreadable_file_is_one_item(queue: ReviewQueue) -> None:
    for number in range(6):
        quarantine_undecodable(queue, f"c{number}", b"one")
        quarantine_undecodable(queue, f"d{number}", b"another")
    assert queue.count_waiting_items() == 2
    assert [has_bytes(queue, case) for case in ("c0", "d0", "c1", "d5")] == [
        True,
        True,
        False,
        False,
    ]
    closed = queue.decide_case("c0", ReviewState.RELEASED, no_effect)
    assert sorted(closed.also) == [f"c{number}" for number in range(1, 6)]
    assert queue.count_waiting_items() == 1
    queue.decide_case("d0", ReviewState.CONFIRMED, no_effect)
    assert {queue.review(f"d{number}").state for number in range(6)} == {ReviewState.CONFIRMED}


def test_bytes_of_unreadable_uploads_are_limited(gate: Stores) -> None:
    """Beyond the limit, uploads wait without bytes, and the log names their cases."""
    queue = gate.reviews
    assert isinstance(queue, ReviewQueue)
    queue = replace(queue, undecodable_bytes_max=290)  # enough for two files of 100 bytes
    for number in range(4):
        quarantine_undecodable(queue, f"c{number}", bytes([number]) * 100)
    assert queue.count_waiting_items() == 4
    assert [has_bytes(queue, f"c{number}") for number in range(4)] == [True, True, False, False]
    events = [(row.what, row.of, row.details) for row in gate.bank.log(0, 100)]
    assert events[-1] == (NOT_KEPT_EVENT, "c3", {"bytes": 100})
    # This limit does not apply to an upload that was decoded.
    quarantine(queue, waiting_review_of_hash("h"), bytes(500))
    assert has_bytes(queue, "h")
    queue.decide_case("c0", ReviewState.RELEASED, no_effect)
    quarantine_undecodable(queue, "later", b"x" * 100)
    assert has_bytes(queue, "later")


def test_sqlite_finds_the_same_file_by_an_index(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "gate.sqlite")
    queue = ReviewQueue(engine)
    statements: list[tuple[str, object]] = []

    def note_statement(
        _db: object, _cursor: object, statement: str, values: object, *_more: object
    ) -> None:
        if "upload_sha256 = ?" in statement and statement.startswith("SELECT"):
            statements.append((statement, values))

    sa.event.listen(engine, "before_cursor_execute", note_statement)
    quarantine_undecodable(queue, "c", b"one")
    assert statements
    with engine.connect() as db:
        for statement, values in statements:
            plan = db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()  # type: ignore[arg-type]
            assert "waiting_by_file" in str(plan)
    engine.dispose()


def accepted_review(case: str, bits: bytes, at: datetime = UPLOAD_TIME) -> Review:
    decision = replace(ACCEPTED_DECISION, case=case)
    return Review(decision, at, ReviewState.CLOSED, bits, reference=f"post {case}")


def test_accepted_uploads_are_paged_and_expire(queue: ReviewQueue) -> None:
    for number in range(5):
        at = UPLOAD_TIME + timedelta(days=number)
        review = accepted_review(f"p{number}", bytes([number]) * 32, at)
        queue.record_upload(replace(review, upload_sha256=FILE_SHA256), None)
    queue.record_upload(replace(accepted_review("q", b""), bits=None), None)
    quarantine(queue, waiting_review("h"))
    first = queue.stored_picture_hashes(0, 3)
    rest = queue.stored_picture_hashes(first[-1].number, 3)
    assert [one.case for one in (*first, *rest)] == ["p0", "p1", "p2", "p3", "p4", "h"]
    assert (rest[0].bits, rest[2].bits) == (b"\x03" * 32, waiting_review("h").bits)
    assert queue.delete_accepted_data(UPLOAD_TIME + timedelta(days=3)) == 3
    assert [one.case for one in queue.stored_picture_hashes(0, 9)] == ["p3", "p4", "h"]
    queue.decide_case("h", ReviewState.RELEASED, no_effect)
    assert [one.case for one in queue.stored_picture_hashes(0, 9)] == ["p3", "p4"]
    assert (queue.review("p0").bits, queue.review("p0").reference) == (None, "")
    assert (queue.review("p0").upload_sha256, queue.review("p3").upload_sha256) == (
        None,
        FILE_SHA256,
    )


def test_frame_hashes_are_deleted_on_decision_and_expiry(stores_with_claims: Stores) -> None:
    queue = stores_with_claims.reviews
    frames = {case: (case.encode() * 32, b"\x09" * 32) for case in "stuv"}
    for day, case in enumerate(frames):
        clip = replace(
            accepted_review(case, b"", UPLOAD_TIME + timedelta(days=day)),
            bits=None,
            upload_sha256=FILE_SHA256,
        )
        queue.record_upload(replace(clip, frames=frames[case]), None)
    queue.record_upload(accepted_review("p", b"\x01" * 32), None)
    first = queue.stored_clip_hashes(0, 2)
    rest = queue.stored_clip_hashes(first[-1].number, 9)
    assert {one.case: one.frames for one in (*first, *rest)} == frames
    assert [one.case for one in queue.stored_picture_hashes(0, 9)] == ["p"]
    assert queue.hold_retroactively(RetroactiveMatches("u", MATCHES[:1], 1), 20)
    assert queue.hold_retroactively(RetroactiveMatches("v", MATCHES[:1], 1), 20)
    assert [one.case for one in queue.stored_clip_hashes(0, 9)] == ["s", "t", "u", "v"]
    assert [one.case for one in queue.stored_clip_hashes(first[-1].number, 1)] == ["u"]
    queue.decide_case("u", ReviewState.RELEASED, no_effect)
    assert stores_with_claims.bank.withdraw(MATCHES[0].claim) == 1
    assert [one.case for one in queue.stored_clip_hashes(0, 9)] == ["s", "t", "v"]
    assert [one.case for one in queue.stored_clip_hashes(first[-1].number, 1)] == ["v"]
    assert queue.delete_accepted_data(UPLOAD_TIME + timedelta(hours=25)) == 3  # cases s, t and p
    assert (queue.review("t").upload_sha256, queue.review("t").reference) == (None, "")
    assert [one.case for one in queue.stored_clip_hashes(0, 9)] == ["v"]
    assert not queue.hold_retroactively(RetroactiveMatches("t", MATCHES[1:], 1), 20)


def test_sound_prints_are_deleted_on_decision_and_expiry(stores_with_claims: Stores) -> None:
    """The uploads are a video with sound, a voice note, and a video without sound."""
    queue, sound = stores_with_claims.reviews, SoundPrint(b"\x01\x02\x03\x04" * 60)
    clips: dict[str, dict[str, Any]] = {
        "s": {"frames": (b"\x09" * 32,), "sound": sound},
        "t": {"sound": SoundPrint(sound.words[:8])},
        "u": {"frames": (b"\x09" * 32,)},
    }
    for day, (case, kept) in enumerate(clips.items()):
        clip = replace(
            accepted_review(case, b"", UPLOAD_TIME + timedelta(days=day)),
            bits=None,
            upload_sha256=FILE_SHA256,
        )
        queue.record_upload(replace(clip, **kept), None)
    assert [one.case for one in queue.stored_clip_hashes(0, 9)] == ["s", "u"]
    first = queue.stored_sound_prints(0, 1)
    rest = queue.stored_sound_prints(first[-1].number, 9)
    assert {one.case: one.sound for one in (*first, *rest)} == {
        "s": sound,
        "t": SoundPrint(sound.words[:8]),
    }
    assert queue.hold_retroactively(RetroactiveMatches("t", MATCHES[:1], -1), 20)
    assert [one.case for one in queue.stored_sound_prints(0, 9)] == ["s", "t"]
    # Only s is deleted: t waits for review, and u is new.
    assert queue.delete_accepted_data(UPLOAD_TIME + timedelta(days=2)) == 1
    assert [one.case for one in queue.stored_sound_prints(0, 9)] == ["t"]
    queue.decide_case("t", ReviewState.CONFIRMED, no_effect)
    assert queue.stored_sound_prints(0, 9) == ()
    assert not queue.hold_retroactively(RetroactiveMatches("s", MATCHES[1:], -1), 20)


@pytest.fixture
def stores_with_claims(gate: Stores) -> Stores:
    """Register the claims of MATCHES in the bank, and return the stores."""
    for match in MATCHES:
        gate.bank.register(Registration(claim(match.claim), (match.claim.encode() * 32,)))
    return gate


def test_look_back_quarantines_until_withdrawal_or_decision(stores_with_claims: Stores) -> None:
    queue = stores_with_claims.reviews
    a, b = MATCHES
    queue.record_upload(accepted_review("p", b"\x01" * 32), None)
    queue.record_upload(accepted_review("q", b"\x02" * 32), None)
    assert queue.hold_retroactively(RetroactiveMatches("p", (a,), 1), 20)
    assert queue.hold_retroactively(RetroactiveMatches("q", MATCHES, 1), 20)
    # The upload p waits already.
    assert not queue.hold_retroactively(RetroactiveMatches("p", (a,), 1), 20)
    assert not queue.hold_retroactively(RetroactiveMatches("nothing", (a,), 1), 20)
    review = queue.next_waiting_upload()
    assert review is not None
    assert (review.case, review.found, review.reference) == ("p", FoundBy.LOOK_BACK, "post p")
    assert (review.decision.outcome, review.decision.matches) == (Outcome.HOLD, (a,))
    assert stores_with_claims.bank.withdraw(a.claim) == 1
    assert queue.review("p") == accepted_review("p", b"\x01" * 32)
    assert queue.review("q").decision.matches == (b,)
    assert queue.count_waiting_items() == 1
    queue.decide_case("q", ReviewState.RELEASED, no_effect)
    assert [one.case for one in queue.stored_picture_hashes(0, 9)] == ["p"]


@pytest.mark.threat("released-first")
@pytest.mark.parametrize("found_by", ["late", "as it came"])
def test_waiting_upload_gets_matches_of_new_claims(
    stores_with_claims: Stores, found_by: str
) -> None:
    """An upload waits because it matches one claim, and then matches a second claim too.

    If a look-back found the upload, it still waits after the first claim is withdrawn.
    """
    bank, queue = stores_with_claims.bank, stores_with_claims.reviews
    a, b = MATCHES
    if found_by == "late":
        queue.record_upload(accepted_review("p", b"\x01" * 32), None)
        assert queue.hold_retroactively(RetroactiveMatches("p", (a,), 1), 20)
    else:
        review = waiting_review("p")
        queue.record_upload(
            replace(review, decision=replace(review.decision, matches=(a,))), b"bytes"
        )
    before = queue.review("p")
    nearer = replace(a, distance=0)
    assert not queue.hold_retroactively(RetroactiveMatches("p", (nearer, b), 2), 20)
    both = replace(before.decision, matches=(a, b))
    assert queue.review("p") == replace(before, decision=both)
    assert bank.log(0, 99)[-1].what == "case fits more"
    rows = len(bank.log(0, 99))
    assert not queue.hold_retroactively(RetroactiveMatches("p", (b,), 2), 20)
    assert len(bank.log(0, 99)) == rows
    if found_by == "late":
        bank.withdraw(a.claim)
        assert queue.review("p").decision.matches == (b,)
        assert (queue.review("p").state, queue.count_waiting_items()) == (ReviewState.WAITING, 1)
    queue.decide_case("p", ReviewState.CONFIRMED, no_effect)
    assert not queue.hold_retroactively(RetroactiveMatches("p", (b,), 2), 20)


def test_waiting_upload_gets_no_match_of_a_withdrawn_claim(stores_with_claims: Stores) -> None:
    a, b = MATCHES
    stores_with_claims.reviews.record_upload(accepted_review("p", b"\x01" * 32), None)
    assert stores_with_claims.reviews.hold_retroactively(RetroactiveMatches("p", (a,), 1), 20)
    stores_with_claims.bank.withdraw(b.claim)
    assert not stores_with_claims.reviews.hold_retroactively(RetroactiveMatches("p", (b,), 2), 20)
    assert stores_with_claims.reviews.review("p").decision.matches == (a,)


@pytest.mark.threat("withdrawal-ignored")
@pytest.mark.parametrize("method", ["apply_event", "withdraw"])
def test_withdrawing_lets_retroactive_matches_through_again(
    stores_with_claims: Stores, method: str
) -> None:
    bank, queue = stores_with_claims.bank, stores_with_claims.reviews
    a, b = MATCHES
    before = {case: accepted_review(case, b"\x01" * 32) for case in "pq"}
    for case, matches in (("p", (a,)), ("q", (a, b))):
        queue.record_upload(before[case], None)
        assert queue.hold_retroactively(RetroactiveMatches(case, matches, 1), 20)
    if method == "apply_event":
        bank.apply_event(a.claim, ClaimEvent.WITHDRAW)
    else:
        assert bank.withdraw(a.claim) == 1
    assert queue.review("p") == before["p"]
    assert queue.review("q").decision.matches == (b,)
    assert bank.withdraw(a.claim, b.claim) == 1
    assert (queue.review("q"), queue.count_waiting_items()) == (before["q"], 0)


@pytest.mark.threat("withdrawal-ignored")
def test_look_back_after_the_withdrawal_quarantines_nothing(stores_with_claims: Stores) -> None:
    bank, queue = stores_with_claims.bank, stores_with_claims.reviews
    a, b = MATCHES
    for case in "pq":
        queue.record_upload(accepted_review(case, b"\x01" * 32), None)
    bank.apply_event(a.claim, ClaimEvent.WITHDRAW)
    assert not queue.hold_retroactively(RetroactiveMatches("p", (a,), 1), 20)
    assert queue.review("p") == accepted_review("p", b"\x01" * 32)
    assert queue.hold_retroactively(RetroactiveMatches("q", (a, b), 1), 20)
    assert queue.review("q").decision.matches == (b,)
    bank.apply_event(b.claim, ClaimEvent.SUSPEND)
    assert not queue.hold_retroactively(RetroactiveMatches("p", (a, b), 1), 20)


def test_many_retroactive_matches_of_one_hash_are_one_item(stores_with_claims: Stores) -> None:
    queue = stores_with_claims.reviews
    for number in range(6):
        queue.record_upload(
            accepted_review(f"p{number}", b"\x01" * 32, UPLOAD_TIME + timedelta(days=number)), None
        )
        assert queue.hold_retroactively(RetroactiveMatches(f"p{number}", MATCHES[:1], 1), 3)
    assert queue.count_waiting_items() == 1
    assert stores_with_claims.bank.withdraw(MATCHES[0].claim) == 1
    assert queue.count_waiting_items() == 0
    assert len(queue.stored_picture_hashes(0, 9)) == 6


def refused_review(case: str) -> Review:
    decision = replace(REFUSED_DECISION, case=case)
    secrets = {"secret_sha256": SECRET_SHA256, "upload_sha256": FILE_SHA256}
    return Review(decision, UPLOAD_TIME, ReviewState.CLOSED, **secrets)  # type: ignore[arg-type]


def test_case_is_appealed_once(queue: ReviewQueue) -> None:
    for case in ("r", "s"):
        queue.record_upload(refused_review(case), None)
    later = UPLOAD_TIME + timedelta(days=1)
    queue.record_appeal(Appeal("r", SECRET_SHA256, later, FILE_SHA256), b"the same file")
    review = queue.next_waiting_upload()
    assert review is not None
    assert (review.case, review.found, review.at) == ("r", FoundBy.APPEAL, later)
    assert queue.upload_bytes("r") == b"the same file"
    with pytest.raises(AlreadyAppealed):
        queue.record_appeal(Appeal("r", SECRET_SHA256, later), None)
    queue.decide_case("r", ReviewState.RELEASED, no_effect)
    with pytest.raises(AlreadyAppealed):
        queue.record_appeal(Appeal("r", SECRET_SHA256, later), None)
    with pytest.raises(UploadFileDiffers):
        queue.record_appeal(Appeal("s", SECRET_SHA256, later, SECRET_SHA256), b"another file")
    queue.record_appeal(Appeal("s", SECRET_SHA256, later), None)
    assert queue.count_waiting_items() == 1


def test_appeal_needs_the_secret(queue: ReviewQueue) -> None:
    queue.record_upload(refused_review("r"), None)
    queue.record_upload(waiting_review("h"), b"without a secret")
    for case, secret in (
        ("r", FILE_SHA256),
        ("x", SECRET_SHA256),
        ("h", SECRET_SHA256),
        ("r", b""),
    ):
        with pytest.raises(NoSuchReview):
            queue.record_appeal(Appeal(case, secret, UPLOAD_TIME), None)
    assert queue.review("r").state is ReviewState.CLOSED


def test_appeal_of_an_unrefused_upload_changes_nothing(queue: ReviewQueue) -> None:
    kept = replace(accepted_review("p", b"\x01" * 32), secret_sha256=SECRET_SHA256)
    waits = replace(waiting_review("h"), secret_sha256=SECRET_SHA256)
    queue.record_upload(kept, None)
    queue.record_upload(waits, b"bytes")
    for case in "ph":
        queue.record_appeal(Appeal(case, SECRET_SHA256, UPLOAD_TIME, FILE_SHA256), b"another file")
        with pytest.raises(AlreadyAppealed):
            queue.record_appeal(
                Appeal(case, SECRET_SHA256, UPLOAD_TIME, FILE_SHA256), b"another file"
            )
    assert (queue.review("p"), queue.review("h")) == (kept, waits)
    assert queue.upload_bytes("h") == b"bytes"


def test_upload_refused_by_a_reviewer_can_be_appealed(queue: ReviewQueue) -> None:
    queue.record_upload(
        replace(waiting_review("h"), secret_sha256=SECRET_SHA256, upload_sha256=FILE_SHA256),
        b"bytes",
    )
    queue.decide_case("h", ReviewState.CONFIRMED, no_effect)
    queue.record_appeal(Appeal("h", SECRET_SHA256, UPLOAD_TIME, FILE_SHA256), b"bytes")
    assert (queue.count_waiting_items(), queue.review("h").found) == (1, FoundBy.APPEAL)


def test_full_disk_quarantines_without_bytes(gate: Stores) -> None:
    """Uploads are recorded without bytes, and the log names those that wait for review."""
    queue = gate.reviews
    assert isinstance(queue, ReviewQueue)
    full = replace(queue, has_disk_space=lambda: False)
    full.record_upload(waiting_review_of_hash("h"), None)
    full.store_review_bytes("h", b"held", 20)
    full.record_upload(refused_review("r"), None)
    full.record_appeal(Appeal("r", SECRET_SHA256, UPLOAD_TIME, FILE_SHA256), b"appealed")
    full.record_upload(replace(accepted_review("p", b"\x01" * 32), slow_look_due=True), None)
    assert not full.store_for_deferred_scan("p", b"let through", 9)
    assert (queue.has_room_for_bytes(), full.has_room_for_bytes()) == (True, False)
    assert queue.count_waiting_items() == 2
    assert [has_bytes(queue, case) for case in "hr"] == [False, False]
    not_kept = [
        (row.of, row.details) for row in gate.bank.log(0, 100) if row.what == NOT_KEPT_EVENT
    ]
    assert not_kept == [("h", {"bytes": 4}), ("r", {"bytes": 8})]
    assert queue.store_for_deferred_scan("p", b"let through", 9)
