"""ReviewQueue: reviewers, second confirmations and alerts, on SQLite and PostgreSQL."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.nouns import Match
from entrenous.stop.audit import audit_rows, verify_audit_log
from entrenous.stop.nouns import Alert, AlertKind
from entrenous.stop.registration import ClaimEvent, Registration
from entrenous.stop.store.review_queue import ReviewQueue
from entrenous.stop.upload_record import (
    AlreadyDecided,
    Appeal,
    BadReviewerName,
    Decision,
    FoundBy,
    NoSuchReview,
    NoSuchReviewer,
    Outcome,
    RetroactiveMatches,
    Review,
    ReviewerKnown,
    ReviewState,
    SecondPersonNeeded,
)
from tests.stop.store.bank_stores import (
    HASH_1,
    HASH_2,
    PEOPLE,
    START_TIME,
    Stores,
    claim,
    no_effect,
)

SECRET_SHA256 = b"\x51" * 32
DAY = timedelta(hours=24)


def waiting_review(case: str, bits: bytes = b"\x09" * 32, entry: int | None = 7) -> Review:
    return Review(Decision(Outcome.HOLD, case), START_TIME, ReviewState.WAITING, bits, entry)


def logged_events(gate: Stores) -> list[tuple[str, str, dict[str, object]]]:
    return [(row.what, row.of, dict(row.details)) for row in audit_rows(gate.bank)]


def test_reviewer_token_works_until_removal(gate: Stores) -> None:
    queue = gate.reviews
    queue.add_reviewer("ben", HASH_1)
    queue.add_reviewer("ana", HASH_2)
    assert [(one.name, one.added_at) for one in queue.reviewers()] == [
        ("ana", START_TIME),
        ("ben", START_TIME),
    ]
    found = queue.reviewer_with_token_hash(HASH_2)
    assert found is not None
    assert found.name == "ana"
    with pytest.raises(ReviewerKnown, match="ana"):
        queue.add_reviewer("ana", b"\x07" * 32)
    queue.remove_reviewer("ana")
    assert queue.reviewer_with_token_hash(HASH_2) is None
    assert queue.reviewer_with_token_hash(b"\x07" * 32) is None
    with pytest.raises(NoSuchReviewer):
        queue.remove_reviewer("ana")
    queue.add_reviewer("ana", b"\x07" * 32)
    assert [what for what, of, _ in logged_events(gate) if of == "ana"] == [
        "reviewer added", "reviewer removed", "reviewer added",
    ]  # fmt: skip
    verify_audit_log(gate.bank)


@pytest.mark.parametrize("name", ["", "a", "operator", "Ana", "ana b", "-ana", "a" * 41, "ana\n"])
def test_invalid_reviewer_names_are_refused(queue: ReviewQueue, name: str) -> None:
    with pytest.raises(BadReviewerName):
        queue.add_reviewer(name, HASH_1)
    assert queue.reviewers() == ()


def test_deciding_reviewer_is_logged(gate: Stores) -> None:
    for case in ("a", "b"):
        gate.reviews.record_upload(waiting_review(case), None)
    gate.reviews.decide_case("a", ReviewState.RELEASED, no_effect, "ana")
    gate.reviews.decide_case("b", ReviewState.CONFIRMED, no_effect)
    assert logged_events(gate)[1:] == [
        ("case released", "a", {"also": 0, "by": "ana"}),
        ("case confirmed", "b", {"also": 0, "by": "operator"}),
    ]


@pytest.mark.threat("insider-decides")
def test_first_confirmer_cannot_confirm_again(gate: Stores) -> None:
    queue = gate.reviews
    queue.record_upload(waiting_review("a"), b"bytes")
    assert queue.record_first_confirmation("a", "ana")
    review = queue.review("a")
    assert (review.state, review.first_confirmer) == (ReviewState.WAITING, "ana")
    assert queue.upload_bytes("a") == b"bytes"
    with pytest.raises(
        SecondPersonNeeded, match="confirm case a, and ana is already the first one"
    ):
        queue.record_first_confirmation("a", "ana")
    assert not queue.record_first_confirmation("a", "ben")
    queue.decide_case("a", ReviewState.CONFIRMED, no_effect, "ben")
    assert queue.review("a").first_confirmer == ""
    assert logged_events(gate)[1:] == [
        ("case confirmed first", "a", {"by": "ana"}),
        ("case confirmed", "a", {"also": 0, "by": "ben", "first": "ana"}),
    ]
    with pytest.raises(AlreadyDecided):
        queue.record_first_confirmation("a", "cara")
    with pytest.raises(NoSuchReview):
        queue.record_first_confirmation("x", "ana")


def test_case_is_not_shown_again_to_its_first_confirmer(
    queue: ReviewQueue,
) -> None:
    for case in "ab":
        queue.record_upload(waiting_review(case), None)
    queue.record_first_confirmation("a", "ana")
    first = {
        by: one and one.case
        for by in ("ana", "ben", "")
        for one in [queue.next_waiting_upload("", by)]
    }
    assert first == {"ana": "b", "ben": "a", "": "a"}
    assert queue.next_waiting_upload("b", "ana") is None


@pytest.mark.threat("insider-decides")
def test_removed_reviewer_s_first_confirmation_is_revoked(queue: ReviewQueue) -> None:
    """One person must not confirm twice under two names."""
    for case in "ab":
        queue.record_upload(waiting_review(case), None)
    queue.add_reviewer("ana", HASH_1)
    queue.add_reviewer("ben", HASH_2)
    queue.record_first_confirmation("a", "ana")
    queue.record_first_confirmation("b", "ben")
    queue.remove_reviewer("ana")
    assert [queue.review(case).first_confirmer for case in "ab"] == ["", "ben"]


def test_only_one_of_several_concurrent_confirmations_is_the_first(gate: Stores) -> None:
    gate.reviews.record_upload(waiting_review("a"), None)
    names, first = [f"person-{number}" for number in range(4)], list[bool]()
    threads = [
        threading.Thread(
            target=lambda by=name: first.append(gate.reviews.record_first_confirmation("a", by))
        )
        for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(first) == [False, False, False, True]


def test_appeal_and_withdrawal_clear_the_first_confirmation(gate: Stores) -> None:
    queue = gate.reviews
    queue.record_upload(replace(waiting_review("a"), secret_sha256=SECRET_SHA256), None)
    queue.record_first_confirmation("a", "ana")
    queue.decide_case("a", ReviewState.CONFIRMED, no_effect, "ben")
    queue.record_appeal(Appeal("a", SECRET_SHA256, START_TIME), None)
    assert queue.review("a").first_confirmer == ""
    gate.bank.register(Registration(claim("c"), (HASH_1,)))
    accepted = Decision(Outcome.LET_THROUGH, "p")
    queue.record_upload(Review(accepted, START_TIME, ReviewState.CLOSED, HASH_1), None)
    found_matches = RetroactiveMatches(
        "p", (Match(PEOPLE, ClaimId("c"), 0, "as it is"),), 1, FoundBy.LOOK_BACK
    )
    assert queue.hold_retroactively(found_matches, 20)
    queue.record_first_confirmation("p", "ana")
    gate.bank.apply_event(ClaimId("c"), ClaimEvent.WITHDRAW)
    assert queue.review("p").first_confirmer == ""


def record_flood(gate: Stores, case_prefix: str, entry: int, count: int = 5) -> None:
    for number in range(count):
        case = f"{case_prefix}{number}"
        gate.reviews.record_upload(
            replace(waiting_review(case, entry=entry), at=gate.clock.now()), None
        )
        gate.reviews.store_review_bytes(case, case.encode(), 3)


def test_each_flood_is_reported_once_and_alerts_are_an_hour_apart(gate: Stores) -> None:
    def due_alerts() -> tuple[Alert, ...]:
        return gate.reviews.take_due_alerts(gate.clock.now() - DAY, 3)

    record_flood(gate, "a", 7, count=3)
    assert due_alerts() == ()
    record_flood(gate, "b", 8)
    assert due_alerts() == (Alert(AlertKind.FLOOD, 1, reported_floods=1),)
    assert due_alerts() == ()  # the previous call took the alert
    gate.clock.advance(hours=1)
    (alert,) = due_alerts()  # due again, because it was never recorded as sent
    gate.reviews.record_alert_sent(alert)
    gate.clock.advance(hours=1)
    assert due_alerts() == ()
    for name, entry in (("c", 9), ("d", 10)):
        record_flood(gate, name, entry)
    (alert,) = due_alerts()
    assert (alert.kind, alert.reported_floods) == (AlertKind.FLOOD, 2)
    gate.reviews.decide_case("c0", ReviewState.RELEASED, no_effect)
    gate.clock.advance(hours=1)
    assert [one.count for one in due_alerts()] == [2]  # the floods b and d


def test_decided_flood_sends_no_alert(gate: Stores) -> None:
    record_flood(gate, "b", 8)
    gate.reviews.decide_case("b0", ReviewState.RELEASED, no_effect)
    assert gate.reviews.take_due_alerts(START_TIME - DAY, 3) == ()


def test_repeated_unreadable_file_sends_no_flood_alert(gate: Stores) -> None:
    for case in "ab":
        undecodable = Review(
            Decision(Outcome.HOLD, case),
            START_TIME,
            ReviewState.WAITING,
            upload_sha256=SECRET_SHA256,
        )
        gate.reviews.record_upload(undecodable, None)
        gate.reviews.store_review_bytes(case, b"broken", 3)
    assert gate.reviews.count_waiting_items() == 1
    assert gate.reviews.take_due_alerts(START_TIME - DAY, 3) == ()


def test_long_waiting_items_send_an_alert(gate: Stores) -> None:
    def due_alerts() -> tuple[Alert, ...]:
        return gate.reviews.take_due_alerts(gate.clock.now() - DAY, 20)

    for case in "ab":
        gate.reviews.record_upload(waiting_review(case, entry=None), None)
    gate.clock.advance(hours=24)
    assert due_alerts() == ()
    gate.clock.advance(minutes=1)
    assert due_alerts() == (Alert(AlertKind.WAITING, 2),)
    gate.clock.advance(minutes=59)
    assert due_alerts() == ()
    gate.reviews.decide_case("a", ReviewState.RELEASED, no_effect)
    gate.clock.advance(minutes=1)
    assert due_alerts() == (Alert(AlertKind.WAITING, 1),)


def test_alert_taken_while_the_clock_was_ahead_is_due_again(gate: Stores) -> None:
    gate.reviews.record_upload(waiting_review("a", entry=None), None)
    gate.clock.advance(days=400)
    assert gate.reviews.take_due_alerts(gate.clock.now() - DAY, 20)
    gate.clock.advance(days=-398)
    assert gate.reviews.take_due_alerts(gate.clock.now() - DAY, 20) == (
        Alert(AlertKind.WAITING, 1),
    )
    assert gate.reviews.take_due_alerts(gate.clock.now() - DAY, 20) == ()


def test_retroactive_match_waits_from_when_it_was_found(gate: Stores) -> None:
    gate.bank.register(Registration(claim("c"), (HASH_1,)))
    accepted = Decision(Outcome.LET_THROUGH, "p")
    gate.reviews.record_upload(Review(accepted, START_TIME, ReviewState.CLOSED, HASH_1), None)
    gate.clock.advance(hours=30)
    found_matches = RetroactiveMatches(
        "p", (Match(PEOPLE, ClaimId("c"), 0, "as it is"),), 1, FoundBy.LOOK_BACK
    )
    assert gate.reviews.hold_retroactively(found_matches, 20)
    assert gate.reviews.take_due_alerts(gate.clock.now() - DAY, 20) == ()
    gate.clock.advance(hours=25)
    assert gate.reviews.take_due_alerts(gate.clock.now() - DAY, 20) == (
        Alert(AlertKind.WAITING, 1),
    )
