"""Tests of the state tables of copies and messages, and of their diagrams in docs/machines."""

import itertools
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import pytest

from entrenous.base.errors import EntrenousError
from entrenous.device.sent_messages import SendState
from entrenous.send.message.states import (
    COPY_EVENT_ERRORS,
    MESSAGE_EVENT_ERRORS,
    NEXT_COPY_STATE,
    NEXT_MESSAGE_STATE,
    CopyEvent,
    InboxState,
    MessageEvent,
    can_be_cancelled,
    check_inbox_transition,
    next_send_state,
)

STATES_PAGE = Path(__file__).parents[2] / "docs/machines/message.md"
ENDED_STATES = (InboxState.TAKEN_BACK, InboxState.EXPIRED, InboxState.USED_UP)
NextStates = Mapping[tuple[StrEnum, StrEnum], StrEnum | None]
RefusedEvents = Mapping[tuple[StrEnum, StrEnum], type[EntrenousError]]


def render_states(
    first_event: str,
    next_states: NextStates,
    event_errors: RefusedEvents,
    states: type,
    events: type,
) -> str:
    """Return a state diagram and a table of its transitions, as in docs/machines/message.md."""
    arrows = [
        f"    {state.name.lower()} --> {'[*]' if after is None else after.name.lower()}: {event}"
        for (state, event), after in next_states.items()
    ]
    head = "| | " + " | ".join(events) + " |\n|" + " --- |" * (1 + len(events))
    rows = [
        f"| **{state}** | "
        + " | ".join(render_cell(state, event, next_states, event_errors) for event in events)
        + " |"
        for state in states
    ]
    diagram = [
        "```mermaid",
        "stateDiagram-v2",
        f"    [*] --> waiting: {first_event}",
        *arrows,
        "```",
    ]
    return "\n".join([*diagram, "", head, *rows])


def render_cell(
    state: StrEnum, event: StrEnum, next_states: NextStates, event_errors: RefusedEvents
) -> str:
    if (state, event) in event_errors:
        return f"`{event_errors[state, event].__name__}`"
    if (state, event) not in next_states:
        return ""
    after = next_states[state, event]
    return "gone" if after is None else str(after)


def test_the_state_diagrams_match_the_tables() -> None:
    page = STATES_PAGE.read_text()
    assert render_states("seal", NEXT_COPY_STATE, COPY_EVENT_ERRORS, SendState, CopyEvent) in page
    assert (
        render_states("come", NEXT_MESSAGE_STATE, MESSAGE_EVENT_ERRORS, InboxState, MessageEvent)
        in page
    )


def test_a_copy_that_may_have_left_never_waits_again() -> None:
    assert SendState.WAITING not in NEXT_COPY_STATE.values()


def test_every_copy_state_answers_a_cancellation() -> None:
    for state in SendState:
        cancellation = (state, CopyEvent.CALL_OFF)
        assert (cancellation in NEXT_COPY_STATE) != (cancellation in COPY_EVENT_ERRORS)
        assert can_be_cancelled(state) is (cancellation in NEXT_COPY_STATE)


def test_only_a_copy_that_cannot_have_left_is_deleted() -> None:
    gone = {state for (state, _), after in NEXT_COPY_STATE.items() if after is None}
    assert gone == {SendState.WAITING, SendState.REFUSED}


def test_an_ended_message_state_never_opens() -> None:
    for state in ENDED_STATES:
        assert (state, MessageEvent.OPEN) in MESSAGE_EVENT_ERRORS
        after = {now for (before, _), now in NEXT_MESSAGE_STATE.items() if before is state}
        assert after <= {InboxState.TAKEN_BACK}


def test_every_message_state_can_be_reached_and_recalled() -> None:
    assert all((state, MessageEvent.TAKE_BACK) in NEXT_MESSAGE_STATE for state in InboxState)
    assert {InboxState.WAITING, *NEXT_MESSAGE_STATE.values()} == set(InboxState)


def test_transitions_outside_the_tables_raise() -> None:
    for state, event in itertools.product(SendState, CopyEvent):
        if NEXT_COPY_STATE.get((state, event)) is None:
            with pytest.raises(KeyError):
                next_send_state(state, event)
    arrows = {(before, after) for (before, _), after in NEXT_MESSAGE_STATE.items()}
    for one, other in itertools.permutations(InboxState, 2):
        if (one, other) in arrows:
            check_inbox_transition(one, other)
        else:
            with pytest.raises(KeyError):
                check_inbox_transition(one, other)
