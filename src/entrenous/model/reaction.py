"""A reaction to a message."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.model.errors import NotFound, Refused
from entrenous.model.ids import MessageId, PersonId


@dataclass(frozen=True, slots=True)
class Reaction:
    """What somebody answers to a message in a sign or two; None takes it away.

    ``sender`` wrote the message; ``text`` has at most 32 bytes in UTF-8.
    """

    sender: PersonId
    message: MessageId
    text: str | None


@dataclass(frozen=True, slots=True)
class KeptReaction:
    """A reaction, who made it, and when it came here."""

    reaction: Reaction
    by: PersonId
    at: datetime


class BadReaction(Refused):
    """
    A reaction is a sign or two, at most {limit} bytes, that can be seen. Nothing was sent. To say
    more: entrenous send --text TEXT --reply MESSAGE
    """


class NobodyToAnswer(NotFound):
    """
    You know nobody any more who has {name}, so the reaction went to nobody.
    """
