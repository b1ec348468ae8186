"""Wake a device when something waits for it, without saying what (docs/spec/relay.md section 13)."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from entrenous.base.identifiers import MailboxId
from entrenous.base.secret import Secret
from entrenous.carry.relay import Relay, RowView, now
from entrenous.carry.relay_settings import WakeBounds
from entrenous.carry.send_tokens import owner


class _Ear:
    """One who listens; ``source`` is the network, or where none is known the mailbox."""

    __slots__ = ("is_rung", "mailbox", "over", "source")

    def __init__(self, mailbox: MailboxId, source: bytes) -> None:
        self.mailbox, self.source = mailbox, source
        self.over, self.is_rung = asyncio.Event(), False

    def ring(self) -> None:
        self.is_rung = True
        self.over.set()

    async def rings(self, seconds: float) -> bool:
        """Whether it is rung within that time; one that has to yield is told at once: no."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.over.wait(), seconds)
        return self.is_rung


class LocalWakeUps:
    """A :class:`entrenous.carry.relay.WakeUps`; it remembers nothing of who listened or what rang."""

    def __init__(self, bounds: WakeBounds | None = None) -> None:
        self._bounds = bounds or WakeBounds()
        # Ears in the order in which they came, so the first is the oldest.
        self._all: dict[_Ear, None] = {}
        self._at: defaultdict[MailboxId, dict[_Ear, None]] = defaultdict(dict)
        self._from: defaultdict[bytes, dict[_Ear, None]] = defaultdict(dict)
        self._hushed = False

    def ring(self, mailbox: MailboxId) -> None:
        """Wake whoever listens there."""
        for ear in self._at.get(mailbox, ()):
            ear.ring()

    @contextmanager
    def listen(
        self, mailbox: MailboxId, network: bytes = b""
    ) -> Iterator[Callable[[float], Awaitable[bool]]]:
        """Hear every ring from now on; if need be, the oldest who listens yields."""
        source = network if self._bounds.network and network else mailbox
        ear = _Ear(mailbox, source)
        self._bring_in(ear)
        if self._hushed:
            ear.ring()
        try:
            yield ear.rings
        finally:
            self._forget(ear)

    def make_room(self) -> bool:
        """The oldest goes of the source that has most, so that nobody who has many places drives
        out who has few.
        """
        if not self._all:
            return False
        self._let_go(max(self._from.values(), key=len))
        return True

    def hush(self) -> None:
        """Wake everybody, now and from now on."""
        self._hushed = True
        for ear in self._all:
            ear.ring()

    def places(self) -> int:
        """At how many mailboxes somebody listens."""
        return len(self._at)

    def _bring_in(self, ear: _Ear) -> None:
        at, its = self._at[ear.mailbox], self._from[ear.source]
        if len(at) >= self._bounds.mailbox:
            self._let_go(at)
        if self._bounds.network and len(its) >= self._bounds.network:
            self._let_go(its)
        if len(self._all) >= self._bounds.total:
            self.make_room()
        for ears in (self._all, self._at[ear.mailbox], self._from[ear.source]):
            ears[ear] = None

    def _let_go(self, ears: dict[_Ear, None]) -> None:
        oldest = next(iter(ears))
        self._forget(oldest)
        oldest.over.set()

    def _forget(self, ear: _Ear) -> None:
        self._all.pop(ear, None)
        for ears, key in ((self._at, ear.mailbox), (self._from, ear.source)):
            _drop(ears, key, ear)


def _drop(ears: defaultdict[Any, dict[_Ear, None]], key: Any, ear: _Ear) -> None:
    ears[key].pop(ear, None)
    if not ears[key]:
        del ears[key]


async def wait_for_envelope(
    mailbox: MailboxId, token: Secret, seconds: float, relay: Relay, network: bytes = b""
) -> bool:
    """Whether a letter waits, or comes within ``seconds``; False sooner if others need the place.

    Args:
        mailbox: where it would come.
        token: the owner's.
        seconds: how long to wait.
        relay: the relay.
        network: from where it is asked, if that is known.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
    """
    waits = await _waits(mailbox, token, relay)
    if waits or relay.bell is None:
        return waits
    with relay.bell.listen(mailbox, network) as rings:
        # Looked at again: a letter may have come before we listened.
        return await _waits(mailbox, token, relay) or await rings(seconds)


async def _waits(mailbox: MailboxId, token: Secret, relay: Relay) -> bool:
    present = now(relay)

    def work(view: RowView) -> bool:
        owner(view, mailbox, token)
        return bool(view.letters(mailbox, 0, present, 1, 1))

    return await relay.mail.look(work)
