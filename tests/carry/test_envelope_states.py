"""The table of an envelope's states, and the diagram of it in the documents."""

import itertools
from pathlib import Path

import pytest

from entrenous.base.errors import Expired, NoSuchEnvelope, TakenBack
from entrenous.carry.relay_rows import (
    ENVELOPE_REFUSALS,
    ENVELOPE_TRANSITIONS,
    EnvelopeEvent,
    next_envelope_state,
)
from entrenous.wire.relay_nouns import EnvelopeState
from tests.carry.relays import NOON

ALL_STATES = tuple(EnvelopeState)
FINAL_STATES = (
    *(EnvelopeState.TAKEN_BACK, EnvelopeState.EXPIRED, EnvelopeState.REVOKED),
    EnvelopeState.LOST,
)
STATE_MACHINE_DOCUMENT = Path(__file__).parents[2] / "docs/machines/envelope.md"


def expected_state_diagram() -> str:
    """Return the diagram and the table that docs/machines/envelope.md must contain."""
    arrows = [
        f"    {state.name.lower()} --> {ENVELOPE_TRANSITIONS[state, event].name.lower()}: {event}"
        for state, event in ENVELOPE_TRANSITIONS
    ]
    head = "| | " + " | ".join(EnvelopeEvent) + " |\n|" + " --- |" * (1 + len(EnvelopeEvent))
    rows = [
        f"| **{state}** | " + " | ".join(table_cell(state, e) for e in EnvelopeEvent) + " |"
        for state in ALL_STATES
    ]
    diagram = ["```mermaid", "stateDiagram-v2", "    [*] --> waiting: accept", *arrows, "```"]
    return "\n".join([*diagram, "", head, *rows])


def table_cell(state: EnvelopeState, event: EnvelopeEvent) -> str:
    if (state, event) in ENVELOPE_REFUSALS:
        return f"`{ENVELOPE_REFUSALS[state, event].__name__}`"
    return str(ENVELOPE_TRANSITIONS.get((state, event), ""))


def test_documented_diagram_matches_the_table() -> None:
    assert expected_state_diagram() in STATE_MACHINE_DOCUMENT.read_text()


def test_final_states_lead_only_to_themselves() -> None:
    assert {
        ENVELOPE_TRANSITIONS[state, event]
        for state, event in ENVELOPE_TRANSITIONS
        if state in FINAL_STATES
    } == set(FINAL_STATES)
    assert all(
        ENVELOPE_TRANSITIONS[state, event] is state
        for state, event in ENVELOPE_TRANSITIONS
        if state in FINAL_STATES
    )


def test_no_state_returns_to_waiting() -> None:
    waiting = EnvelopeState.WAITING
    assert {
        state
        for state, event in ENVELOPE_TRANSITIONS
        if ENVELOPE_TRANSITIONS[state, event] is waiting
    } == {waiting}


def test_every_state_can_be_reached_and_withdrawn() -> None:
    assert {EnvelopeState.WAITING, *ENVELOPE_TRANSITIONS.values()} == set(EnvelopeState)
    assert all((state, EnvelopeEvent.WITHDRAW) in ENVELOPE_TRANSITIONS for state in EnvelopeState)


def test_opening_is_defined_in_every_state() -> None:
    for state in EnvelopeState:
        assert ((state, EnvelopeEvent.OPEN) in ENVELOPE_TRANSITIONS) != (
            (state, EnvelopeEvent.OPEN) in ENVELOPE_REFUSALS
        )


def test_each_refused_opening_raises_its_error() -> None:
    with pytest.raises(TakenBack):
        next_envelope_state(EnvelopeState.TAKEN_BACK, EnvelopeEvent.OPEN, NOON)
    with pytest.raises(Expired, match="25 November 2026"):
        next_envelope_state(EnvelopeState.EXPIRED, EnvelopeEvent.OPEN, NOON)
    with pytest.raises(NoSuchEnvelope):
        next_envelope_state(EnvelopeState.REVOKED, EnvelopeEvent.OPEN, NOON)
    with pytest.raises(NoSuchEnvelope):
        next_envelope_state(EnvelopeState.LOST, EnvelopeEvent.OPEN, NOON)


def test_envelope_event_missing_from_the_table_is_a_bug() -> None:
    pairs = set(itertools.product(EnvelopeState, EnvelopeEvent))
    for state, event in pairs - set(ENVELOPE_TRANSITIONS) - set(ENVELOPE_REFUSALS):
        with pytest.raises(KeyError):
            next_envelope_state(state, event, NOON)
