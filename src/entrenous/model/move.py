"""Moving to another relay (docs/spec/devices.md section 7)."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.model.errors import Refused
from entrenous.model.identity import Home
from entrenous.model.secret import Secret


@dataclass(frozen=True, slots=True)
class NewHome:
    """A mailbox that is being made elsewhere; ``unlock`` asks its relay for a part of the vault's
    key.
    """

    home: Home
    unlock: Secret


@dataclass(frozen=True, slots=True)
class OldHome:
    """Where this device's mail was, and may still come until ``until``.

    Not asked before ``ask_after``, when its relay did not answer. ``overtaken`` tells whether it
    has heard that no copy of this device may go on there.
    """

    home: Home
    until: datetime
    ask_after: datetime | None = None
    overtaken: bool = False


class OtherDevicesFirst(Refused):
    """
    All devices of one person are at one relay, and you have others: {names}. Nothing was changed.
    Revoke those, move, then link them again, each in an empty folder: entrenous device revoke NAME.
    A revoked device stays shut, so first take along what lies on it alone, such as messages and
    originals. There: entrenous archive export --out DIR. Once linked again: entrenous archive
    import DIR
    """


class AlreadyThere(Refused):
    """
    This device is at that relay already, so there is nothing to move and nothing was changed.
    """
