"""ReviewQueue: one suite, every adapter."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from entrenous.adapters.bank.engine import open_engine
from entrenous.adapters.bank.memory_reviews import MemoryReviewQueue
from entrenous.adapters.bank.sql_reviews import SqlReviewQueue
from entrenous.model.bank import (
    AlreadyDecided,
    Decision,
    NoSuchReview,
    Outcome,
    Review,
    ReviewState,
)
from entrenous.model.fingerprint import Match
from entrenous.model.ids import BankName, ClaimId
from entrenous.ports import ReviewQueue

AT = datetime(2026, 11, 25, 12, 0, 0, 7, tzinfo=UTC)
MATCHES = (
    Match(BankName("people"), ClaimId("a"), 4, "mirror, border removed"),
    Match(BankName("people"), ClaimId("b"), 12, "cut-out", part=True),
)


@pytest.fixture(params=["memory", "sqlite"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> ReviewQueue:
    make: dict[str, Callable[[], ReviewQueue]] = {
        "memory": MemoryReviewQueue,
        "sqlite": lambda: SqlReviewQueue(open_engine(tmp_path / "gate.sqlite")),
    }
    return make[request.param]()


def held(case: str) -> Review:
    return Review(Decision(Outcome.HOLD, case, MATCHES), AT, ReviewState.WAITING, b"\x09" * 32)


def test_first_come_first_reviewed(queue: ReviewQueue) -> None:
    for case in ("b", "a"):
        queue.record(held(case), case.encode())
    queue.record(Review(Decision(Outcome.LET_THROUGH, "c"), AT, ReviewState.CLOSED), None)
    assert queue.waiting() == 2
    assert queue.next() == held("b")
    assert queue.upload("b") == b"b"
    assert queue.close("b", ReviewState.RELEASED) == held("b")
    assert queue.next() == held("a")
    queue.close("a", ReviewState.CONFIRMED)
    assert (queue.next(), queue.waiting()) == (None, 0)


def test_a_decided_upload_is_forgotten_and_decided_once(queue: ReviewQueue) -> None:
    queue.record(held("a"), b"bytes of the upload")
    queue.close("a", ReviewState.CONFIRMED)
    closed = queue.review("a")
    assert (closed.state, closed.bits, closed.decision) == (
        ReviewState.CONFIRMED,
        None,
        held("a").decision,
    )
    with pytest.raises(NoSuchReview):
        queue.upload("a")
    with pytest.raises(AlreadyDecided, match="confirmed"):
        queue.close("a", ReviewState.RELEASED)
    assert queue.review("a").state is ReviewState.CONFIRMED


def test_sqlite_a_decided_upload_is_not_left_in_the_file(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "gate.sqlite")
    queue = SqlReviewQueue(engine)
    upload = bytes(range(256)) * 200
    queue.record(held("a"), upload)
    assert any(upload[:256] in file.read_bytes() for file in tmp_path.iterdir())
    queue.close("a", ReviewState.RELEASED)
    assert not any(upload[:256] in file.read_bytes() for file in tmp_path.iterdir())
    engine.dispose()


def test_what_is_not_there(queue: ReviewQueue) -> None:
    for ask in (queue.review, queue.upload, lambda case: queue.close(case, ReviewState.RELEASED)):
        with pytest.raises(NoSuchReview):
            ask("x")
    assert queue.next() is None
