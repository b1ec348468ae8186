"""Linking devices: all sequences of twelve events, in any order."""

import pytest

from entrenous.send.devices.link_steps import NEXT_LINK_STATE, LinkEvent, LinkState, next_link_state

pytestmark = pytest.mark.slow

EVENT_COUNT = 12
OLD_DEVICE_ORDER = (LinkEvent.ASK, LinkEvent.SHOW, LinkEvent.SAME, LinkEvent.HELLO)
NEW_DEVICE_ORDER = (LinkEvent.ANSWER, LinkEvent.SAME, LinkEvent.GRANT)


@pytest.mark.threat("linking-phish")
@pytest.mark.parametrize(
    ("begin", "turn", "signed"),
    [(LinkState.OFFERED, OLD_DEVICE_ORDER, 3), (LinkState.ASKED, NEW_DEVICE_ORDER, 3)],
)
def test_nothing_but_its_own_order_signs_a_list(
    begin: LinkState, turn: tuple[LinkEvent, ...], signed: int
) -> None:
    """``came`` counts the events of the right order that came with nothing in between, or is -1."""
    words, met = {(begin, 0): 1}, set()
    for _ in range(EVENT_COUNT):
        further: dict[tuple[LinkState, int], int] = {}
        for (state, came), count in words.items():
            for event in LinkEvent:
                after = next_link_state(state, event)
                met.add((state, event))
                right = 0 <= came < len(turn) and event is turn[came]
                held = came >= signed  # once it is signed, nothing that comes undoes it
                now = came + 1 if right else came if held else -1
                assert (now >= signed) == (after in {LinkState.GRANTED, LinkState.LINKED})
                assert (now == len(turn)) == (after is LinkState.LINKED)
                further[after, now] = further.get((after, now), 0) + count
        words = further
    assert sum(words.values()) == len(LinkEvent) ** EVENT_COUNT
    assert met <= set(NEXT_LINK_STATE)
