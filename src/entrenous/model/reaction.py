"""A reaction to a message."""

from dataclasses import dataclass

from entrenous.model.ids import MessageId, PersonId


@dataclass(frozen=True, slots=True)
class Reaction:
    """What somebody answers to a message in a sign or two; None takes it away.

    ``sender`` wrote the message; ``text`` has at most 32 bytes in UTF-8.
    """

    sender: PersonId
    message: MessageId
    text: str | None
