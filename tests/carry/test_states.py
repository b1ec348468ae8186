"""The table of states: complete, and with no way back."""

import itertools

import pytest

from entrenous.carry.states import NEXT, REFUSED, Event, step
from entrenous.model.envelope import EnvelopeState, Expired, TakenBack
from tests.carry.relays import NOON

ENDS = (EnvelopeState.TAKEN_BACK, EnvelopeState.EXPIRED)


def test_an_end_is_an_end() -> None:
    assert {NEXT[state, event] for state, event in NEXT if state in ENDS} == set(ENDS)
    assert all(NEXT[state, event] is state for state, event in NEXT if state in ENDS)


def test_nothing_ever_waits_again() -> None:
    assert EnvelopeState.WAITING not in NEXT.values()


def test_every_state_can_be_reached_and_taken_back() -> None:
    assert {EnvelopeState.WAITING, *NEXT.values()} == set(EnvelopeState)
    assert all((state, Event.WITHDRAW) in NEXT for state in EnvelopeState)


def test_opening_is_answered_everywhere() -> None:
    for state in EnvelopeState:
        assert ((state, Event.OPEN) in NEXT) != ((state, Event.OPEN) in REFUSED)


def test_refusals_have_names() -> None:
    with pytest.raises(TakenBack):
        step(EnvelopeState.TAKEN_BACK, Event.OPEN, NOON)
    with pytest.raises(Expired, match="2026-11-25"):
        step(EnvelopeState.EXPIRED, Event.OPEN, NOON)


def test_what_the_table_lacks_cannot_happen() -> None:
    every = set(itertools.product(EnvelopeState, Event))
    for state, event in every - set(NEXT) - set(REFUSED):
        with pytest.raises(KeyError):
            step(state, event, NOON)
