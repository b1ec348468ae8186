"""Wake a device when a letter waits, without saying what waits (docs/spec/relay.md section 13)."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from entrenous.base.identifiers import MailboxId
from entrenous.base.secret import Secret
from entrenous.carry.relay import Relay, RowView, now
from entrenous.carry.relay_settings import WakeBounds
from entrenous.carry.send_tokens import require_owner


class _Listener:
    """A waiting request; ``source`` is its network, or its mailbox if that is unknown."""

    __slots__ = ("is_rung", "mailbox", "over", "source")

    def __init__(self, mailbox: MailboxId, source: bytes) -> None:
        self.mailbox, self.source = mailbox, source
        self.over, self.is_rung = asyncio.Event(), False

    def ring(self) -> None:
        self.is_rung = True
        self.over.set()

    async def rings(self, seconds: float) -> bool:
        """Return whether it is woken within that time; a dropped listener returns False at once."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.over.wait(), seconds)
        return self.is_rung


class LocalWakeUps:
    """Implements :class:`entrenous.carry.relay.WakeUps` in one process; keeps no history."""

    def __init__(self, bounds: WakeBounds | None = None) -> None:
        self._bounds = bounds or WakeBounds()
        # Dicts keep the order of arrival, so the first listener is the oldest.
        self._all: dict[_Listener, None] = {}
        self._at: defaultdict[MailboxId, dict[_Listener, None]] = defaultdict(dict)
        self._from: defaultdict[bytes, dict[_Listener, None]] = defaultdict(dict)
        self._hushed = False

    def ring(self, mailbox: MailboxId) -> None:
        for listener in self._at.get(mailbox, ()):
            listener.ring()

    @contextmanager
    def listen(
        self, mailbox: MailboxId, network: bytes = b""
    ) -> Iterator[Callable[[float], Awaitable[bool]]]:
        source = network if self._bounds.network and network else mailbox
        listener = _Listener(mailbox, source)
        self._bring_in(listener)
        if self._hushed:
            listener.ring()
        try:
            yield listener.rings
        finally:
            self._forget(listener)

    def make_room(self) -> bool:
        """Drop the oldest listener of the source that has most, so that it cannot drive out
        others.
        """
        if not self._all:
            return False
        self._let_go(max(self._from.values(), key=len))
        return True

    def hush(self) -> None:
        self._hushed = True
        for listener in self._all:
            listener.ring()

    def places(self) -> int:
        """Return the number of mailboxes that have a listener."""
        return len(self._at)

    def _bring_in(self, listener: _Listener) -> None:
        at, its = self._at[listener.mailbox], self._from[listener.source]
        if len(at) >= self._bounds.mailbox:
            self._let_go(at)
        if self._bounds.network and len(its) >= self._bounds.network:
            self._let_go(its)
        if len(self._all) >= self._bounds.total:
            self.make_room()
        for listeners in (self._all, self._at[listener.mailbox], self._from[listener.source]):
            listeners[listener] = None

    def _let_go(self, listeners: dict[_Listener, None]) -> None:
        oldest = next(iter(listeners))
        self._forget(oldest)
        oldest.over.set()

    def _forget(self, listener: _Listener) -> None:
        self._all.pop(listener, None)
        for listeners, key in ((self._at, listener.mailbox), (self._from, listener.source)):
            _drop(listeners, key, listener)


def _drop(
    listeners: defaultdict[Any, dict[_Listener, None]], key: Any, listener: _Listener
) -> None:
    listeners[key].pop(listener, None)
    if not listeners[key]:
        del listeners[key]


async def wait_for_envelope(
    mailbox: MailboxId, token: Secret, seconds: float, relay: Relay, network: bytes = b""
) -> bool:
    """Return whether a letter waits or arrives within ``seconds``; False sooner if others need the
    place.

    Args:
        mailbox: where it would arrive.
        token: the owner's.
        seconds: how long to wait.
        relay: the relay.
        network: the client's network, if known.

    Raises:
        NoSuchMailbox, WrongToken: the token is not the owner's.
    """
    has_letter = await _has_letter(mailbox, token, relay)
    if has_letter or relay.wake_ups is None:
        return has_letter
    with relay.wake_ups.listen(mailbox, network) as rings:
        # Check again: a letter may have arrived before we listened.
        return await _has_letter(mailbox, token, relay) or await rings(seconds)


async def _has_letter(mailbox: MailboxId, token: Secret, relay: Relay) -> bool:
    present = now(relay)

    def work(view: RowView) -> bool:
        require_owner(view, mailbox, token)
        return bool(view.letters(mailbox, 0, present, 1, 1))

    return await relay.mail.look(work)
