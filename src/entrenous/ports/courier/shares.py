"""The relay's halves of content keys."""

from typing import Protocol

from entrenous.model.ids import EnvelopeId
from entrenous.model.secret import Secret


class Shares(Protocol):
    """Halves of content keys, handed out and counted (docs/spec/relay.md section 6)."""

    def open_share(
        self, url: str, envelope: EnvelopeId, open_token: Secret, attempt: bytes
    ) -> Secret:
        """Ask for the relay's half of a content key; raises TakenBack, Expired, UsedUp."""
        ...

    def finish(self, url: str, envelope: EnvelopeId, open_token: Secret, attempt: bytes) -> None:
        """Say that the content is on disk here."""
        ...
