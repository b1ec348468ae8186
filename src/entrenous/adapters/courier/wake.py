"""Wake-ups from a relay, and its status."""

import time
from collections.abc import Callable
from datetime import datetime

from entrenous.adapters.courier.request import Ask, Asks, Errand
from entrenous.craft.wire.b64u import b64u
from entrenous.craft.wire.relay.mailbox import read_status
from entrenous.model.envelope import Protocol
from entrenous.model.ids import MailboxId
from entrenous.model.secret import Secret


class HttpWakes:
    """The port of the same name over HTTP; ``asks`` makes one request and reads its answer.

    ``rest_s``: how long at most it rests where a relay answered a wake-up early.
    """

    def __init__(
        self,
        asks: Asks,
        rest_s: float = 0.0,
        now_s: Callable[[], float] = time.monotonic,
        sleep_s: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ask = asks
        self._rest_s = rest_s
        self._now_s = now_s
        self._sleep_s = sleep_s

    def wake(self, url: str, mailbox: MailboxId, owner: Secret, seconds: int) -> bool:
        """Whether something waits; a relay has 204 and no body for "nothing".

        A relay that has no place for us says so early. Who asked again at once would take the place
        of somebody else, who would do the same; so the rest of the time passes here.
        """
        path, began_s = f"mailboxes/{b64u(mailbox)}/wake?seconds={seconds}", self._now_s()
        if self._ask(url, Ask("GET", path, owner)):
            return True
        left_s = seconds - (self._now_s() - began_s)
        if (rest_s := min(left_s, self._rest_s)) > 0:
            self._sleep_s(rest_s)
        return False

    def status(self, url: str) -> tuple[Protocol, datetime | None]:
        """What a relay says about itself."""
        return read_status(self._ask(url, Ask("GET", "status", errand=Errand.OF_NOBODY)))
