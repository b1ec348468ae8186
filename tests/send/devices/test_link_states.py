"""The state table of linking, and its diagram."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from entrenous.send.devices.link_steps import NEXT_LINK_STATE, LinkEvent, LinkState, next_link_state

MACHINE = Path(__file__).parents[3] / "docs/machines/link.md"
IN_TURN = {
    LinkState.OFFERED: [LinkEvent.ASK, LinkEvent.SHOW, LinkEvent.SAME, LinkEvent.HELLO],
    LinkState.ASKED: [LinkEvent.ANSWER, LinkEvent.SAME, LinkEvent.GRANT],
}


def arrows() -> set[str]:
    """Return the arrows that the diagram should have."""
    changes = {
        f"{state.value} --> {after.value}: {event.value}"
        for (state, event), after in NEXT_LINK_STATE.items()
        if after not in {state, LinkState.ENDED}
    }
    ends = {
        f"{state.value} --> ended: anything else"
        for state in LinkState
        if NEXT_LINK_STATE[state, LinkEvent.STOP] is LinkState.ENDED
        and state is not LinkState.ENDED
    }
    return changes | ends | {"[*] --> offered: code", "[*] --> asked: code"}


def rows() -> list[str]:
    """Return the rows that the documented table should have."""
    return [
        f"| **{state.value}** | "
        + " | ".join(NEXT_LINK_STATE[state, event] for event in LinkEvent)
        + " |"
        for state in LinkState
    ]


def test_documented_diagram_matches_the_table() -> None:
    lines = [line.strip() for line in MACHINE.read_text().splitlines()]
    assert {line for line in lines if "-->" in line} == arrows()
    assert [line for line in lines if line.startswith("| **")] == rows()


@given(st.sampled_from(sorted(IN_TURN)), st.lists(st.sampled_from(list(LinkEvent)), max_size=6))
def test_only_the_right_order_links(begin: LinkState, events: list[LinkEvent]) -> None:
    state = begin
    for event in events:
        state = next_link_state(state, event)
    *first, last = IN_TURN[begin]
    in_turn = events[: len(first)] == first and last in events[len(first) :]
    if state is LinkState.LINKED:
        assert in_turn
    elif begin is LinkState.OFFERED:
        assert not in_turn  # once granted, only a revocation undoes it


def test_every_valid_order_links() -> None:
    for begin, turn in IN_TURN.items():
        state = begin
        for event in turn:
            state = next_link_state(state, event)
        assert state is LinkState.LINKED
