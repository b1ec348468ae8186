"""Test that only the right order of link events signs a device list or links a device."""

import pytest

from entrenous.send.devices.link_steps import NEXT_LINK_STATE, LinkEvent, LinkState, next_link_state

pytestmark = pytest.mark.slow

EVENT_COUNT = 12
OLD_DEVICE_ORDER = (LinkEvent.ASK, LinkEvent.SHOW, LinkEvent.SAME, LinkEvent.HELLO)
NEW_DEVICE_ORDER = (LinkEvent.ANSWER, LinkEvent.SAME, LinkEvent.GRANT)


@pytest.mark.threat("linking-phish")
@pytest.mark.parametrize(
    ("begin", "order", "signed_at"),
    [(LinkState.OFFERED, OLD_DEVICE_ORDER, 3), (LinkState.ASKED, NEW_DEVICE_ORDER, 3)],
)
def test_only_the_right_order_of_link_events_signs_a_list(
    begin: LinkState, order: tuple[LinkEvent, ...], signed_at: int
) -> None:
    """Try every sequence that consists of twelve link events.

    Before the signature, ``progress`` is the number of events if all of them came in the right
    order, and otherwise -1. After the signature, the next event in the right order adds 1, and all
    other events leave ``progress`` unchanged.
    """
    counts, seen_cells = {(begin, 0): 1}, set()
    for _ in range(EVENT_COUNT):
        next_counts: dict[tuple[LinkState, int], int] = {}
        for (state, progress), count in counts.items():
            for event in LinkEvent:
                after = next_link_state(state, event)
                seen_cells.add((state, event))
                is_next = 0 <= progress < len(order) and event is order[progress]
                is_signed = progress >= signed_at
                new = progress + 1 if is_next else progress if is_signed else -1
                assert (new >= signed_at) == (after in {LinkState.GRANTED, LinkState.LINKED})
                assert (new == len(order)) == (after is LinkState.LINKED)
                next_counts[after, new] = next_counts.get((after, new), 0) + count
        counts = next_counts
    assert sum(counts.values()) == len(LinkEvent) ** EVENT_COUNT
    assert seen_cells <= set(NEXT_LINK_STATE)
