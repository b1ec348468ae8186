"""What a device notes while it downloads a message, opens it, and tells its relay."""

from dataclasses import dataclass

from entrenous.model.errors import Refused, Unreachable
from entrenous.model.ids import BlobId, EnvelopeId
from entrenous.model.relay_problem import UsedUp
from entrenous.model.secret import Secret


@dataclass(frozen=True, slots=True)
class Part:
    """A blob on its way here: ``kept`` holds what came of it, all of it once ``whole``."""

    kept: BlobId
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Finishing:
    """An opening that its relay is to be told the end of; ``attempt`` has 16 bytes."""

    relay_url: str
    envelope: EnvelopeId
    open_token: Secret
    attempt: bytes


class NotThereYet(Unreachable):
    """
    The relay of {name} does not have it, or does not have it yet: it may have lost its last
    minutes, and what it had not confirmed is brought again by the sender's program. Nothing is
    lost here. Try again later; if that goes on, ask the person to send it again.
    """


class OpenedElsewhere(UsedUp):
    """
    {name} was opened on another device of yours as often as it may be, so it does not open here any
    more. If you did not do that, or have no other device, somebody may hold a copy of one. See
    which are yours: entrenous device list
    """


class RemovedHere(Refused):
    """
    You removed {name} from this device, so it does not open here any more. Ask the person to send
    it again, or look on another device of yours.
    """


class OddClock(Refused):
    """
    By this device's clock the time of {name} was over on {when}. But the clock is more than a month
    ahead of when it was last used, so nothing was removed. Check the date of this device. If it is
    right, there is nothing to do: an hour from now the message ends.
    """
