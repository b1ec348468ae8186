"""Who this device is, as its verbs need it."""

from dataclasses import dataclass

from entrenous.craft.crypto.device import DeviceSigner
from entrenous.model.identity import Home, Identity
from entrenous.model.lock import NotConfirmed, RolledBack
from entrenous.model.message import OfflineDevice
from entrenous.model.person import DeviceKey, Person
from entrenous.model.secret import Secret
from entrenous.model.vault import NobodysDevice
from entrenous.ports import Device
from entrenous.send.drawers import SELF, lay, take

IDENTITY = "identity-2"
ACCOUNT = "account"
SIGNING_SEED = "signing-seed"  # that this device's ML-DSA-65 key grows from
UNFINISHED = "set-up-unfinished"  # the mailbox is not there yet, or lacks something
UNCONFIRMED = "unconfirmed"  # the relay has not heard yet that this state opened
ROLLED_BACK = "rolled-back"  # it has heard of a later one
CARD_TO_SHOW = "card-to-show"  # our card is newer than what lies at the relay
DEVICE_NAME = "device-name"  # what our person calls this device, for her own devices only
LOCK_TO_FOLLOW = "lock-to-follow"  # the relay's part of this vault's key is still at the old one
READY_SINCE = "ready-since"  # the epoch before which no sibling told where it may move
NEXT_CLOSE = "next-close"  # the token that is to delete our mailbox from now on


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
        NobodysDevice: its set-up was cut short.
        RolledBack: this device went on elsewhere, from a copy.
    """
    _refuse_rolled_back(device)
    identity = take(Identity, SELF, IDENTITY, device.vault)
    if identity is None:
        raise NobodysDevice
    if identity.person is None or identity.home is None or not identity.card:
        raise OfflineDevice
    key = next(key for key in identity.person.devices if key.device == identity.device)
    return Me(identity.name, identity.person, identity.home, identity.card, key)


def account_of(device: Device) -> Secret:
    """The device's Olm account; store it again with :func:`keep_account` when it has moved on.

    Raises:
        OfflineDevice, RolledBack, NotConfirmed.
    """
    refuse_unready(device)
    stored = device.vault.get(SELF, ACCOUNT)
    if stored is None:
        raise OfflineDevice
    return Secret(stored)


def signer_of(device: Device) -> DeviceSigner:
    """The private keys that this device signs with.

    Raises:
        OfflineDevice, RolledBack, NotConfirmed.
    """
    account, seed = account_of(device), device.vault.get(SELF, SIGNING_SEED)
    if seed is None:
        raise OfflineDevice
    return DeviceSigner(account, Secret(seed))


def refuse_unready(device: Device) -> None:
    """Return only if ratchets may move now (send/devices/generation.py).

    Raises:
        RolledBack: this device went on elsewhere, from a copy.
        NotConfirmed: it was opened in an offline window, and the relay did not answer.
    """
    _refuse_rolled_back(device)
    if device.vault.get(SELF, UNCONFIRMED) is not None:
        raise NotConfirmed


def is_ready(device: Device) -> bool:
    """Whether ratchets may move now."""
    return not any(device.vault.get(SELF, mark) is not None for mark in (UNCONFIRMED, ROLLED_BACK))


def _refuse_rolled_back(device: Device) -> None:
    if device.vault.get(SELF, ROLLED_BACK) is not None:
        raise RolledBack


def keep_account(account: Secret, device: Device) -> None:
    """Store the account after it moved on."""
    device.vault.put(SELF, ACCOUNT, account.reveal())


def keep_signer(signer: DeviceSigner, device: Device) -> None:
    """Store the keys of a new device."""
    keep_account(signer.account, device)
    device.vault.put(SELF, SIGNING_SEED, signer.seed.reveal())


def keep_identity(identity: Identity, device: Device) -> None:
    """Store who this device is."""
    lay(identity, SELF, IDENTITY, device.vault)
