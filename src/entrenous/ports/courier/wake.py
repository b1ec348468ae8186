"""Wake-ups, and what a relay says about itself."""

from datetime import datetime
from typing import Protocol

from entrenous.model.envelope import Protocol as Spoken
from entrenous.model.ids import MailboxId
from entrenous.model.secret import Secret


class Wakes(Protocol):
    """How a device hears that it should look (docs/spec/relay.md sections 1 and 13)."""

    def wake(self, url: str, mailbox: MailboxId, owner: Secret, seconds: int) -> bool:
        """Whether a letter waits, or comes within so many seconds (spec.py: WAKE_ASK_S at most);
        nothing about what.
        """
        ...

    def status(self, url: str) -> tuple[Spoken, datetime | None]:
        """The protocols that a relay speaks, and when it was last restored from a backup."""
        ...
