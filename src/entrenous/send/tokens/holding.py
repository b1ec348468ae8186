"""Whether what we may write to somebody with holds now: asked of their relay, which counts nothing.

A card may be read with any token that holds (relay.md section 3); what it says is not looked at.
"""

from contextlib import suppress

from entrenous.craft.crypto.tokens import send_token
from entrenous.model.errors import EntrenousError
from entrenous.model.ids import DeviceId
from entrenous.model.person import Contact, DeviceKey
from entrenous.model.relay_problem import NoSuchMailbox, WrongToken
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.drawers import peer_key
from entrenous.send.tokens.place import held_window, way_to
from entrenous.send.tokens.use import has_way, token_for


def windows_hold(contact: Contact, through: DeviceId, device: Device) -> bool:
    """Whether we have a window of that device of somebody, and every window of hers still holds:
    who forgot us has withdrawn them.

    Raises:
        RelayUnreachable.
    """
    windows = {
        key: held_window(peer_key(contact.person.id, key.device), device)
        for key in contact.person.devices
    }
    given = {key: held for key, held in windows.items() if held.seed is not None}
    if through not in {key.device for key in given}:
        return False
    return all(
        _holds(contact, key, send_token(held.seed, held.next), device)
        for key, held in given.items()
        if held.seed is not None
    )


def may_write_now(contact: Contact, device: Device) -> bool:
    """Whether the relay takes the next letter for a device of somebody; True where it says nothing
    of that.
    """
    ways = [key for key in contact.person.devices if has_way(contact, key.device, device)]
    with suppress(EntrenousError):
        tokens = [(key, token_for(contact, key.device, device)) for key in ways]
        return any(_holds(contact, key, token, device) for key, token in tokens)
    return True


def _holds(contact: Contact, key: DeviceKey, token: Secret, device: Device) -> bool:
    try:
        device.courier.card(*way_to(contact.person, key, device), token)
    except (WrongToken, NoSuchMailbox):
        return False
    return True
