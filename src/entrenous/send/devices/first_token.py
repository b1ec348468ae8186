"""The token with which we may write to a device: the one that it gave us, or was handed to us."""

from typing import Final

from entrenous.model.ids import DeviceId, PersonId
from entrenous.model.person import Contact
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.drawers import FIRST_TOKEN, peer_key
from entrenous.spec import TOKEN_BYTES

NO_TOKEN: Final = Secret(bytes(TOKEN_BYTES))
"""In a contact that another device of ours was invited by."""


def token_for(contact: Contact, to: DeviceId, device: Device) -> Secret:
    """What we write to one device of somebody with; the invite's, before it gave us another.

    :data:`NO_TOKEN` where we were given none for it: that of another device must not be shown at
    its mailbox, which would tell the relay that both are one person's.
    """
    kept = device.vault.get(FIRST_TOKEN, peer_key(contact.person.id, to))
    if kept is not None:
        return Secret(kept)
    return contact.send_token if len(contact.person.devices) == 1 else NO_TOKEN


def keep_token(person: PersonId, of: DeviceId, token: Secret, device: Device) -> None:
    """Write to a device with this from now on."""
    device.vault.put(FIRST_TOKEN, peer_key(person, of), token.reveal())
