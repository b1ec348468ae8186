"""Chores at our own relay that wait until it answers: tokens to register, tokens to withdraw."""

from entrenous.model.errors import EntrenousError
from entrenous.model.relay_problem import Expired, WaitsForClock
from entrenous.ports import Device
from entrenous.send.devices.lists.at_relay import tell_of_devices
from entrenous.send.devices.self import NEXT_CLOSE, who_am_i
from entrenous.send.devices.sync.tell import tell_siblings
from entrenous.send.drawers import SELF, WITHDRAW
from entrenous.send.refused_dates import clocks_differ
from entrenous.send.tokens.batch import tell_of_tokens


def has_tokens_to_withdraw(device: Device) -> bool:
    """Whether our relay has yet to hear that a token shall not hold any longer."""
    return bool(device.vault.keys(WITHDRAW))


def do_chores(device: Device) -> list[EntrenousError]:
    """Register what letters in the outbox promise, and withdraw what was taken back.

    What our relay refuses, or does not answer, is a chore again next time. When another token
    deletes our mailbox from now on, letters that tell our other devices lie in the outbox then:
    until they have left, nobody could shut this device if it were lost.
    """
    changes = device.vault.get(SELF, NEXT_CLOSE) is not None
    problems = tell_of_devices(device)
    if changes and device.vault.get(SELF, NEXT_CLOSE) is None:
        tell_siblings(device)
    try:
        tell_of_tokens(device)
    except Expired as why:
        home = who_am_i(device).home
        return [clocks_differ(WaitsForClock, why, home.relay_url, device), *problems]
    except EntrenousError as error:
        return [error, *problems]
    return problems
