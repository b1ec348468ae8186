"""The relay's halves of content keys."""

from entrenous.adapters.courier.request import Ask, Asks
from entrenous.craft.wire.b64u import b64u
from entrenous.craft.wire.relay import envelope as about
from entrenous.model.ids import EnvelopeId
from entrenous.model.secret import Secret


class HttpShares:
    """The port of the same name over HTTP; ``asks`` makes one request and reads its answer."""

    def __init__(self, asks: Asks) -> None:
        self._ask = asks

    def open_share(
        self, url: str, envelope: EnvelopeId, open_token: Secret, attempt: bytes
    ) -> Secret:
        """Ask for the relay's half of a content key."""
        body = about.write_attempt(attempt)
        answer = self._ask(url, Ask("POST", f"shares/{b64u(envelope)}/open", open_token, body))
        return about.read_share(answer)

    def finish(self, url: str, envelope: EnvelopeId, open_token: Secret, attempt: bytes) -> None:
        """Say that the content is on disk here."""
        body = about.write_attempt(attempt)
        self._ask(url, Ask("POST", f"shares/{b64u(envelope)}/finish", open_token, body))
