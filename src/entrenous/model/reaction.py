"""A reaction to a message."""

from dataclasses import dataclass
from datetime import datetime

from entrenous.model.caption import acts_on_screen
from entrenous.model.errors import NotFound, Refused
from entrenous.model.ids import MessageId, PersonId
from entrenous.model.unseen import GAPS, as_drawn


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


def is_sign(text: str) -> bool:
    """Whether a reaction is one sign to the eye: nothing of it acts on a screen, breaks the line or
    looks like the gap behind which the name stands, and something is seen.
    """
    odd = (char.isspace() or char in GAPS or acts_on_screen(char) for char in text)
    return bool(as_drawn(text)) and not any(odd)


class BadReaction(Refused):
    """
    A reaction is a sign or two without spaces, at most {limit} bytes. Nothing was sent. To say
    more: entrenous send --text - --reply MESSAGE
    """


class NobodyToAnswer(NotFound):
    """
    You know nobody any more who has {name}, so the reaction went to nobody.
    """
