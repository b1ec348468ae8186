"""Invariants that the explorer checks in every state that it reaches."""

from entrenous.device.sent_messages import SendState
from tests.village.explore.relay import ExploredRelay, Request
from tests.village.explore.system_state import CHEATING_ATTEMPT, SystemState


class Violation(Exception):
    """An invariant is violated."""


def check_invariants(system: SystemState, relay: ExploredRelay) -> None:
    """Raise Violation unless all invariants hold."""
    _check_opening_limit(system, relay.opens)
    for index in (0, 1):
        _check_recalled_copy(system, index)
        _check_acknowledged_letter(system, index, relay)
    _check_message_can_be_opened(system, relay)


def _check_opening_limit(system: SystemState, opens: int | None) -> None:
    shown = sum(device.shown.bit_count() for device in system.devices)
    if opens is not None and shown > opens:
        raise Violation(f"what may be opened {opens} times was shown {shown} times")


def _check_recalled_copy(system: SystemState, index: int) -> None:
    """Check that no device showed a copy that the relay reported as recalled and never opened."""
    if system.copies[index].recalled == 0 and system.devices[index].shown:
        raise Violation("what was taken back unopened was shown")


def _check_acknowledged_letter(system: SystemState, index: int, relay: ExploredRelay) -> None:
    """Check that an acknowledged letter is on the device's disk or on the relay's disk."""
    copy, device = system.copies[index], system.devices[index]
    if copy.departure is not SendState.ACKNOWLEDGED or not copy.is_not_recalled or device.letter:
        return
    if not relay.letter_and_blob(system.disk, index)[0]:
        raise Violation("an acknowledged letter is nowhere")


def _check_message_can_be_opened(system: SystemState, relay: ExploredRelay) -> None:
    """Check that a message that was not recalled can be opened until it is used up."""
    if not all(copy.is_not_recalled for copy in system.copies):
        return
    acknowledged = [
        index for index in (0, 1) if system.copies[index].departure is SendState.ACKNOWLEDGED
    ]
    able_places = [index for index in (0, 1) if _can_open(system, index, relay)]
    if relay.opens is None:
        lost = any(
            index not in able_places for index in acknowledged if not system.devices[index].shown
        )
    else:
        shown = sum(device.shown.bit_count() for device in system.devices)
        lost = bool(acknowledged) and shown < relay.opens and not able_places
    if lost:
        raise Violation("an acknowledged message can be opened by nobody any more")


def _can_open(system: SystemState, index: int, relay: ExploredRelay) -> bool:
    """Return whether the next attempt, or a modified program's extra attempt, opens the copy."""
    device = system.devices[index]
    whole = device.has_blob or relay.letter_and_blob(system.disk, index)[1]
    attempts = [device.attempt or device.views + 1]
    attempts += [CHEATING_ATTEMPT] if device.requested >> CHEATING_ATTEMPT & 1 else []
    results = (relay.run_request(system.disk.rows, Request("open", index, one)) for one in attempts)
    return whole and any(answer == "share" for _, answer in results)
