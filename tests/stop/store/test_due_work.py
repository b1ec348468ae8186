"""ReviewQueue: deferred scans, look-backs, published uploads and the recorded clock."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.secret import Secret
from entrenous.fingerprint.nouns import Match
from entrenous.serving.host_checks import ClockMark
from entrenous.stop.nouns import Bank
from entrenous.stop.registration import ClaimEvent, Registration
from entrenous.stop.store import due_work
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import concurrent_write, open_engine, open_postgres_engine
from entrenous.stop.store.review_queue import ReviewQueue
from entrenous.stop.store.upload_encryption import UploadCipher
from entrenous.stop.upload_record import (
    PUBLISHED_LISTING_PERIOD,
    Appeal,
    Decision,
    DueCounts,
    FoundBy,
    NoSuchReview,
    Outcome,
    RetroactiveMatches,
    Review,
    ReviewState,
    UploadForDeferredScan,
)
from tests.stop.store.bank_stores import (
    DATABASE_KINDS,
    HASH_1,
    HASH_2,
    PEOPLE,
    START_TIME,
    Stores,
    claim,
    no_effect,
    open_new_engine,
    open_stores,
)

LEASE_DURATION = timedelta(minutes=2)
SCAN_MATCH = Match(PEOPLE, ClaimId("a"), 4, "in a larger picture", part=True)


@pytest.fixture(params=DATABASE_KINDS)
def gate(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(request.param, request, tmp_path) as opened:
        opened.bank.register(Registration(claim("a"), (HASH_1,)))
        yield opened


def accepted_review(case: str, delay: timedelta = timedelta()) -> Review:
    decision = Decision(Outcome.LET_THROUGH, case)
    return Review(
        decision,
        START_TIME + delay,
        ReviewState.CLOSED,
        HASH_1,
        reference=f"post {case}",
        slow_look_due=True,
    )


def record_for_scan(
    queue: ReviewQueue, case: str, delay: timedelta = timedelta(), scans_max: int = 9
) -> bool:
    queue.record_upload(accepted_review(case, delay), None)
    return queue.store_for_deferred_scan(case, case.encode() * 100, scans_max)


def scan_matches(case: str, entry: int = 1, bits: bytes = HASH_2) -> RetroactiveMatches:
    return RetroactiveMatches(case, (SCAN_MATCH,), entry, FoundBy.SLOW_LOOK, bits, b"\x07" * 32)


def test_oldest_deferred_scan_is_taken_once(queue: ReviewQueue) -> None:
    assert record_for_scan(queue, "b", timedelta(seconds=1))
    assert record_for_scan(queue, "c", timedelta(seconds=2))
    assert queue.count_due_work() == DueCounts(slow_looks=2)
    assert queue.lease_deferred_scan(LEASE_DURATION) == UploadForDeferredScan("b", b"b" * 100)
    assert queue.lease_deferred_scan(LEASE_DURATION) == UploadForDeferredScan("c", b"c" * 100)
    assert queue.lease_deferred_scan(LEASE_DURATION) is None
    queue.finish_deferred_scan("b")
    queue.finish_deferred_scan("c")
    assert queue.count_due_work() == DueCounts()


@pytest.mark.parametrize("database_kind", DATABASE_KINDS)
def test_processes_share_due_scans_without_overlap(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Threads with separate connections simulate the processes."""
    open_database = partial(open_engine, tmp_path / "gate.sqlite")
    if database_kind == "postgres":
        open_database = partial(
            open_postgres_engine, request.getfixturevalue("postgres").create_database()
        )
    cases, first = [f"{number:03}" for number in range(60)], open_database()
    queue = ReviewQueue(first)
    for case in cases:
        assert record_for_scan(queue, case, scans_max=99)
    barrier = threading.Barrier(3)
    with ThreadPoolExecutor(3) as pool:
        taken = list(pool.map(partial(lease_until_none_left, open_database, barrier), range(3)))
    first.dispose()
    assert sorted(case for mine in taken for case in mine) == cases
    assert min(map(len, taken)) > 1


def lease_until_none_left(
    open_database: Callable[[], sa.Engine], barrier: threading.Barrier, _: int
) -> list[str]:
    """Lease scans until none is left, and return their cases.

    The threads wait for each other before each of their first three leases.
    """
    engine, cases = open_database(), list[str]()
    queue = ReviewQueue(engine)
    for turn in itertools.count():
        if turn < 3:
            barrier.wait(60)
        scan = queue.lease_deferred_scan(LEASE_DURATION)
        if scan is None:
            break
        cases.append(scan.case)
    engine.dispose()
    return cases


def test_scan_of_a_killed_process_is_taken_three_times_in_all(gate: Stores) -> None:
    queue = gate.reviews
    record_for_scan(queue, "b")
    for _ in range(3):
        assert queue.lease_deferred_scan(LEASE_DURATION) == UploadForDeferredScan("b", b"b" * 100)
        gate.clock.advance(seconds=119)
        assert queue.lease_deferred_scan(LEASE_DURATION) is None
        assert queue.skip_overdue_deferred_scans(START_TIME) == 0
        gate.clock.advance(seconds=1)
    assert queue.lease_deferred_scan(LEASE_DURATION) is None
    assert queue.skip_overdue_deferred_scans(START_TIME) == 1
    assert queue.count_due_work() == DueCounts(slow_looks_skipped=1)


def test_deferred_scans_are_limited_in_number(queue: ReviewQueue) -> None:
    assert [record_for_scan(queue, case, scans_max=2) for case in "bcd"] == [True, True, False]
    assert queue.count_due_work().slow_looks == 2
    assert queue.skip_overdue_deferred_scans(START_TIME) == 0
    # No bytes of upload d were stored.
    assert queue.skip_overdue_deferred_scans(START_TIME + timedelta(seconds=1)) == 1
    assert queue.count_due_work() == DueCounts(2, 1)
    assert not queue.store_for_deferred_scan("d", b"too late", 9)
    queue.finish_deferred_scan("b")
    assert record_for_scan(queue, "e", scans_max=2)


def test_bytes_for_a_deferred_scan_are_kept_for_a_day(queue: ReviewQueue) -> None:
    record_for_scan(queue, "b")
    day = START_TIME + timedelta(days=1)
    assert queue.skip_overdue_deferred_scans(day) == 0
    assert queue.skip_overdue_deferred_scans(day + timedelta(seconds=1)) == 1
    assert queue.lease_deferred_scan(LEASE_DURATION) is None
    assert queue.count_due_work().slow_looks == 0


def test_skipped_scans_are_counted_for_a_day(gate: Stores) -> None:
    gate.reviews.record_upload(accepted_review("b"), None)
    gate.reviews.skip_overdue_deferred_scans(START_TIME + timedelta(seconds=1))
    gate.clock.advance(hours=23)
    assert gate.reviews.count_due_work().slow_looks_skipped == 1
    gate.clock.advance(hours=2)
    assert gate.reviews.count_due_work().slow_looks_skipped == 0


@pytest.mark.parametrize("database_kind", DATABASE_KINDS)
def test_deferred_scans_are_limited_in_bytes(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with open_stores(database_kind, request, tmp_path) as gate:
        gate.reviews = ReviewQueue(
            gate.reviews.engine,  # type: ignore[attr-defined]
            gate.clock,
            deferred_scans_bytes_max=250,
        )
        assert [record_for_scan(gate.reviews, case) for case in "bcd"] == [True, True, False]


@pytest.mark.parametrize("database_kind", DATABASE_KINDS)
def test_scan_of_an_upload_with_another_key_is_skipped_after_three_tries(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with open_stores(database_kind, request, tmp_path) as gate:
        assert isinstance(gate.reviews, ReviewQueue)
        other = replace(gate.reviews, cipher=UploadCipher((Secret(b"l" * 32),)))
        assert [record_for_scan(other, case) for case in "bc"] == [True, True]
        assert record_for_scan(gate.reviews, "d")
        taken = gate.reviews.lease_deferred_scan(LEASE_DURATION)
        assert taken == UploadForDeferredScan("d", b"d" * 100)
        gate.reviews.finish_deferred_scan("d")
        assert gate.reviews.lease_deferred_scan(LEASE_DURATION) is None
        gate.clock.advance(minutes=2)
        assert other.lease_deferred_scan(LEASE_DURATION) == UploadForDeferredScan("b", b"b" * 100)
        other.finish_deferred_scan("b")
        for _ in range(2):
            assert gate.reviews.lease_deferred_scan(LEASE_DURATION) is None
            gate.clock.advance(minutes=2)
        assert gate.reviews.skip_overdue_deferred_scans(START_TIME) == 1
        assert gate.reviews.count_due_work().slow_looks_skipped == 1


def test_uploads_without_a_due_scan_keep_no_bytes(queue: ReviewQueue) -> None:
    queue.record_upload(replace(accepted_review("b"), slow_look_due=False), None)
    assert not queue.store_for_deferred_scan("b", b"bytes", 9)
    assert not queue.store_for_deferred_scan("nothing", b"bytes", 9)
    assert queue.lease_deferred_scan(LEASE_DURATION) is None
    assert queue.skip_overdue_deferred_scans(START_TIME + timedelta(days=1)) == 0


def test_bytes_kept_for_a_scan_are_not_shown_to_reviewers(queue: ReviewQueue) -> None:
    record_for_scan(queue, "b")
    assert not queue.review("b").has_bytes
    with pytest.raises(NoSuchReview):
        queue.upload_bytes("b")


def test_upload_found_by_a_scan_waits_with_its_bytes(gate: Stores) -> None:
    queue = gate.reviews
    record_for_scan(queue, "b")
    queue.lease_deferred_scan(LEASE_DURATION)
    assert queue.hold_retroactively(scan_matches("b"), 9)
    assert not queue.hold_retroactively(scan_matches("b"), 9)
    queue.finish_deferred_scan("b")  # no effect: the scan has already found a match
    review = queue.next_waiting_upload()
    assert review is not None
    assert (review.case, review.found, review.reference) == ("b", FoundBy.SLOW_LOOK, "post b")
    assert (review.state, review.decision.outcome) == (ReviewState.WAITING, Outcome.HOLD)
    assert (review.decision.matches, review.bits, review.has_bytes) == ((SCAN_MATCH,), HASH_2, True)
    assert (review.upload_sha256, queue.upload_bytes("b")) == (b"\x07" * 32, b"b" * 100)
    assert queue.count_due_work() == DueCounts()
    assert gate.bank.log(0, 9)[-1].what == "case found slowly"
    queue.decide_case("b", ReviewState.CONFIRMED, no_effect)
    assert not queue.review("b").has_bytes
    with pytest.raises(NoSuchReview):
        queue.upload_bytes("b")


@pytest.mark.threat("withdrawal-ignored")
def test_withdrawing_deletes_a_found_upload_s_bytes(gate: Stores) -> None:
    queue = gate.reviews
    for case in "bc":
        record_for_scan(queue, case)
    queue.lease_deferred_scan(LEASE_DURATION)
    assert queue.hold_retroactively(scan_matches("b"), 9)
    gate.bank.apply_event(SCAN_MATCH.claim, ClaimEvent.WITHDRAW)
    assert (queue.review("b").state, queue.count_waiting_items()) == (ReviewState.CLOSED, 0)
    assert queue.review("b").decision == Decision(Outcome.LET_THROUGH, "b")
    with pytest.raises(NoSuchReview):
        queue.upload_bytes("b")
    assert not queue.hold_retroactively(scan_matches("c"), 9)  # the claim is withdrawn already
    assert queue.count_due_work() == DueCounts(slow_looks=1)


def test_withdrawing_after_a_look_back_leaves_the_scan_due(gate: Stores) -> None:
    queue = gate.reviews
    record_for_scan(queue, "b")
    assert queue.hold_retroactively(RetroactiveMatches("b", (SCAN_MATCH,), 1), 9)
    assert not queue.hold_retroactively(scan_matches("b"), 9)
    gate.bank.withdraw(SCAN_MATCH.claim)
    assert queue.lease_deferred_scan(LEASE_DURATION) == UploadForDeferredScan("b", b"b" * 100)


def test_upload_decided_after_a_look_back_is_not_scanned(gate: Stores) -> None:
    queue = gate.reviews
    record_for_scan(queue, "b")
    queue.hold_retroactively(RetroactiveMatches("b", (SCAN_MATCH,), 1), 9)
    queue.decide_case("b", ReviewState.RELEASED, no_effect)
    assert queue.lease_deferred_scan(LEASE_DURATION) is None
    assert queue.count_due_work() == DueCounts()


def test_many_scan_matches_of_one_picture_are_one_item_with_some_bytes(queue: ReviewQueue) -> None:
    near = HASH_1[:31] + b"\x03"
    for number, case in enumerate("bcdefgh"):
        record_for_scan(queue, case)
        assert queue.hold_retroactively(scan_matches(case, bits=HASH_2 if number % 2 else near), 3)
    assert (queue.count_waiting_items(), queue.review("b").gathered) == (1, 6)
    kept = [case for case in "bcdefgh" if queue.review(case).has_bytes]
    # The queue keeps the bytes of the first three uploads, and of e, whose hash differs from b's.
    assert kept == ["b", "c", "d", "e"]
    assert [one.case for one in queue.published_to_review_or_remove("", 9)] == list("bcdefgh")


def test_published_uploads_are_listed_in_pages(gate: Stores) -> None:
    queue = gate.reviews
    waits = Review(
        Decision(Outcome.HOLD, "h", (SCAN_MATCH,)), START_TIME, ReviewState.WAITING, HASH_1
    )
    queue.record_upload(waits, b"never published")
    for case in "bcd":
        record_for_scan(queue, case)
        queue.hold_retroactively(
            scan_matches(case) if case != "c" else RetroactiveMatches("c", (SCAN_MATCH,), 1), 9
        )
    record_for_scan(queue, "e")
    page = queue.published_to_review_or_remove("", 2)
    assert [(one.case, one.reference) for one in page] == [("b", "post b"), ("c", "post c")]
    assert [one.case for one in queue.published_to_review_or_remove("c", 2)] == ["d"]
    queue.decide_case("b", ReviewState.RELEASED, no_effect)
    assert [one.case for one in queue.published_to_review_or_remove("", 9)] == ["c", "d"]


def published_match(case: str, **changes: Any) -> Review:
    """Return the review of a matching upload that the platform published at once."""
    decision = Decision(Outcome.HOLD, case, (SCAN_MATCH,))
    review = Review(
        decision, START_TIME, ReviewState.WAITING, HASH_1, 1, f"post {case}", FoundBy.PUBLISHED,
        upload_sha256=HASH_2, slow_look_due=True,
    )  # fmt: skip
    return replace(review, **changes)


def test_published_match_is_scanned_and_stays_in_the_review_queue(
    gate: Stores,
) -> None:
    queue = gate.reviews
    for case in "bc":
        queue.record_upload(published_match(case), None)
        queue.store_review_bytes(case, b"bytes of " + case.encode(), 9)
        assert queue.store_for_deferred_scan(case, b"bytes of " + case.encode(), 9)
    assert [one.case for one in queue.published_to_review_or_remove("", 9)] == ["b", "c"]
    taken = queue.lease_deferred_scan(LEASE_DURATION)
    assert taken == UploadForDeferredScan("b", b"bytes of b")
    queue.finish_deferred_scan("b")
    assert (queue.upload_bytes("b"), queue.count_due_work().slow_looks) == (b"bytes of b", 1)
    gate.bank.withdraw(SCAN_MATCH.claim)  # closes both cases; the scan of c is still due
    assert [queue.review(case).state for case in "bc"] == [ReviewState.CLOSED] * 2
    assert [queue.review(case).has_bytes for case in "bc"] == [False] * 2
    assert queue.lease_deferred_scan(LEASE_DURATION) == UploadForDeferredScan("c", b"bytes of c")
    queue.finish_deferred_scan("c")
    assert queue.count_due_work() == DueCounts()


def test_flood_of_published_matches_keeps_bytes_of_few_uploads(queue: ReviewQueue) -> None:
    for case in "bcdefgh":
        queue.record_upload(published_match(case), None)
        queue.store_review_bytes(case, b"bytes", 3)
        queue.store_for_deferred_scan(case, b"bytes", 9)
    while (taken := queue.lease_deferred_scan(LEASE_DURATION)) is not None:
        queue.finish_deferred_scan(taken.case)
    assert (queue.count_waiting_items(), queue.review("b").gathered) == (1, 6)
    assert queue.review("b").has_bytes
    assert sum(queue.review(case).has_bytes for case in "cdefgh") <= 3


def test_confirmed_published_upload_is_listed_for_removal(gate: Stores) -> None:
    queue = gate.reviews
    for case, found in (("b", FoundBy.PUBLISHED), ("c", FoundBy.UPLOAD)):
        queue.record_upload(published_match(case, found=found, secret_sha256=HASH_1), None)
    record_for_scan(queue, "d")
    assert queue.hold_retroactively(scan_matches("d"), 9)
    for case in "bcd":
        queue.decide_case(case, ReviewState.CONFIRMED, no_effect)
    listed = queue.published_to_review_or_remove("", 9)
    assert [(one.case, one.state, one.reference) for one in listed] == [
        ("b", ReviewState.CONFIRMED, "post b"),
        ("d", ReviewState.CONFIRMED, "post d"),
    ]
    assert [one.case for one in queue.published_to_review_or_remove("b", 9)] == ["d"]
    assert [one.bits for one in listed] == [None, None]
    assert (queue.review("c").reference, queue.delist_removed_uploads(gate.clock.now())) == ("", 0)
    queue.record_appeal(Appeal("b", HASH_1, START_TIME), None)  # b is not listed during the appeal
    assert [one.case for one in queue.published_to_review_or_remove("", 9)] == ["d"]
    assert queue.delist_removed_uploads(gate.clock.now() + PUBLISHED_LISTING_PERIOD) == 1
    assert (queue.published_to_review_or_remove("", 9), queue.review("d").reference) == ((), "")


def test_look_back_is_due_with_the_claim_and_again_after_its_lease_ends(gate: Stores) -> None:
    bank, queue = gate.bank, gate.reviews
    for name in "xyz":
        bank.register(Registration(claim(name), (HASH_2,), looks_back=name != "y"))
    assert queue.count_due_work().look_backs == 2
    until = gate.clock.now() + LEASE_DURATION
    assert list(queue.lease_look_backs(until, 1)) == ["x"]
    taken = queue.lease_look_backs(until, 9)
    assert list(taken) == ["z"]
    assert queue.lease_look_backs(until, 9) == {}
    queue.finish_look_backs(until, taken)
    gate.clock.advance(minutes=2)  # The lease of x ends; its look-back is not finished.
    until = gate.clock.now() + LEASE_DURATION
    taken = queue.lease_look_backs(until, 9)
    assert list(taken) == ["x"]
    queue.finish_look_backs(until, taken)
    assert queue.count_due_work() == DueCounts()


@pytest.mark.parametrize("is_leased", [False, True])
def test_look_back_due_or_leased_while_the_clock_was_ahead_is_due(
    gate: Stores, *, is_leased: bool
) -> None:
    """Claim x is registered while the clock is ahead, and y later. Both look-backs are due."""
    correct_time = gate.clock.moment
    gate.clock.advance(days=400)
    gate.bank.register(Registration(claim("x"), (HASH_2,), looks_back=True))
    if is_leased:
        assert list(gate.reviews.lease_look_backs(gate.clock.now() + LEASE_DURATION, 9)) == ["x"]
    gate.clock.moment = correct_time
    gate.bank.register(Registration(claim("y"), (HASH_2,), looks_back=True))
    until = gate.clock.now() + LEASE_DURATION
    taken = [claim for _ in range(2) for claim in gate.reviews.lease_look_backs(until, 9)]
    assert sorted(taken) == ["x", "y"]
    assert gate.reviews.lease_look_backs(until, 9) == {}
    gate.clock.advance(minutes=2)
    again = gate.reviews.lease_look_backs(gate.clock.now() + LEASE_DURATION, 9)
    assert sorted(again) == ["x", "y"]
    gate.reviews.finish_look_backs(gate.clock.now() + LEASE_DURATION, again)
    assert gate.reviews.count_due_work().look_backs == 0


def test_scan_leased_while_the_clock_was_ahead_is_due(gate: Stores) -> None:
    correct_time = gate.clock.moment
    assert record_for_scan(gate.reviews, "b")
    gate.clock.advance(days=400)
    assert gate.reviews.lease_deferred_scan(LEASE_DURATION) is not None
    gate.clock.moment = correct_time
    assert gate.reviews.lease_deferred_scan(LEASE_DURATION) == UploadForDeferredScan(
        "b", b"b" * 100
    )
    assert gate.reviews.lease_deferred_scan(LEASE_DURATION) is None


def test_process_whose_clock_is_behind_takes_no_leased_work(gate: Stores) -> None:
    """Setting the clock back by a minute simulates the second process."""
    assert record_for_scan(gate.reviews, "b")
    gate.bank.register(Registration(claim("x"), (HASH_2,), looks_back=True))
    assert gate.reviews.lease_deferred_scan(LEASE_DURATION) is not None
    assert gate.reviews.lease_look_backs(gate.clock.now() + LEASE_DURATION, 9)
    gate.clock.advance(minutes=-1)
    assert gate.reviews.lease_deferred_scan(LEASE_DURATION) is None
    assert gate.reviews.lease_look_backs(gate.clock.now() + LEASE_DURATION, 9) == {}


def test_clock_mark_records_a_jump_of_the_clock_until_it_is_undone(gate: Stores) -> None:
    minute = timedelta(minutes=1)
    assert gate.reviews.clock_mark() is None
    for _ in range(3):
        gate.reviews.record_clock(minute)
        gate.clock.advance(minutes=1)
    assert gate.reviews.clock_mark() == ClockMark(START_TIME)  # no jump was recorded
    gate.clock.advance(days=400)
    wrong_time = gate.clock.now()
    gate.reviews.record_clock(minute)
    assert gate.reviews.clock_mark() == ClockMark(START_TIME, wrong_time)
    gate.clock.advance(minutes=1)
    gate.reviews.record_clock(minute)
    assert gate.reviews.clock_mark() == ClockMark(START_TIME, wrong_time + minute, 60)
    gate.clock.moment = START_TIME + minute
    gate.reviews.record_clock(minute)
    assert gate.reviews.clock_mark() == ClockMark(START_TIME + minute)


@pytest.mark.parametrize("change", ["extended", "confirmed"])
def test_extended_or_confirmed_claim_is_due_for_a_look_back_again(
    gate: Stores, change: str
) -> None:
    """A change during a running look-back makes another look-back due."""
    bank, queue = gate.bank, gate.reviews
    bank.register(Registration(claim("x"), (HASH_2,)), Registration(claim("y"), (HASH_2,)))
    assert queue.count_due_work().look_backs == 0

    def make_due(number: int) -> None:
        if change == "extended":
            bank.add_upload_hashes([ClaimId("x")], bytes([number]) * 32, confirmed=True)
        else:
            bank.apply_event(ClaimId("x"), ClaimEvent.SUSPEND)
            bank.apply_event_to_all(ClaimEvent.CONFIRM, ClaimId("x"), ClaimId("nobody"))

    make_due(7)
    until = gate.clock.now() + LEASE_DURATION
    first = queue.lease_look_backs(until, 9)
    assert list(first) == ["x"]
    gate.clock.advance(seconds=1)
    make_due(8)
    queue.finish_look_backs(until, first)
    assert queue.count_due_work().look_backs == 1
    later = gate.clock.now() + LEASE_DURATION
    second = queue.lease_look_backs(later, 9)
    assert list(second) == ["x"]
    queue.finish_look_backs(until, first)  # no effect: x changed after the first lease
    assert queue.count_due_work().look_backs == 1
    queue.finish_look_backs(later, second)
    # A repeated confirmation makes a look-back due, too: it overrules releases made in between.
    bank.apply_event_to_all(ClaimEvent.CONFIRM, ClaimId("x"))
    assert queue.count_due_work().look_backs == 1


def test_look_backs_are_scheduled_for_all_active_claims_of_a_bank(
    gate: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_work, "_CLAIMS_PER_TRANSACTION", 3)
    bank, queue, other = gate.bank, gate.reviews, BankName("other")
    bank.set_bank(Bank(other))
    names = [f"{number}" for number in range(9)]
    bank.register(*(Registration(claim(one), (HASH_2,)) for one in names))
    bank.register(Registration(replace(claim("o"), bank=other), (HASH_2,)))
    bank.withdraw(ClaimId("0"))
    bank.apply_event(ClaimId("1"), ClaimEvent.SUSPEND)
    # Seven of the nine claims are active, and so is claim "a" of the fixture.
    assert queue.schedule_look_backs(PEOPLE) == queue.count_due_work().look_backs == 8
    assert queue.schedule_look_backs(other) == 1
    assert queue.schedule_look_backs(BankName("nothing")) == 0


def test_newest_claim_is_looked_back_for_first(gate: Stores) -> None:
    for name in "xyz":
        gate.bank.register(Registration(claim(name), (HASH_2,), looks_back=True))
    gate.clock.advance(seconds=1)
    gate.bank.register(Registration(claim("hers"), (HASH_2,), looks_back=True))
    until = gate.clock.now() + LEASE_DURATION
    assert list(gate.reviews.lease_look_backs(until, 2)) == ["hers", "x"]


def test_many_look_backs_are_taken_at_once(gate: Stores) -> None:
    names = [ClaimId(f"{number:04}") for number in range(1200)]
    gate.bank.register(*(Registration(claim(one), (HASH_2,), looks_back=True) for one in names))
    until = gate.clock.now() + LEASE_DURATION
    taken = gate.reviews.lease_look_backs(until, 1100)
    assert list(taken) == names[:1100]
    gate.reviews.finish_look_backs(until, taken)
    assert gate.reviews.count_due_work().look_backs == 100


@pytest.mark.parametrize("database_kind", DATABASE_KINDS)
def test_due_scan_survives_a_restart(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    engine = open_new_engine(database_kind, request, tmp_path)
    record_for_scan(ReviewQueue(engine), "b")
    engine.dispose()
    if database_kind == "sqlite":
        engine = open_engine(tmp_path / "gate.sqlite")
    assert ReviewQueue(engine).lease_deferred_scan(LEASE_DURATION) == UploadForDeferredScan(
        "b", b"b" * 100
    )
    engine.dispose()


def test_sqlite_finds_due_work_without_reading_uploads(tmp_path: Path) -> None:
    """The queries use the index waiting_late or the covering index slow_looks."""
    engine = open_engine(tmp_path / "gate.sqlite")
    queue, bank = ReviewQueue(engine), BankStore(engine)
    bank.set_bank(Bank(PEOPLE))
    bank.register(Registration(claim("a"), (HASH_1,)))
    statements: list[tuple[str, Any]] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2:4]))
    queue.published_to_review_or_remove("", 9)
    queue.lease_deferred_scan(LEASE_DURATION)
    queue.skip_overdue_deferred_scans(START_TIME)
    queue.count_due_work()
    bank.withdraw(ClaimId("a"))
    with engine.connect() as db:
        plans = [
            (
                statement,
                str(db.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()),
            )
            for statement, values in statements
            if statement.startswith("SELECT")
            and ("slow_look =" in statement or "upload.found !=" in statement)
        ]
    assert len(plans) == 6
    for statement, plan in plans:
        assert "waiting_late" in plan or "COVERING INDEX slow_looks" in plan, (statement, plan)


def test_sqlite_finding_nothing_due_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    """Finding out that nothing is due must not need the write lock."""
    engine = open_engine(tmp_path / "gate.sqlite")
    queue = ReviewQueue(engine)
    with concurrent_write(engine):
        assert queue.lease_deferred_scan(LEASE_DURATION) is None
        assert queue.lease_look_backs(START_TIME, 9) == {}
        assert queue.skip_overdue_deferred_scans(START_TIME) == 0
    engine.dispose()


@pytest.mark.real
def test_postgres_taking_skips_locked_rows(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """While another transaction locks the row of the first scan, the second scan is taken."""
    with open_stores("postgres", request, tmp_path) as gate:
        for case in "bc":
            record_for_scan(gate.reviews, case)
        engine = gate.reviews.engine  # type: ignore[attr-defined]
        with engine.begin() as other:
            other.exec_driver_sql("SELECT 1 FROM upload WHERE case_number = 'b' FOR UPDATE")
            assert gate.reviews.lease_deferred_scan(LEASE_DURATION) == UploadForDeferredScan(
                "c", b"c" * 100
            )
