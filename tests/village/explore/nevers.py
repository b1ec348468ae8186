"""Invariants that are checked in every scene that the explorer reaches."""

from entrenous.device.sent_messages import SendState
from tests.village.explore.relay import ExploredRelay, Request
from tests.village.explore.scene import CHEATING_ATTEMPT, SystemState


class Violation(Exception):
    """An invariant is violated."""


def check_invariants(scene: SystemState, relay: ExploredRelay) -> None:
    """Raise Broken unless all invariants hold."""
    _check_opening_limit(scene, relay.opens)
    for place in (0, 1):
        _check_recalled_copy(scene, place)
        _check_acknowledged_letter(scene, place, relay)
    _check_message_can_be_opened(scene, relay)


def _check_opening_limit(scene: SystemState, opens: int | None) -> None:
    shown = sum(device.shown.bit_count() for device in scene.devices)
    if opens is not None and shown > opens:
        raise Violation(f"what may be opened {opens} times was shown {shown} times")


def _check_recalled_copy(scene: SystemState, place: int) -> None:
    """Check that a copy that was taken back as unopened is never shown."""
    if scene.copies[place].recalled == 0 and scene.devices[place].shown:
        raise Violation("what was taken back unopened was shown")


def _check_acknowledged_letter(scene: SystemState, place: int, relay: ExploredRelay) -> None:
    """Check that an acknowledged letter is on the device's disk or waits on the relay's."""
    copy, device = scene.copies[place], scene.devices[place]
    if copy.departure is not SendState.ACKNOWLEDGED or not copy.has_no_recall or device.letter:
        return
    if not relay.letter_and_blob(scene.disk, place)[0]:
        raise Violation("an acknowledged letter is nowhere")


def _check_message_can_be_opened(scene: SystemState, relay: ExploredRelay) -> None:
    """Check that a message that nobody took back can be opened until it is used up."""
    if not all(copy.has_no_recall for copy in scene.copies):
        return
    there = [place for place in (0, 1) if scene.copies[place].departure is SendState.ACKNOWLEDGED]
    able = [place for place in (0, 1) if _can_open(scene, place, relay)]
    if relay.opens is None:
        lost = any(place not in able for place in there if not scene.devices[place].shown)
    else:
        shown = sum(device.shown.bit_count() for device in scene.devices)
        lost = bool(there) and shown < relay.opens and not able
    if lost:
        raise Violation("an acknowledged message can be opened by nobody any more")


def _can_open(scene: SystemState, place: int, relay: ExploredRelay) -> bool:
    """Return whether the device's next attempt, or the cheat's, would get a share and open."""
    device = scene.devices[place]
    whole = device.has_blob or relay.letter_and_blob(scene.disk, place)[1]
    attempts = [device.attempt or device.views + 1]
    attempts += [CHEATING_ATTEMPT] if device.requested >> CHEATING_ATTEMPT & 1 else []
    asked = (relay.run_request(scene.disk.rows, Request("open", place, one)) for one in attempts)
    return whole and any(said == "share" for _, said in asked)
