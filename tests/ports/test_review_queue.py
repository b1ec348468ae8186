"""ReviewQueue: one suite, every adapter."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from entrenous.adapters.bank.engine import open_engine
from entrenous.adapters.bank.memory_bank import MemoryBankStore
from entrenous.adapters.bank.memory_reviews import MemoryReviewQueue
from entrenous.adapters.bank.sql_reviews import SqlReviewQueue
from entrenous.model.bank import (
    AlreadyDecided,
    Bank,
    BankUnreachable,
    Decision,
    NoSuchReview,
    Outcome,
    Review,
    ReviewState,
)
from entrenous.model.fingerprint import Match
from entrenous.model.ids import BankName, ClaimId
from entrenous.ports import BankStore, ReviewQueue

AT = datetime(2026, 11, 25, 12, 0, 0, 7, tzinfo=UTC)
MATCHES = (
    Match(BankName("people"), ClaimId("a"), 4, "mirror, border removed"),
    Match(BankName("people"), ClaimId("b"), 12, "cut-out", part=True),
)


@pytest.fixture(params=["memory", "sqlite"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> ReviewQueue:
    make: dict[str, Callable[[], ReviewQueue]] = {
        "memory": lambda: MemoryReviewQueue(MemoryBankStore()),
        "sqlite": lambda: SqlReviewQueue(open_engine(tmp_path / "gate.sqlite")),
    }
    return make[request.param]()


def nothing_else(_review: Review, _bank: BankStore) -> None:
    """A decision that means nothing for the bank."""


def held(case: str) -> Review:
    return Review(Decision(Outcome.HOLD, case, MATCHES), AT, ReviewState.WAITING, b"\x09" * 32)


def test_first_come_first_reviewed(queue: ReviewQueue) -> None:
    for case in ("b", "a"):
        queue.record(held(case), case.encode())
    queue.record(Review(Decision(Outcome.LET_THROUGH, "c"), AT, ReviewState.CLOSED), None)
    assert queue.waiting() == 2
    assert queue.next() == held("b")
    assert queue.upload("b") == b"b"
    assert queue.close("b", ReviewState.RELEASED, nothing_else) == held("b")
    assert queue.next() == held("a")
    queue.close("a", ReviewState.CONFIRMED, nothing_else)
    assert (queue.next(), queue.waiting()) == (None, 0)


def test_a_decided_upload_is_forgotten_and_decided_once(queue: ReviewQueue) -> None:
    queue.record(held("a"), b"bytes of the upload")
    queue.close("a", ReviewState.CONFIRMED, nothing_else)
    closed = queue.review("a")
    assert (closed.state, closed.bits, closed.decision) == (
        ReviewState.CONFIRMED,
        None,
        held("a").decision,
    )
    with pytest.raises(NoSuchReview):
        queue.upload("a")
    with pytest.raises(AlreadyDecided, match="confirmed"):
        queue.close("a", ReviewState.RELEASED, nothing_else)
    assert queue.review("a").state is ReviewState.CONFIRMED


def test_sqlite_a_decided_upload_is_not_left_in_the_file(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "gate.sqlite")
    queue = SqlReviewQueue(engine)
    upload = bytes(range(256)) * 200
    queue.record(held("a"), upload)
    assert any(upload[:256] in file.read_bytes() for file in tmp_path.iterdir())
    queue.close("a", ReviewState.RELEASED, nothing_else)
    assert not any(upload[:256] in file.read_bytes() for file in tmp_path.iterdir())
    engine.dispose()


def test_a_decision_and_what_it_means_for_the_bank_are_one(queue: ReviewQueue) -> None:
    """A database that is busy in between leaves the upload waiting and the bank as it was."""
    queue.record(held("a"), b"bytes of the upload")
    name = BankName("made on the way")

    def breaks(_review: Review, bank: BankStore) -> None:
        bank.set_bank(Bank(name))
        raise BankUnreachable(why="busy")

    with pytest.raises(BankUnreachable):
        queue.close("a", ReviewState.CONFIRMED, breaks)
    assert queue.review("a") == held("a")
    assert queue.upload("a") == b"bytes of the upload"
    seen: list[Bank] = []
    queue.close("a", ReviewState.RELEASED, lambda _review, bank: seen.extend(bank.banks()))
    assert name not in {bank.name for bank in seen}


def test_what_is_not_there(queue: ReviewQueue) -> None:
    def close(case: str) -> Review:
        return queue.close(case, ReviewState.RELEASED, nothing_else)

    for ask in (queue.review, queue.upload, close):
        with pytest.raises(NoSuchReview):
            ask("x")
    assert queue.next() is None
