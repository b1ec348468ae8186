"""Wait until something comes (docs/spec/relay.md section 13)."""

from entrenous.ports import Device
from entrenous.send.devices.self import who_am_i
from entrenous.spec import WAKE_ASK_S


def wait_for_letter(seconds: int, device: Device) -> bool:
    """Whether a letter waits at our relay, or comes within so many seconds. What it is, and from
    whom, shows only when it is fetched.

    Raises:
        OfflineDevice, RelayUnreachable.
    """
    home = who_am_i(device).home
    for left in range(seconds, -1, -WAKE_ASK_S):
        if device.courier.wake(home.relay_url, home.mailbox, home.owner, min(left, WAKE_ASK_S)):
            return True
    return False
