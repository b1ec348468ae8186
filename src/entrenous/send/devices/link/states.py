"""How a linking goes on, on both devices: one table, drawn in docs/machines/link.md.

What the table lacks ends the linking: a code that is used twice, a message that comes twice or too
soon, and whatever else somebody in between may try, has one answer.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class LinkState(StrEnum):
    """How far it has come; the first four are the old device's, the next three the new one's."""

    OFFERED = "offered"  # the code is shown
    ANSWERED = "answered"  # the old device has shown its key
    COMPARING = "comparing"  # the old device shows the pictures
    GRANTED = "granted"  # the new device is on the list, and may not know it yet
    ASKED = "asked"  # the new device has promised its key
    SHOWN = "shown"  # ... and shows the pictures
    AGREED = "agreed"  # its person said that they are the same
    LINKED = "linked"
    ENDED = "ended"


class LinkEvent(StrEnum):
    """What can happen to it."""

    ASK = "ask"  # the first message came
    ANSWER = "answer"  # the second
    SHOW = "show"  # the third, and it is what was promised
    SAME = "same"  # the person says that both devices show the same
    GRANT = "grant"  # the fourth message came, and it is proven
    HELLO = "hello"  # the new device's first letter came
    STOP = "stop"  # not the same, too late, or something that does not hold


_IN_TURN: Final[Mapping[tuple[LinkState, LinkEvent], LinkState]] = {
    (LinkState.OFFERED, LinkEvent.ASK): LinkState.ANSWERED,
    (LinkState.ANSWERED, LinkEvent.SHOW): LinkState.COMPARING,
    (LinkState.COMPARING, LinkEvent.SAME): LinkState.GRANTED,
    (LinkState.GRANTED, LinkEvent.HELLO): LinkState.LINKED,
    (LinkState.ASKED, LinkEvent.ANSWER): LinkState.SHOWN,
    (LinkState.SHOWN, LinkEvent.SAME): LinkState.AGREED,
    (LinkState.AGREED, LinkEvent.GRANT): LinkState.LINKED,
}
#: Once the list is signed, only ``entrenous device revoke`` undoes it.
_STAYS: Final = (LinkState.GRANTED, LinkState.LINKED)

NEXT: Final[Mapping[tuple[LinkState, LinkEvent], LinkState]] = {
    (state, event): _IN_TURN.get((state, event), state if state in _STAYS else LinkState.ENDED)
    for state in LinkState
    for event in LinkEvent
}


def step(state: LinkState, event: LinkEvent) -> LinkState:
    """The state after ``event``."""
    return NEXT[state, event]
