"""Wake-ups from a relay, and its status."""

from datetime import datetime

from entrenous.adapters.courier.request import Ask, Asks, Errand
from entrenous.craft.wire.b64u import b64u
from entrenous.craft.wire.relay.mailbox import read_status
from entrenous.model.envelope import Protocol
from entrenous.model.ids import MailboxId
from entrenous.model.secret import Secret


class HttpWakes:
    """The port of the same name over HTTP; ``asks`` makes one request and reads its answer."""

    def __init__(self, asks: Asks) -> None:
        self._ask = asks

    def wake(self, url: str, mailbox: MailboxId, owner: Secret, seconds: int) -> bool:
        """Whether something waits; a relay has 204 and no body for "nothing"."""
        path = f"mailboxes/{b64u(mailbox)}/wake?seconds={seconds}"
        return bool(self._ask(url, Ask("GET", path, owner)))

    def status(self, url: str) -> tuple[Protocol, datetime | None]:
        """What a relay says about itself."""
        return read_status(self._ask(url, Ask("GET", "status", errand=Errand.OF_NOBODY)))
