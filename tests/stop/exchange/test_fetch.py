"""Fetching claims from a source into a bank: withdrawals, failures and killed fetches.

A generation is a complete reading of the source (docs/spec/exchange.md, 6.5).
"""

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
from tests.stop.exchange.exchange_for_tests import ExchangeSetup, fake_hash

pytestmark = pytest.mark.slow

SOURCE_BANK = BankName("theirs")
SOURCE = Source("charity", SourceKind.STOPNCII, "https://charity.example/v1", SOURCE_BANK)


def source_records(*numbers: int, version: int = 1) -> tuple[SourceRecord, ...]:
    return tuple(SourceRecord(f"k{one}", version, (fake_hash(one),)) for one in numbers)


@dataclass
class ScriptedSource:
    """A source that yields ``all_pages``, or fails before the page with index ``fails_before``."""

    all_pages: Sequence[SourcePage]
    stale_after: timedelta | None = timedelta(days=30)
    fails_before: int | None = None
    start_tokens: list[str] = field(default_factory=list)

    def pages(self, token: str) -> Iterator[SourcePage]:
        self.start_tokens.append(token)
        for number, page in enumerate(self.all_pages):
            if number < int(token or 0):
                continue
            if number == self.fails_before:
                raise SourceUnreachable(name="charity", why="the connection failed")
            yield page


def scripted_source(
    *pages_of_records: tuple[SourceRecord, ...], **options: object
) -> ScriptedSource:
    pages = [SourcePage(one, str(number)) for number, one in enumerate(pages_of_records, start=1)]
    return ScriptedSource(pages, **options)  # type: ignore[arg-type]


@pytest.fixture
def exchange_setup(exchange_setup: ExchangeSetup) -> ExchangeSetup:
    exchange_setup.exchange.sources.add(SOURCE)
    return exchange_setup


def protected_hashes(exchange_setup: ExchangeSetup) -> set[bytes]:
    numbers = {entry.number: entry.bits for entry in exchange_setup.bank.entries(0)}
    numbered_claims = exchange_setup.bank.claims_on_pictures(numbers)
    return {numbers[number] for number, claim in numbered_claims if claim.bank == SOURCE_BANK}


def fetch(exchange_setup: ExchangeSetup, fetcher: ScriptedSource, **options: bool) -> object:
    return fetch_source(
        SOURCE, fetcher, exchange_setup.exchange, exchange_setup.platform, **options
    )


def test_records_become_waiting_claims_in_the_bank_of_the_source(
    exchange_setup: ExchangeSetup,
) -> None:
    fetch(exchange_setup, scripted_source(source_records(1, 2), source_records(3)))
    assert protected_hashes(exchange_setup) == {fake_hash(1), fake_hash(2), fake_hash(3)}
    states = {claim.state for _, claim in exchange_setup.bank.claims_on_pictures([1, 2, 3])}
    assert states == {ClaimState.WAITING}


def test_fetched_claims_are_confirmed_if_the_operator_vouches(
    exchange_setup: ExchangeSetup,
) -> None:
    source = Source("own", SourceKind.FILE, "/list", SOURCE_BANK, confirmed=True)
    exchange_setup.exchange.sources.add(source)
    fetch_source(
        source, scripted_source(source_records(1)), exchange_setup.exchange, exchange_setup.platform
    )
    assert [claim.state for _, claim in exchange_setup.bank.claims_on_pictures([1])] == [
        ClaimState.CONFIRMED
    ]


def test_withdrawal_at_the_source_withdraws_the_claim(exchange_setup: ExchangeSetup) -> None:
    fetch(exchange_setup, scripted_source(source_records(1, 2)))
    done = fetch(exchange_setup, scripted_source(source_records(1, 2), (SourceRecord("k1", 2),)))
    assert protected_hashes(exchange_setup) == {fake_hash(2)}
    assert done.withdrawn == 1  # type: ignore[attr-defined]


def test_interrupted_fetch_resumes_after_its_last_page(exchange_setup: ExchangeSetup) -> None:
    pages = (source_records(1), source_records(2), source_records(3))
    broken = scripted_source(*pages, fails_before=2)
    with pytest.raises(SourceUnreachable):
        fetch(exchange_setup, broken)
    assert protected_hashes(exchange_setup) == {fake_hash(1), fake_hash(2)}
    again = scripted_source(*pages)
    fetch(exchange_setup, again)
    assert again.start_tokens == ["2"]
    assert protected_hashes(exchange_setup) == {fake_hash(1), fake_hash(2), fake_hash(3)}


class Killed(BaseException):
    """Raised where a real process would be killed."""


class KillAfterChanges:
    """Lets the first changes of the bank or the records pass, and raises Killed at later ones.

    ``changes_left`` is the number of changes that may still pass.
    """

    def __init__(
        self, exchange_setup: ExchangeSetup, monkeypatch: pytest.MonkeyPatch, changes_left: int
    ) -> None:
        self.changes_left = changes_left
        for owner, name in (
            (type(exchange_setup.exchange.sources), "store_page"),
            (type(exchange_setup.bank), "register"),
            (type(exchange_setup.bank), "withdraw"),
        ):
            monkeypatch.setattr(owner, name, self._kill_at_limit(getattr(owner, name)))

    def _kill_at_limit(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def change_or_kill(*arguments: Any) -> Any:
            if self.changes_left == 0:
                raise Killed
            self.changes_left -= 1
            return change(*arguments)

        return change_or_kill


@pytest.mark.threat("withdrawal-ignored")
@pytest.mark.parametrize("changes_before_kill", range(12))
@pytest.mark.parametrize(
    ("later_records", "expected"),
    [
        # After the kill, one of the records has a new hash, or all records are withdrawn.
        (
            (
                *source_records(1, version=2),
                SourceRecord("k2", 2, (fake_hash(7),)),
                *source_records(3),
            ),
            {1, 7, 3},
        ),
        ((SourceRecord("k1", 3), SourceRecord("k2", 3), SourceRecord("k3", 3)), set()),
        ((SourceRecord("k2", 3, (fake_hash(8),)), *source_records(1, 3, version=3)), {8, 1, 3}),
    ],
)
def test_fetch_killed_anywhere_loses_and_duplicates_nothing(
    exchange_setup: ExchangeSetup,
    monkeypatch: pytest.MonkeyPatch,
    changes_before_kill: int,
    later_records: tuple[SourceRecord, ...],
    expected: set[int],
) -> None:
    fetch(exchange_setup, scripted_source(source_records(1, 2)))
    new_records = (
        *source_records(1, version=2),
        SourceRecord("k2", 2, (fake_hash(7),)),
        *source_records(3),
    )
    with monkeypatch.context() as patched, suppress(Killed):
        KillAfterChanges(exchange_setup, patched, changes_before_kill)
        fetch(exchange_setup, scripted_source(source_records(1, 2), new_records))
    fetch(exchange_setup, scripted_source(source_records(1, 2), later_records, later_records))
    assert protected_hashes(exchange_setup) == {fake_hash(number) for number in expected}
    assert exchange_setup.exchange.sources.count_records_with_claim("charity") == len(expected)
    claims = exchange_setup.bank.claims_on_pictures(
        [entry.number for entry in exchange_setup.bank.entries(0)]
    )
    assert len(claims) == len(expected)


def test_fetch_killed_repeatedly_creates_no_duplicates(
    exchange_setup: ExchangeSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    zero, pages = timedelta(0), (source_records(1, 2, version=0), source_records(3, version=0))
    for changes in range(8):
        with monkeypatch.context() as patched, suppress(Killed):
            KillAfterChanges(exchange_setup, patched, changes)
            fetch(exchange_setup, scripted_source(*pages, stale_after=zero))
        exchange_setup.clock.advance(days=2)  # so that each fetch begins a new generation
    fetch(exchange_setup, scripted_source(*pages, stale_after=zero))
    assert protected_hashes(exchange_setup) == {fake_hash(1), fake_hash(2), fake_hash(3)}
    assert exchange_setup.bank.count_claims_and_hashes().claims == 3


def test_stale_checkpoint_restarts_the_fetch_and_withdraws_missing_records(
    exchange_setup: ExchangeSetup,
) -> None:
    fetch(exchange_setup, scripted_source(source_records(1, 2, 3)))
    exchange_setup.clock.advance(days=29)
    again = scripted_source(source_records(1, 2, 3))
    fetch(exchange_setup, again)
    assert again.start_tokens == ["1"]
    exchange_setup.clock.advance(days=31)
    fresh = scripted_source(source_records(1, 3))
    fetch(exchange_setup, fresh)
    assert fresh.start_tokens == [""]
    assert protected_hashes(exchange_setup) == {fake_hash(1), fake_hash(3)}


@pytest.mark.parametrize("fails_before", [None, 1])
@pytest.mark.parametrize("stale_after", [timedelta(0), timedelta(days=30)])
def test_fetch_after_one_with_a_clock_that_was_ahead_starts_over(
    exchange_setup: ExchangeSetup, stale_after: timedelta, fails_before: int | None
) -> None:
    exchange_setup.clock.advance(days=31)
    pages = (source_records(1, 2), source_records(3))
    with suppress(SourceUnreachable):
        fetch(
            exchange_setup,
            scripted_source(*pages, stale_after=stale_after, fails_before=fails_before),
        )
    exchange_setup.clock.advance(days=-31)
    pages = (source_records(1), source_records(3))
    broken = scripted_source(*pages, stale_after=stale_after, fails_before=1)
    with pytest.raises(SourceUnreachable):
        fetch(exchange_setup, broken)
    again = scripted_source(*pages, stale_after=stale_after)
    fetch(exchange_setup, again)
    assert (broken.start_tokens, again.start_tokens) == ([""], ["1"])
    assert protected_hashes(exchange_setup) == {fake_hash(1), fake_hash(3)}


def test_fetch_without_a_checkpoint_withdraws_missing_records(
    exchange_setup: ExchangeSetup,
) -> None:
    zero = timedelta(0)
    fetch(exchange_setup, scripted_source(source_records(1, 2, version=0), stale_after=zero))
    fetch(exchange_setup, scripted_source(source_records(2, 3, version=0), stale_after=zero))
    assert protected_hashes(exchange_setup) == {fake_hash(2), fake_hash(3)}
    fetch(exchange_setup, scripted_source(source_records(1, 2, version=0), stale_after=zero))
    assert protected_hashes(exchange_setup) == {fake_hash(1), fake_hash(2)}


def test_interrupted_fetch_withdraws_nothing(exchange_setup: ExchangeSetup) -> None:
    zero = timedelta(0)
    fetch(
        exchange_setup, scripted_source(source_records(1, 2), source_records(3), stale_after=zero)
    )
    with pytest.raises(SourceUnreachable):
        fetch(
            exchange_setup,
            scripted_source(source_records(1), source_records(3), stale_after=zero, fails_before=1),
        )
    assert protected_hashes(exchange_setup) == {fake_hash(1), fake_hash(2), fake_hash(3)}


def test_source_that_lost_most_records_needs_confirmation(exchange_setup: ExchangeSetup) -> None:
    zero = timedelta(0)
    fetch(exchange_setup, scripted_source(source_records(*range(30)), stale_after=zero))
    done = fetch(exchange_setup, scripted_source(source_records(0), stale_after=zero))
    assert done.kept == 29  # type: ignore[attr-defined]
    assert len(protected_hashes(exchange_setup)) == 30
    fetch(
        exchange_setup, scripted_source(source_records(0), stale_after=zero), accept_shrinking=True
    )
    assert protected_hashes(exchange_setup) == {fake_hash(0)}


def test_records_of_a_replaced_list_are_kept(exchange_setup: ExchangeSetup) -> None:
    zero = timedelta(0)
    fetch(exchange_setup, scripted_source(source_records(*range(30)), stale_after=zero))
    done = fetch(
        exchange_setup, scripted_source(source_records(*range(100, 130)), stale_after=zero)
    )
    assert done.kept == 30  # type: ignore[attr-defined]
    assert {fake_hash(number) for number in range(30)} <= protected_hashes(exchange_setup)


def test_unreadable_records_are_not_withdrawn(exchange_setup: ExchangeSetup) -> None:
    zero = timedelta(0)
    fetch(exchange_setup, scripted_source(source_records(*range(30)), stale_after=zero))
    exchange_setup.clock.advance(hours=1)
    unreadable = SourcePage(source_records(*range(10)), "1", ("record 1: it is not JSON",))
    rest = SourcePage(source_records(*range(10, 29)), "2")
    with pytest.raises(SourceUnreachable):
        fetch(exchange_setup, ScriptedSource([unreadable, rest], zero, fails_before=1))
    exchange_setup.clock.advance(hours=1)
    # This fetch continues the generation that the failed fetch began.
    done = fetch(exchange_setup, ScriptedSource([unreadable, rest], zero))
    assert (done.refused, done.kept, done.withdrawn) == (0, 1, 0)  # type: ignore[attr-defined]
    assert len(protected_hashes(exchange_setup)) == 30
    # This fetch has no unreadable record, so the claim on the missing record 29 is withdrawn.
    fetch(exchange_setup, scripted_source(source_records(*range(29)), stale_after=zero))
    assert len(protected_hashes(exchange_setup)) == 29


def test_bad_records_are_counted_and_good_records_are_kept(exchange_setup: ExchangeSetup) -> None:
    page = SourcePage(source_records(1), "1", tuple(f"record {one}: bad" for one in range(25)))
    done = fetch(exchange_setup, ScriptedSource([page]))
    assert protected_hashes(exchange_setup) == {fake_hash(1)}
    assert (done.refused, len(done.reasons)) == (25, 10)  # type: ignore[attr-defined]


def test_claim_withdrawn_by_its_holder_stays_withdrawn(exchange_setup: ExchangeSetup) -> None:
    fetch(exchange_setup, scripted_source(source_records(1)))
    from entrenous.stop.registration import ClaimEvent

    claim = exchange_setup.bank.claims_on_pictures([1])[0][1].id
    exchange_setup.bank.apply_event(claim, ClaimEvent.WITHDRAW)
    fetch(exchange_setup, scripted_source(source_records(1), source_records(1, version=2)))
    assert protected_hashes(exchange_setup) == set()
    with pytest.raises(AlreadyWithdrawn):
        exchange_setup.bank.apply_event(claim, ClaimEvent.CONFIRM)
