"""Nothing that can happen to one message for two devices violates an invariant.

The search to twelve events takes a minute or two: python -m tests.village.explore --events 12
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
from tests.village.explore.events import Rules
from tests.village.explore.search import Found, explore

pytestmark = pytest.mark.slow

never_came = withdraw._new_never_posted_row
EVENTS = {
    "deliver": EnvelopeEvent.DELIVER,
    "open": EnvelopeEvent.OPEN,
    "withdraw": EnvelopeEvent.WITHDRAW,
}


@pytest.fixture(scope="module")
def once() -> tuple[Found, Rules]:
    """Search a message that opens once, to seven events, and in ``make nightly`` to eight."""
    return explore(1, size(7, 8))


@pytest.mark.threat("view-once-bypass")
@pytest.mark.threat("n-plus-one-views")
def test_nothing_that_can_happen_breaks_a_promise(once: tuple[Found, Rules]) -> None:
    found, rules = once
    print(f"{found.states:,} states, {found.ways:,} interleavings")  # noqa: T201
    assert (found.wrong, found.trace) == (None, ())
    assert found.states > size(40_000, 80_000)
    check_cells(rules)


@pytest.mark.threat("n-plus-one-views")
@pytest.mark.parametrize("opens", [2, None])
def test_nor_where_it_may_be_opened_again(opens: int | None) -> None:
    found, rules = explore(opens, 6)
    assert (found.wrong, found.trace) == (None, ())
    assert found.states > 10_000
    check_cells(rules)


@pytest.mark.threat("view-once-bypass")
@pytest.mark.threat("relay-killed")
@pytest.mark.parametrize("opens", [1, 2, None])
def test_nor_with_requests_side_by_side_in_a_group(opens: int | None) -> None:
    found, rules = explore(opens, 6, groups=True)
    assert (found.wrong, found.trace) == (None, ())
    assert found.states > 20_000
    check_cells(rules)


def check_cells(rules: Rules) -> None:
    """Check that every transition and refusal that occurred is in its state table."""
    for before, what, after in rules.relay.met:
        if before is not None and what in EVENTS:
            cell = (before, EVENTS[what])
            assert after in (before, ENVELOPE_TRANSITIONS.get(cell)), (before, what, after)
            assert (after is before) or cell not in ENVELOPE_REFUSALS
    assert rules.copies_met <= set(NEXT_COPY_STATE)
    assert rules.messages_met <= {*NEXT_MESSAGE_STATE, *MESSAGE_EVENT_ERRORS}


def test_the_search_comes_to_every_cell_that_two_devices_and_a_recall_can_reach(
    once: tuple[Found, Rules],
) -> None:
    _, rules = once
    moved = {(before, EVENTS[what]) for before, what, _ in rules.relay.met if what in EVENTS}
    waiting, delivered, opened, taken_back = (
        *(EnvelopeState.WAITING, EnvelopeState.DELIVERED),
        *(EnvelopeState.OPENED, EnvelopeState.TAKEN_BACK),
    )
    reached = set(itertools.product((waiting, delivered, opened, taken_back), EVENTS.values()))
    assert reached <= moved
    assert rules.copies_met >= {
        (SendState.WAITING, CopyEvent.TRY),
        (SendState.TRIED, CopyEvent.TRY),
        (SendState.TRIED, CopyEvent.HEAR),
    }
    assert rules.messages_met >= {
        (InboxState.WAITING, MessageEvent.OPEN),
        (InboxState.OPENED, MessageEvent.USE_UP),
        (InboxState.WAITING, MessageEvent.MISS),
        (InboxState.WAITING, MessageEvent.TAKE_BACK),
        (InboxState.USED_UP, MessageEvent.OPEN),
        (InboxState.USED_UP, MessageEvent.TAKE_BACK),
    }


# --- without one of the rules, the search finds a violation -------------------------------------


def counts_nothing(_desk: RowTransaction, _share: StoredShare) -> None:
    """Do not count an opening."""


def only_says_so(
    _desk: RowTransaction, held: StoredEnvelope, _event: EnvelopeEvent, _present: Any
) -> Any:
    return replace(held, state=EnvelopeState.TAKEN_BACK)


def refuses_another(_: EnvelopeId, *facts: Any) -> StoredEnvelope:
    return never_came(EnvelopeId(bytes(16)), *facts)


def buries_the_letter_too(desk: RowTransaction, held: StoredEnvelope, present: Any) -> None:
    close_envelope(desk, held, EnvelopeEvent.USE_UP, present)


def waits_for_nobody(desk: RowTransaction, group_id: bytes | None, present: Any) -> None:
    held = desk.get(StoredShareGroup, group_id)
    if held is not None and held.opened >= held.opens:
        for share in desk.find(StoredShare, group=group_id):
            envelope = desk.get(StoredEnvelope, share.envelope)
            if envelope is not None:
                release.drop_used_up_share(desk, envelope, present)


def knows_no_repeat() -> Callable[[Any], bytes]:
    numbers = itertools.count()
    return lambda _: sha256(b"%d" % next(numbers))


@pytest.mark.parametrize(
    ("module", "rule", "instead", "opens", "wrong"),
    [
        (release, "count_opening", counts_nothing, 1, "was shown 2 times"),
        (withdraw, "close_envelope", only_says_so, 1, "a copy that was taken back is given out"),
        (
            withdraw,
            "_new_never_posted_row",
            refuses_another,
            1,
            "a copy that was taken back is given out",
        ),
        (
            release,
            "drop_used_up_share",
            buries_the_letter_too,
            1,
            "an acknowledged letter is nowhere",
        ),
        (release, "close_used_up_group", waits_for_nobody, 2, "opened by nobody any more"),
        (accept, "envelope_digest", knows_no_repeat(), 1, "that was posted is refused"),
    ],
)
def test_it_finds_a_rule_that_is_missing(  # noqa: PLR0913, PLR0917 - what is instead of what
    module: ModuleType,
    rule: str,
    instead: Any,
    opens: int,
    wrong: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, rule, instead)
    found, _ = explore(opens, 8)
    assert wrong in (found.wrong or "")
    assert 1 <= len(found.trace) <= 8


@pytest.mark.parametrize(
    ("early", "wrong"),
    [("open", "was shown 2 times"), ("post", "an acknowledged letter is nowhere")],
)
def test_it_finds_an_answer_that_leaves_before_the_disk_has_it(early: str, wrong: str) -> None:
    found, _ = explore(1, 9, groups=True, early=early)
    assert wrong in (found.wrong or "")
    if early == "open":
        assert "the relay dies, and its group with it" in found.trace
