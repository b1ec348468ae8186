"""Chores at our own relay that wait until it answers: tokens to register, tokens to withdraw."""

from entrenous.model.errors import EntrenousError
from entrenous.ports import Device
from entrenous.send.devices.lists.at_relay import tell_of_devices
from entrenous.send.drawers import WITHDRAW
from entrenous.send.tokens.batch import tell_of_tokens


def has_tokens_to_withdraw(device: Device) -> bool:
    """Whether our relay has yet to hear that a token shall not hold any longer."""
    return bool(device.vault.keys(WITHDRAW))


def do_chores(device: Device) -> list[EntrenousError]:
    """Register what letters in the outbox promise, and withdraw what was taken back.

    What our relay refuses, or does not answer, is a chore again next time.
    """
    problems = tell_of_devices(device)
    try:
        tell_of_tokens(device)
    except EntrenousError as error:
        return [error, *problems]
    return problems
