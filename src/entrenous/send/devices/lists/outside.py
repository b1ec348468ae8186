"""Where somebody says that her relay is must not be a program on this very machine."""

from entrenous.craft.wire.text import is_on_this_machine
from entrenous.model.person import OnThisMachine
from entrenous.ports import Device
from entrenous.send.devices.self import who_am_i


def leads_outside(relay_url: str, device: Device) -> None:
    """Refuse an address that would have us talk to a program on this machine.

    Raises:
        OnThisMachine: unless our own relay is on it too, as when one tries things out.
    """
    if is_on_this_machine(relay_url) and not is_on_this_machine(who_am_i(device).home.relay_url):
        raise OnThisMachine
