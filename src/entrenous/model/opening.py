"""What a device notes while it downloads a message, opens it, and tells its relay."""

from dataclasses import dataclass

from entrenous.model.errors import Malformed, Refused, Unreachable
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


class NotLookedAt(Refused):
    """
    Nobody pressed Show on the page of {name}, so it was not opened, and can still be taken back. To
    look at it: entrenous open {name}
    """


class NotSeen(Refused):
    """
    The page of {name} was closed, or did not load, before you could see it. The person can not take
    it back by cryptography any more, for its relay gave the key, but this is no opening that
    counts: it opens here until it ends. To look at it: entrenous open {name}
    """


class UnsafeToShow(Malformed):
    """
    Not every file of {name} is a picture, clip or sound as Entrenous writes them. Such a file can
    attack the program that shows it, so nothing of the message was shown. Ask the person what they
    sent, and to send it again.
    """


class LookedAtOnly(Refused):
    """
    {name} may be opened a limited number of times, so it is looked at on a page, and nothing of it
    is written. To look at it: entrenous open {name}. Where its sender allowed that, you can have
    its files and its text written out, and the person is told: entrenous open {name} --export
    """


class ExportForbidden(Refused):
    """
    The person who sent {name} does not allow that its files or its text are written out. Nothing
    was opened. To look at it: entrenous open {name}
    """


class OddClock(Refused):
    """
    By this device's clock the time of {name} was over on {when}. But the clock is more than a month
    ahead of when it was last used, so nothing was removed. Check the date of this device. If it is
    right, there is nothing to do: an hour from now the message ends.
    """
