"""Wake a device when a letter waits, without saying what waits (docs/spec/relay.md section 13)."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from entrenous.base.identifiers import MailboxId
from entrenous.base.secret import Secret
from entrenous.carry.relay import Relay, RowView, now
from entrenous.carry.relay_settings import LongPollLimits
from entrenous.carry.send_tokens import require_owner_token


class _Listener:
    """A waiting request.

    ``source`` is the network that the request came from, or the mailbox if networks are unknown.
    """

    __slots__ = ("ended", "is_woken", "mailbox", "source")

    def __init__(self, mailbox: MailboxId, source: bytes) -> None:
        self.mailbox, self.source = mailbox, source
        self.ended, self.is_woken = asyncio.Event(), False

    def wake(self) -> None:
        self.is_woken = True
        self.ended.set()

    async def wait(self, seconds: float) -> bool:
        """Return whether the listener is woken within that many seconds; if it is dropped, return
        False at once.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), seconds)
        return self.is_woken


class LocalWakeUps:
    """Implements :class:`entrenous.carry.relay.WakeUps` for one process; stores no wake-ups."""

    def __init__(self, bounds: LongPollLimits | None = None) -> None:
        self._bounds = bounds or LongPollLimits()
        # Dicts keep the order of arrival, so the first listener is the oldest.
        self._all: dict[_Listener, None] = {}
        self._at: defaultdict[MailboxId, dict[_Listener, None]] = defaultdict(dict)
        self._from: defaultdict[bytes, dict[_Listener, None]] = defaultdict(dict)
        self._stopped = False

    def wake(self, mailbox: MailboxId) -> None:
        for listener in self._at.get(mailbox, ()):
            listener.wake()

    @contextmanager
    def listen(
        self, mailbox: MailboxId, network: bytes = b""
    ) -> Iterator[Callable[[float], Awaitable[bool]]]:
        source = network if self._bounds.network and network else mailbox
        listener = _Listener(mailbox, source)
        self._add(listener)
        if self._stopped:
            listener.wake()
        try:
            yield listener.wait
        finally:
            self._remove(listener)

    def make_room(self) -> bool:
        """Drop the oldest listener of the source that has the most listeners."""
        if not self._all:
            return False
        self._drop_oldest(max(self._from.values(), key=len))
        return True

    def stop_waiting(self) -> None:
        self._stopped = True
        for listener in self._all:
            listener.wake()

    def count_listening_mailboxes(self) -> int:
        """Return the number of mailboxes that have a listener."""
        return len(self._at)

    def _add(self, listener: _Listener) -> None:
        at, from_source = self._at[listener.mailbox], self._from[listener.source]
        if len(at) >= self._bounds.mailbox:
            self._drop_oldest(at)
        if self._bounds.network and len(from_source) >= self._bounds.network:
            self._drop_oldest(from_source)
        if len(self._all) >= self._bounds.total:
            self.make_room()
        for listeners in (self._all, self._at[listener.mailbox], self._from[listener.source]):
            listeners[listener] = None

    def _drop_oldest(self, listeners: dict[_Listener, None]) -> None:
        oldest = next(iter(listeners))
        self._remove(oldest)
        oldest.ended.set()

    def _remove(self, listener: _Listener) -> None:
        self._all.pop(listener, None)
        for listeners, key in ((self._at, listener.mailbox), (self._from, listener.source)):
            _discard_listener(listeners, key, listener)


def _discard_listener(
    listeners: defaultdict[Any, dict[_Listener, None]], key: Any, listener: _Listener
) -> None:
    listeners[key].pop(listener, None)
    if not listeners[key]:
        del listeners[key]


async def wait_for_envelope(
    mailbox: MailboxId, token: Secret, seconds: float, relay: Relay, network: bytes = b""
) -> bool:
    """Return whether a letter waits or arrives within ``seconds``.

    Returns False earlier if other requests need the connection, and True if the relay stops.

    ``network`` is the client's network, b"" if unknown.

    Raises:
        NoSuchMailbox, WrongToken: the mailbox is unknown, or the token is not its owner's.
    """
    has_letter = await _has_letter(mailbox, token, relay)
    if has_letter or relay.wake_ups is None:
        return has_letter
    with relay.wake_ups.listen(mailbox, network) as wait:
        # Check again: a letter may have arrived before we listened.
        return await _has_letter(mailbox, token, relay) or await wait(seconds)


async def _has_letter(mailbox: MailboxId, token: Secret, relay: Relay) -> bool:
    present = now(relay)

    def find_letter(view: RowView) -> bool:
        require_owner_token(view, mailbox, token)
        return bool(view.find_letters(mailbox, 0, present, 1, 1))

    return await relay.mail.read(find_letter)
