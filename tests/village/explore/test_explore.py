"""Tests of the search that tries all orders of the events around a message for two devices.

To search sequences of up to twelve events: python -m tests.village.explore --events 12

"""

import itertools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from msgspec.structs import replace

from entrenous.base.identifiers import EnvelopeId
from entrenous.carry import accept, release, withdraw
from entrenous.carry.expire import close_envelope
from entrenous.carry.relay import RowTransaction
from entrenous.carry.relay_rows import (
    ENVELOPE_REFUSALS,
    ENVELOPE_TRANSITIONS,
    EnvelopeEvent,
    StoredEnvelope,
    StoredShare,
    StoredShareGroup,
)
from entrenous.crypto.hashing import sha256
from entrenous.device.sent_messages import SendState
from entrenous.send.message.states import (
    MESSAGE_EVENT_ERRORS,
    NEXT_COPY_STATE,
    NEXT_MESSAGE_STATE,
    CopyEvent,
    InboxState,
    MessageEvent,
)
from entrenous.wire.relay_nouns import EnvelopeState
from tests.sizes import size
from tests.village.explore.events import EventGenerator
from tests.village.explore.search import SearchResult, explore

pytestmark = pytest.mark.slow

new_never_posted_row = withdraw._new_never_posted_row
EVENT_BY_REQUEST = {
    "deliver": EnvelopeEvent.DELIVER,
    "open": EnvelopeEvent.OPEN,
    "withdraw": EnvelopeEvent.WITHDRAW,
}


@pytest.fixture(scope="module")
def view_once_search() -> tuple[SearchResult, EventGenerator]:
    """Search all sequences of up to seven events around a message that opens once.

    ``make nightly`` searches sequences of up to eight events.
    """
    return explore(1, size(7, 8))


@pytest.mark.threat("view-once-bypass")
@pytest.mark.threat("n-plus-one-views")
def test_no_event_sequence_violates_an_invariant_of_a_view_once_message(
    view_once_search: tuple[SearchResult, EventGenerator],
) -> None:
    found, generator = view_once_search
    print(f"{found.states:,} states, {found.sequences:,} interleavings")  # noqa: T201
    assert (found.violation, found.trace) == (None, ())
    assert found.states > size(40_000, 80_000)
    check_cells(generator)


@pytest.mark.threat("n-plus-one-views")
@pytest.mark.parametrize("opens", [2, None])
def test_no_event_sequence_violates_an_invariant_with_several_views(opens: int | None) -> None:
    found, generator = explore(opens, 6)
    assert (found.violation, found.trace) == (None, ())
    assert found.states > 10_000
    check_cells(generator)


@pytest.mark.threat("view-once-bypass")
@pytest.mark.threat("relay-killed")
@pytest.mark.parametrize("opens", [1, 2, None])
def test_concurrent_requests_in_a_group_violate_no_invariant(opens: int | None) -> None:
    found, generator = explore(opens, 6, with_group_commits=True)
    assert (found.violation, found.trace) == (None, ())
    assert found.states > 20_000
    check_cells(generator)


def check_cells(generator: EventGenerator) -> None:
    """Check that the transitions that occurred agree with the state tables."""
    for before, kind, after in generator.relay.transitions:
        if before is not None and kind in EVENT_BY_REQUEST:
            cell = (before, EVENT_BY_REQUEST[kind])
            assert after in (before, ENVELOPE_TRANSITIONS.get(cell)), (before, kind, after)
            assert (after is before) or cell not in ENVELOPE_REFUSALS
    assert generator.copy_cells_reached <= set(NEXT_COPY_STATE)
    assert generator.message_cells_reached <= {*NEXT_MESSAGE_STATE, *MESSAGE_EVENT_ERRORS}


def test_search_reaches_the_listed_cells_of_three_state_tables(
    view_once_search: tuple[SearchResult, EventGenerator],
) -> None:
    _, generator = view_once_search
    reached = {
        (before, EVENT_BY_REQUEST[kind])
        for before, kind, _ in generator.relay.transitions
        if kind in EVENT_BY_REQUEST
    }
    waiting, delivered, opened, taken_back = (
        *(EnvelopeState.WAITING, EnvelopeState.DELIVERED),
        *(EnvelopeState.OPENED, EnvelopeState.TAKEN_BACK),
    )
    expected = set(
        itertools.product((waiting, delivered, opened, taken_back), EVENT_BY_REQUEST.values())
    )
    assert expected <= reached
    assert generator.copy_cells_reached >= {
        (SendState.WAITING, CopyEvent.TRY),
        (SendState.TRIED, CopyEvent.TRY),
        (SendState.TRIED, CopyEvent.HEAR),
    }
    assert generator.message_cells_reached >= {
        (InboxState.WAITING, MessageEvent.OPEN),
        (InboxState.OPENED, MessageEvent.USE_UP),
        (InboxState.WAITING, MessageEvent.MISS),
        (InboxState.WAITING, MessageEvent.TAKE_BACK),
        (InboxState.USED_UP, MessageEvent.OPEN),
        (InboxState.USED_UP, MessageEvent.TAKE_BACK),
    }


# --- the search detects missing rules -----------------------------------------------------------


def do_not_count(_tx: RowTransaction, _share: StoredShare) -> None:
    """Leave the openings of a share uncounted."""


def only_mark_taken_back(
    _tx: RowTransaction, stored: StoredEnvelope, _event: EnvelopeEvent, _present: Any
) -> Any:
    return replace(stored, state=EnvelopeState.TAKEN_BACK)


def refuse_another_envelope(_: EnvelopeId, *facts: Any) -> StoredEnvelope:
    return new_never_posted_row(EnvelopeId(bytes(16)), *facts)


def close_the_letter_too(tx: RowTransaction, stored: StoredEnvelope, present: Any) -> None:
    close_envelope(tx, stored, EnvelopeEvent.USE_UP, present)


def drop_shares_without_waiting(tx: RowTransaction, group_id: bytes | None, present: Any) -> None:
    stored = tx.get(StoredShareGroup, group_id)
    if stored is not None and stored.opened >= stored.opens:
        for share in tx.find(StoredShare, group=group_id):
            envelope = tx.get(StoredEnvelope, share.envelope)
            if envelope is not None:
                release.drop_used_up_share(tx, envelope, present)


def do_not_recognise_repeats() -> Callable[[Any], bytes]:
    numbers = itertools.count()
    return lambda _: sha256(b"%d" % next(numbers))


@pytest.mark.parametrize(
    ("module", "rule", "replacement", "opens", "message"),
    [
        (release, "count_opening", do_not_count, 1, "was shown 2 times"),
        (
            withdraw,
            "close_envelope",
            only_mark_taken_back,
            1,
            "a copy that was taken back is given out",
        ),
        (
            withdraw,
            "_new_never_posted_row",
            refuse_another_envelope,
            1,
            "a copy that was taken back is given out",
        ),
        (
            release,
            "drop_used_up_share",
            close_the_letter_too,
            1,
            "an acknowledged letter is nowhere",
        ),
        (
            release,
            "drop_shares_of_used_up_group",
            drop_shares_without_waiting,
            2,
            "opened by nobody any more",
        ),
        (accept, "envelope_digest", do_not_recognise_repeats(), 1, "that was posted is refused"),
    ],
)
def test_search_detects_a_missing_rule(  # noqa: PLR0913, PLR0917 - parametrized
    module: ModuleType,
    rule: str,
    replacement: Any,
    opens: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, rule, replacement)
    found, _ = explore(opens, 8)
    assert message in (found.violation or "")
    assert 1 <= len(found.trace) <= 8


@pytest.mark.parametrize(
    ("answer_before_commit", "message"),
    [("open", "was shown 2 times"), ("post", "an acknowledged letter is nowhere")],
)
def test_search_detects_an_answer_before_its_commit(
    answer_before_commit: str, message: str
) -> None:
    found, _ = explore(1, 9, with_group_commits=True, answer_before_commit=answer_before_commit)
    assert message in (found.violation or "")
    if answer_before_commit == "open":
        assert "the relay dies, and its group with it" in found.trace
