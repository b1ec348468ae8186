"""A bell that is heard within one process."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

from entrenous.model.ids import MailboxId
from entrenous.model.relay_problem import TooMany

_EARS_MAX: Final = 8  # at one mailbox: a device listens once, and again after a broken line
_RETRY_S: Final = 60


class LocalBell:
    """A :class:`entrenous.ports.Bell`; it remembers nothing of who listened or what rang."""

    def __init__(self) -> None:
        self._ears: defaultdict[MailboxId, set[asyncio.Event]] = defaultdict(set)
        self._hushed = False

    def ring(self, mailbox: MailboxId) -> None:
        """Wake whoever listens there."""
        for ear in self._ears.get(mailbox, ()):
            ear.set()

    @contextmanager
    def listen(self, mailbox: MailboxId) -> Iterator[Callable[[float], Awaitable[bool]]]:
        """Hear every ring from now on."""
        ear, ears = asyncio.Event(), self._ears[mailbox]
        if len(ears) >= _EARS_MAX:
            raise TooMany(retry_after_s=_RETRY_S)
        ears.add(ear)
        if self._hushed:
            ear.set()
        try:
            yield partial(_heard, ear)
        finally:
            ears.discard(ear)
            if not ears:
                self._ears.pop(mailbox, None)

    def hush(self) -> None:
        """Wake everybody, now and from now on."""
        self._hushed = True
        for mailbox in self._ears:
            self.ring(mailbox)

    def places(self) -> int:
        """At how many mailboxes somebody listens."""
        return len(self._ears)


async def _heard(ear: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(ear.wait(), seconds)
    return ear.is_set()
