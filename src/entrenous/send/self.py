"""Who this device is, as its verbs need it."""

from dataclasses import dataclass

from entrenous.model.identity import Home, Identity
from entrenous.model.message import OfflineDevice
from entrenous.model.person import DeviceKey, Person
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.drawers import SELF, lay, take

IDENTITY = "identity"
ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Me:
    """The parts of an identity that a device with a relay has in any case."""

    name: str
    person: Person
    home: Home
    card: bytes
    key: DeviceKey


def who_am_i(device: Device) -> Me:
    """This person and this device.

    Raises:
        OfflineDevice: it was set up without a relay, so it has no keys.
    """
    identity = take(Identity, SELF, IDENTITY, device.vault)
    if identity is None or identity.person is None or identity.home is None or not identity.card:
        raise OfflineDevice
    key = next(key for key in identity.person.devices if key.device == identity.device)
    return Me(identity.name, identity.person, identity.home, identity.card, key)


def account_of(device: Device) -> Secret:
    """The device's Olm account; store it again with :func:`keep_account` when it has moved on.

    Raises:
        OfflineDevice.
    """
    stored = device.vault.get(SELF, ACCOUNT)
    if stored is None:
        raise OfflineDevice
    return Secret(stored)


def keep_account(account: Secret, device: Device) -> None:
    """Store the account after it moved on."""
    device.vault.put(SELF, ACCOUNT, account.reveal())


def keep_identity(identity: Identity, device: Device) -> None:
    """Store who this device is."""
    lay(identity, SELF, IDENTITY, device.vault)
