"""Fetching into a bank: withdrawals at the source are applied; kills lose nothing."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from entrenous.base.identifiers import BankName
from entrenous.stop.exchange_fetch import fetch_source
from entrenous.stop.exchange_nouns import (
    Source,
    SourceKind,
    SourcePage,
    SourceRecord,
    SourceUnreachable,
)
from entrenous.stop.registration import AlreadyWithdrawn, ClaimState
from tests.stop.exchange.exchange_for_tests import Room, bits

pytestmark = pytest.mark.slow

THEIRS = BankName("theirs")
SOURCE = Source("charity", SourceKind.STOPNCII, "https://charity.example/v1", THEIRS)


def live(*numbers: int, version: int = 1) -> tuple[SourceRecord, ...]:
    return tuple(SourceRecord(f"k{one}", version, (bits(one),)) for one in numbers)


@dataclass
class Script:
    """A source that yields these pages and can fail before one of them."""

    all_pages: Sequence[SourcePage]
    stale_after: timedelta | None = timedelta(days=30)
    breaks_before: int | None = None
    begun_at: list[str] = field(default_factory=list)

    def pages(self, token: str) -> Iterator[SourcePage]:
        self.begun_at.append(token)
        for number, page in enumerate(self.all_pages):
            if number < int(token or 0):
                continue
            if number == self.breaks_before:
                raise SourceUnreachable(name="charity", why="the connection failed")
            yield page


def script(*records: tuple[SourceRecord, ...], **more: object) -> Script:
    return Script([SourcePage(one, str(n)) for n, one in enumerate(records, start=1)], **more)  # type: ignore[arg-type]


@pytest.fixture
def known(room: Room) -> Room:
    room.exchange.sources.add(SOURCE)
    return room


def protected(room: Room) -> set[bytes]:
    numbers = {entry.number: entry.bits for entry in room.bank.entries(0)}
    found = room.bank.claims_on_pictures(numbers)
    return {numbers[number] for number, claim in found if claim.bank == THEIRS}


def run(room: Room, fetcher: Script, **more: bool) -> object:
    return fetch_source(SOURCE, fetcher, room.exchange, room.platform, **more)


def test_records_become_waiting_claims_in_a_bank_of_their_own(known: Room) -> None:
    run(known, script(live(1, 2), live(3)))
    assert protected(known) == {bits(1), bits(2), bits(3)}
    states = {claim.state for _, claim in known.bank.claims_on_pictures([1, 2, 3])}
    assert states == {ClaimState.WAITING}


def test_fetched_claims_are_confirmed_only_if_the_operator_vouches(room: Room) -> None:
    source = Source("own", SourceKind.FILE, "/list", THEIRS, confirmed=True)
    room.exchange.sources.add(source)
    fetch_source(source, script(live(1)), room.exchange, room.platform)
    assert [claim.state for _, claim in room.bank.claims_on_pictures([1])] == [ClaimState.CONFIRMED]


def test_withdrawal_at_the_source_withdraws_here(known: Room) -> None:
    run(known, script(live(1, 2)))
    done = run(known, script(live(1, 2), (SourceRecord("k1", 2),)))
    assert protected(known) == {bits(2)}
    assert done.withdrawn == 1  # type: ignore[attr-defined]


def test_interrupted_fetch_resumes_after_its_last_page(known: Room) -> None:
    pages = (live(1), live(2), live(3))
    broken = script(*pages, breaks_before=2)
    with pytest.raises(SourceUnreachable):
        run(known, broken)
    assert protected(known) == {bits(1), bits(2)}
    again = script(*pages)
    run(known, again)
    assert again.begun_at == ["2"]
    assert protected(known) == {bits(1), bits(2), bits(3)}


class Killed(BaseException):
    pass


class Mortal:
    """Raise Killed in a fetch after ``left`` changes of the bank or of the source's records."""

    def __init__(self, room: Room, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
        self.left = left
        for whole, name in (
            (type(room.exchange.sources), "store_page"),
            (type(room.bank), "register"),
            (type(room.bank), "withdraw"),
        ):
            monkeypatch.setattr(whole, name, self._counted(getattr(whole, name)))

    def _counted(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any) -> Any:
            if self.left == 0:
                raise Killed
            self.left -= 1
            return change(*given)

        return counted


@pytest.mark.threat("withdrawal-ignored")
@pytest.mark.parametrize("left", range(12))
@pytest.mark.parametrize(
    ("then", "protects"),
    [
        # The records after the kill are the same as before it, withdrawn, or changed.
        ((*live(1, version=2), SourceRecord("k2", 2, (bits(7),)), *live(3)), {1, 7, 3}),
        ((SourceRecord("k1", 3), SourceRecord("k2", 3), SourceRecord("k3", 3)), set()),
        ((SourceRecord("k2", 3, (bits(8),)), *live(1, 3, version=3)), {8, 1, 3}),
    ],
)
def test_fetch_killed_anywhere_loses_nothing(
    known: Room,
    monkeypatch: pytest.MonkeyPatch,
    left: int,
    then: tuple[SourceRecord, ...],
    protects: set[int],
) -> None:
    run(known, script(live(1, 2)))
    news = (*live(1, version=2), SourceRecord("k2", 2, (bits(7),)), *live(3))
    with monkeypatch.context() as mortal, suppress(Killed):
        Mortal(known, mortal, left)
        run(known, script(live(1, 2), news))
    run(known, script(live(1, 2), then, then))
    assert protected(known) == {bits(number) for number in protects}
    assert known.exchange.sources.count_records_with_claim("charity") == len(protects)
    claims = known.bank.claims_on_pictures([entry.number for entry in known.bank.entries(0)])
    assert len(claims) == len(protects)


def test_fetch_killed_repeatedly_creates_no_duplicates(
    known: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    always = timedelta(0)
    for left in range(8):
        with monkeypatch.context() as mortal, suppress(Killed):
            Mortal(known, mortal, left)
            run(known, script(live(1, 2, version=0), live(3, version=0), stale_after=always))
        known.clock.wind(days=2)  # a new generation each time
    run(known, script(live(1, 2, version=0), live(3, version=0), stale_after=always))
    assert protected(known) == {bits(1), bits(2), bits(3)}
    assert known.bank.count_claims_and_hashes().claims == 3


def test_stale_checkpoint_restarts_and_withdraws_missing(known: Room) -> None:
    run(known, script(live(1, 2, 3)))
    known.clock.wind(days=29)
    again = script(live(1, 2, 3))
    run(known, again)
    assert again.begun_at == ["1"]
    known.clock.wind(days=31)
    fresh = script(live(1, 3))
    run(known, fresh)
    assert fresh.begun_at == [""]
    assert protected(known) == {bits(1), bits(3)}


def test_fetch_without_checkpoints_is_complete(known: Room) -> None:
    always = timedelta(0)
    run(known, script(live(1, 2, version=0), stale_after=always))
    run(known, script(live(2, 3, version=0), stale_after=always))
    assert protected(known) == {bits(2), bits(3)}
    run(known, script(live(1, 2, version=0), stale_after=always))
    assert protected(known) == {bits(1), bits(2)}


def test_interrupted_source_withdraws_nothing(known: Room) -> None:
    always = timedelta(0)
    run(known, script(live(1, 2), live(3), stale_after=always))
    with pytest.raises(SourceUnreachable):
        run(known, script(live(1), live(3), stale_after=always, breaks_before=1))
    assert protected(known) == {bits(1), bits(2), bits(3)}


def test_emptied_source_needs_confirmation(known: Room) -> None:
    always = timedelta(0)
    run(known, script(live(*range(30)), stale_after=always))
    done = run(known, script(live(0), stale_after=always))
    assert done.kept == 29  # type: ignore[attr-defined]
    assert len(protected(known)) == 30
    run(known, script(live(0), stale_after=always), accept_shrinking=True)
    assert protected(known) == {bits(0)}


def test_replaced_list_needs_confirmation(known: Room) -> None:
    always = timedelta(0)
    run(known, script(live(*range(30)), stale_after=always))
    done = run(known, script(live(*range(100, 130)), stale_after=always))
    assert done.kept == 30  # type: ignore[attr-defined]
    assert {bits(number) for number in range(30)} <= protected(known)


def test_unreadable_records_are_not_withdrawn(known: Room) -> None:
    always = timedelta(0)
    run(known, script(live(*range(30)), stale_after=always))
    known.clock.wind(hours=1)
    unreadable = SourcePage(live(*range(10)), "1", ("record 1: it is not JSON",))
    rest = SourcePage(live(*range(10, 29)), "2")
    with pytest.raises(SourceUnreachable):
        run(known, Script([unreadable, rest], always, breaks_before=1))
    known.clock.wind(hours=1)
    done = run(known, Script([unreadable, rest], always))  # continues the same generation
    assert (done.refused, done.kept, done.withdrawn) == (0, 1, 0)  # type: ignore[attr-defined]
    assert len(protected(known)) == 30
    # All records of the next generation are readable.
    run(known, script(live(*range(29)), stale_after=always))
    assert len(protected(known)) == 29


def test_bad_records_are_counted_and_the_page_kept(known: Room) -> None:
    page = SourcePage(live(1), "1", tuple(f"record {one}: bad" for one in range(25)))
    done = run(known, Script([page]))
    assert protected(known) == {bits(1)}
    assert (done.refused, len(done.reasons)) == (25, 10)  # type: ignore[attr-defined]


def test_claim_withdrawn_by_its_holder_stays_withdrawn(known: Room) -> None:
    run(known, script(live(1)))
    from entrenous.stop.registration import ClaimEvent

    claim = known.bank.claims_on_pictures([1])[0][1].id
    known.bank.apply_event(claim, ClaimEvent.WITHDRAW)
    run(known, script(live(1), live(1, version=2)))
    assert protected(known) == set()
    with pytest.raises(AlreadyWithdrawn):
        known.bank.apply_event(claim, ClaimEvent.CONFIRM)
