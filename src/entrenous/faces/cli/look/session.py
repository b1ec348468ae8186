"""One look at a message, shared by the command that opens it and the server that shows it."""

import secrets
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Final

from entrenous.model.letter import ContentFile

_ADDRESS_BYTES: Final = 32


def _address() -> str:
    return secrets.token_urlsafe(_ADDRESS_BYTES)


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown; it is in memory only."""

    text: str | None
    files: tuple[ContentFile, ...]


@dataclass(slots=True, eq=False)
class Look:
    """``cover`` is the path that is given out, once; ``inside`` that of all that follows.

    The command waits for ``asked``, then answers with :meth:`show` or :meth:`fail`; ``loaded`` is
    set once the page has asked for every file, ``over`` once it was left.
    """

    sender: str
    cover: str = field(default_factory=_address)
    inside: str = field(default_factory=_address)
    asked: Event = field(default_factory=Event)
    loaded: Event = field(default_factory=Event)
    over: Event = field(default_factory=Event)
    answer: "Future[Shown]" = field(default_factory=Future)
    _shown: Shown | None = None
    _unasked: set[int] = field(default_factory=set)
    _given: bool = False
    _was_shown: bool = False
    _lock: Lock = field(default_factory=Lock)

    def give_out(self) -> bool:
        """Whether the cover may be given to who asks for it: the first time only."""
        with self._lock:
            given, self._given = self._given, True
            return not given

    def ask(self) -> bool:
        """Show it now: whether this is the first time that somebody asks."""
        with self._lock:
            first = not self.asked.is_set()
            self.asked.set()
            return first

    def show(self, shown: Shown) -> None:
        """It is open: this is what it holds."""
        self._shown, self._unasked = shown, set(range(len(shown.files)))
        self._was_shown = True
        if not self._unasked:
            self.loaded.set()
        self.answer.set_result(shown)

    def fail(self, why: Exception) -> None:
        """It did not open, or is not shown."""
        if not self.answer.done():
            self.answer.set_exception(why)

    def file(self, place: int) -> ContentFile | None:
        """One of its files, from 0, as long as it is looked at."""
        shown = self._shown
        if shown is None or self.over.is_set() or not 0 <= place < len(shown.files):
            return None
        with self._lock:
            self._unasked.discard(place)
            if not self._unasked:
                self.loaded.set()
        return shown.files[place]

    def saw_all(self) -> bool:
        """Whether the page has asked for every file."""
        return self._was_shown and not self._unasked

    def end(self) -> None:
        """Forget what it holds; nobody waits any longer."""
        self._shown = None
        for one in (self.over, self.asked, self.loaded):
            one.set()
