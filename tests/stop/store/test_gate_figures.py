"""Tests of a gate's figures: claims, waiting and review times, shadow mode, missing keys."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.base.secret import Secret
from entrenous.fingerprint.nouns import Match
from entrenous.stop.nouns import Bank, GateFigures, ShadowOutcome
from entrenous.stop.registration import ClaimEvent, ClaimState, Registration
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.gate_figures import count_figures, count_oldest_undecryptable
from entrenous.stop.store.review_queue import ReviewQueue
from entrenous.stop.store.schema import UPLOAD_TABLE
from entrenous.stop.store.upload_encryption import UploadCipher
from entrenous.stop.upload_record import Appeal, Decision, DueCounts, Outcome, Review, ReviewState
from tests.deterministic import SettableClock
from tests.stop.store.bank_stores import HASH_1, HASH_2, START_TIME, claim, open_new_engine

TRIAL_BANK = BankName("trial")
DUE_COUNTS = DueCounts(3, 2, 1)


@dataclass
class DatabaseGate:
    engine: sa.Engine
    clock: SettableClock
    bank: BankStore
    reviews: ReviewQueue

    def count_figures(self) -> GateFigures:
        return count_figures(self.engine, self.clock.now(), DUE_COUNTS, with_shadow=True)

    def record_upload(
        self, case: str, outcome: Outcome, *matches: Match, would: Outcome | None = None
    ) -> None:
        waits = ReviewState.WAITING if outcome is Outcome.HOLD else ReviewState.CLOSED
        decision = Decision(outcome, case, matches, would)
        kept = {"bits": HASH_1, "secret_sha256": HASH_2, "upload_sha256": HASH_1}
        self.reviews.record_upload(Review(decision, self.clock.now(), waits, **kept), None)  # type: ignore[arg-type]

    def decide_case(self, case: str, state: ReviewState) -> None:
        self.reviews.decide_case(case, state, lambda *_: None)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real)])
def gate(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DatabaseGate]:
    engine, clock = open_new_engine(request.param, request, tmp_path), SettableClock(START_TIME)
    bank = BankStore(engine, clock)
    for name in ("people", "trial"):
        bank.set_bank(Bank(BankName(name), shadow=name == "trial"))
    yield DatabaseGate(engine, clock, bank, ReviewQueue(engine, clock))
    engine.dispose()


def test_figures_of_an_empty_gate(gate: DatabaseGate) -> None:
    assert gate.count_figures() == GateFigures(START_TIME, {}, 0, 0, due=DUE_COUNTS)
    assert gate.count_figures().oldest_wait == timedelta()


def test_claims_are_counted_by_kind_and_state(gate: DatabaseGate) -> None:
    for name, state in (("a", "waiting"), ("b", "confirmed"), ("c", "waiting")):
        gate.bank.register(Registration(claim(name, ClaimState(state)), (HASH_1,), (HASH_2,)))
    gate.bank.apply_event(ClaimId("c"), ClaimEvent.WITHDRAW)
    figures = gate.count_figures()
    assert figures.claims == {("pdq", one): 1 for one in ("waiting", "confirmed", "withdrawn")}
    assert figures.hashes == 2


def test_oldest_wait_begins_in_the_review_queue(gate: DatabaseGate) -> None:
    """An upload waits from its arrival, and an appeal from the time of the appeal."""
    gate.record_upload("refused", Outcome.REFUSE)
    gate.clock.advance(days=9)
    gate.reviews.record_appeal(Appeal("refused", HASH_2, gate.clock.now()), None)
    gate.clock.advance(hours=2)
    gate.record_upload("held", Outcome.HOLD)
    assert gate.count_figures().waiting == 2
    assert gate.count_figures().oldest_wait == timedelta(hours=2)
    gate.clock.advance(hours=22)
    assert not gate.count_figures().is_overdue
    gate.clock.advance(minutes=1)
    assert gate.count_figures().is_overdue
    gate.decide_case("refused", ReviewState.RELEASED)
    assert gate.count_figures().oldest_wait == timedelta(hours=22, minutes=1)


def test_wait_of_a_retroactive_match_begins_when_found(gate: DatabaseGate) -> None:
    gate.record_upload("old", Outcome.LET_THROUGH)
    gate.clock.advance(days=9)
    with gate.engine.begin() as db:  # Change the row as a look-back does.
        now = (gate.clock.now() - datetime(1970, 1, 1, tzinfo=START_TIME.tzinfo)) // timedelta(
            microseconds=1
        )
        db.execute(UPLOAD_TABLE.update().values(state="waiting", outcome="hold", waits_since=now))
    gate.clock.advance(hours=3)
    assert gate.count_figures().oldest_wait == timedelta(hours=3)
    gate.decide_case("old", ReviewState.CONFIRMED)
    assert gate.count_figures().review_s == 3 * 3600


def test_median_review_time_is_over_all_decisions(gate: DatabaseGate) -> None:
    for hours, case in ((1, "one"), (2, "two"), (30, "three")):
        gate.record_upload(case, Outcome.HOLD)
        gate.clock.advance(hours=hours)
        gate.decide_case(case, ReviewState.CONFIRMED if hours > 1 else ReviewState.RELEASED)
    assert gate.count_figures().review_s == 2 * 3600


def test_review_time_of_an_appealed_case_begins_with_the_appeal(gate: DatabaseGate) -> None:
    gate.record_upload("held", Outcome.HOLD)
    gate.clock.advance(hours=4)
    gate.decide_case("held", ReviewState.CONFIRMED)
    gate.clock.advance(hours=1)
    gate.reviews.record_appeal(Appeal("held", HASH_2, gate.clock.now()), None)
    assert gate.count_figures().review_s is None
    gate.clock.advance(hours=6)
    gate.decide_case("held", ReviewState.RELEASED)
    assert gate.count_figures().review_s == 6 * 3600


def test_shadow_tally_counts_nearest_match_per_bank(gate: DatabaseGate) -> None:
    shadow_match, farther = (Match(TRIAL_BANK, ClaimId("a"), bits, "as it is") for bits in (5, 20))
    live_match = Match(BankName("people"), ClaimId("b"), 0, "mirror")
    gate.record_upload("too old", Outcome.LET_THROUGH, shadow_match, would=Outcome.REFUSE)
    gate.clock.advance(days=31)
    gate.record_upload(
        "one", Outcome.LET_THROUGH, farther, shadow_match, live_match, would=Outcome.REFUSE
    )
    gate.record_upload("two", Outcome.LET_THROUGH, shadow_match, would=Outcome.REFUSE)
    gate.record_upload(
        "three", Outcome.LET_THROUGH, replace(shadow_match, distance=4), would=Outcome.HOLD
    )
    gate.record_upload("alike", Outcome.HOLD, shadow_match)
    assert gate.count_figures().shadow == {
        ShadowOutcome(TRIAL_BANK, Outcome.REFUSE, 4): 2,
        ShadowOutcome(TRIAL_BANK, Outcome.HOLD, 4): 1,
    }
    gate.bank.set_bank(Bank(TRIAL_BANK))
    assert gate.count_figures().shadow == {}


def test_counting_the_queue_reads_no_upload(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The query is answered from a covering index alone."""
    engine = open_new_engine("sqlite", request, tmp_path)
    plans: list[str] = []

    def record_query_plan(
        db: sa.Connection, _cursor: object, statement: str, given: object, *_: object
    ) -> None:
        if "upload.waits_since" in statement and "min(" in statement:
            rows = db.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", given)
            plans.extend(row[3] for row in rows.fetchall())

    sa.event.listen(engine, "before_cursor_execute", record_query_plan)
    count_figures(engine, START_TIME, DUE_COUNTS)
    engine.dispose()
    assert plans
    assert all("COVERING INDEX waiting_since" in one for one in plans), plans


def test_undecryptable_uploads_are_counted(gate: DatabaseGate) -> None:
    """Uploads that are stored unencrypted, or without bytes, need no key and are not counted."""
    old, new = Secret(b"1" * 32), Secret(b"2" * 32)
    for case, keys in (("plain", ()), ("old", (old,)), ("new", (new, old))):
        queue = ReviewQueue(gate.engine, gate.clock, cipher=UploadCipher(keys))
        decision = Decision(Outcome.HOLD, case, ())
        queue.record_upload(Review(decision, gate.clock.now(), ReviewState.WAITING), b"a picture")
    gate.record_upload("not-kept", Outcome.HOLD)
    for keys, undecryptable in (((), 2), ((old,), 1), ((new,), 1), ((new, old), 0)):
        assert count_oldest_undecryptable(gate.engine, UploadCipher(keys)) == undecryptable
