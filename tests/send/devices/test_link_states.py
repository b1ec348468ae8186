"""Tests of the state table of linking, and of the diagram and table in docs/machines/link.md."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from entrenous.send.devices.link_steps import NEXT_LINK_STATE, LinkEvent, LinkState, next_link_state

LINK_DIAGRAM_FILE = Path(__file__).parents[3] / "docs/machines/link.md"
EVENTS_REQUIRED_TO_LINK = {
    LinkState.OFFERED: [LinkEvent.ASK, LinkEvent.SHOW, LinkEvent.SAME, LinkEvent.HELLO],
    LinkState.ASKED: [LinkEvent.ANSWER, LinkEvent.SAME, LinkEvent.GRANT],
}


def expected_arrows() -> set[str]:
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


def expected_rows() -> list[str]:
    """Return the rows that the documented table should have."""
    return [
        f"| **{state.value}** | "
        + " | ".join(NEXT_LINK_STATE[state, event] for event in LinkEvent)
        + " |"
        for state in LinkState
    ]


def test_documented_diagram_matches_the_table() -> None:
    lines = [line.strip() for line in LINK_DIAGRAM_FILE.read_text().splitlines()]
    assert {line for line in lines if "-->" in line} == expected_arrows()
    assert [line for line in lines if line.startswith("| **")] == expected_rows()


@given(
    st.sampled_from(sorted(EVENTS_REQUIRED_TO_LINK)),
    st.lists(st.sampled_from(list(LinkEvent)), max_size=6),
)
def test_only_the_required_order_links(start: LinkState, events: list[LinkEvent]) -> None:
    state = start
    for event in events:
        state = next_link_state(state, event)
    *first, last = EVENTS_REQUIRED_TO_LINK[start]
    is_in_order = events[: len(first)] == first and last in events[len(first) :]
    if state is LinkState.LINKED:
        assert is_in_order
    elif start is LinkState.OFFERED:
        # After SAME, no event stops the linking, and any later HELLO completes the linking.
        assert not is_in_order


def test_the_required_order_links() -> None:
    for start, required in EVENTS_REQUIRED_TO_LINK.items():
        state = start
        for event in required:
            state = next_link_state(state, event)
        assert state is LinkState.LINKED
