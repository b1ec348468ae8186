"""Moving to another relay (docs/spec/devices.md section 7)."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from entrenous.model.errors import Refused, Unreachable
from entrenous.model.identity import Home
from entrenous.model.ids import MailboxId
from entrenous.model.secret import Secret


@dataclass(frozen=True, slots=True)
class NewHome:
    """A mailbox that is being made elsewhere; ``unlock`` asks its relay for a part of the vault's
    key.

    ``made`` tells whether its relay has it, and ``leads`` whether our person said on this very
    device that she moves there: the others follow. ``idle_since`` is since when none leads there,
    ``hushed_since`` since when the others are not told of it any more.
    """

    home: Home
    unlock: Secret
    leads: bool = True
    made: bool = False
    idle_since: datetime | None = None
    hushed_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class OldHome:
    """Where this device's mail was, and may still come until ``until``.

    Not asked before ``ask_after``, when its relay did not answer. ``overtaken`` tells whether it
    has heard that no copy of this device may go on there, and ``next_close`` is what is to delete
    it from now on, since a lost device knew the token before.
    """

    home: Home
    until: datetime
    ask_after: datetime | None = None
    overtaken: bool = False
    next_close: Secret | None = None


class HomeIs(IntEnum):
    """What a mailbox is to the device that receives there; the numbers travel."""

    LEFT = 0  # it moved out, and still reads it
    PRESENT = 1  # its people write to it there, or its vault opens by that relay
    FOLLOWS = 2  # it is ready to move there, since another device leads
    LEADS = 3  # it is ready to move there, and so are the others to be


@dataclass(frozen=True, slots=True)
class SiblingHome:
    """A mailbox of another device of ours, and what deletes it."""

    relay_url: str
    mailbox: MailboxId
    close: Secret
    what: HomeIs


class OtherDevicesFirst(Refused):
    """
    All devices of one person are at one relay, and you have others: {names}. They would hear from
    this one by the relay that does not answer now. Nothing was changed. If it is gone for good,
    revoke those, move, then link them again, each in an empty folder: entrenous device revoke NAME.
    What lies on them alone, messages and originals, stays shut in them then.
    """


class WaitsForDevices(Unreachable):
    """
    Nothing has changed yet: your other devices come along, and these are not ready: {names}. Now
    type on each of them: entrenous inbox. Then here once more: entrenous device move --relay
    {relay}. One that you do not have any more is revoked first: entrenous device revoke NAME
    """


class ComesAlongFirst(Refused):
    """
    You moved to another relay, and these devices of yours have not come along yet: {names}. Nothing
    was linked. First, on each of them: entrenous inbox. One that you do not have any more is
    revoked: entrenous device revoke NAME
    """


class NotFollowed(Refused):
    """
    Another device of yours is about to move to {relay}, which from here is a program on this very
    machine, while your relay is elsewhere. So this device does not come along, and none of them
    moves. On that other one, call it off: entrenous device move --relay {present}
    """


class AlreadyThere(Refused):
    """
    This device is at that relay already, so there is nothing to move and nothing was changed.
    """
