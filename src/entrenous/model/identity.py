"""Who this device is: the keys that never leave its vault."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.model.errors import Refused
from entrenous.model.ids import DeviceId, MailboxId
from entrenous.model.person import Person
from entrenous.model.secret import Secret


@dataclass(frozen=True, slots=True)
class Home:
    """Where this device's mail is: her relay, her mailbox there, and the token that opens it.

    ``close`` is the token that deletes the mailbox, which her other devices and her recovery sheet
    hold too; None where there is none yet.
    """

    relay_url: str
    mailbox: MailboxId
    owner: Secret
    close: Secret | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """This device and its owner.

    ``home`` and ``person`` are None on a device that was set up without a relay; it has no
    correspondents, so it needs no keys. ``master`` and ``account`` are private.
    """

    name: str
    device: DeviceId
    created_at: datetime
    home: Home | None = None
    person: Person | None = None
    card: bytes | None = None
    master: Secret | None = None


class BadRelayAddress(Refused):
    """
    This is not a relay's address, so nothing was set up. It looks like https://relay.example,
    without a user, a question mark or anything after a #. Ask whoever runs the relay for it.
    """
