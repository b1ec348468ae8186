"""An index that looks after itself, in a thread of its own."""

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from entrenous.adapters.index.file_index import FileIndex
from entrenous.model.errors import EntrenousError
from entrenous.model.fingerprint import Near
from entrenous.ports import BankStore

_ROUND_S: Final = 1.0
_WITHDRAWN_S: Final = 30.0
# In each round, 0.16 % of a core: a gate, three judges and a slow look together stay below 1 %. A
# gigabyte, about eight million hashes, was read again after four minutes.
_REREAD_BYTES: Final = 4 * 1024 * 1024
_REST: Final = 3  # times as long as looking for withdrawn hashes took: at least until the next look

_LOG: Final = logging.getLogger("entrenous.index")


class TendedIndex:
    """An IndexStore. Made by :func:`open_index`; ``index`` is what it tends."""

    __slots__ = ("_closing", "_thread", "index")

    def __init__(self, index: FileIndex, round_s: float, withdrawn_s: float) -> None:
        self.index = index
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=self._tend, args=(round_s, withdrawn_s), name="index", daemon=True
        )
        self._thread.start()

    def near(self, hashes: Sequence[bytes], *, part: bool) -> Sequence[Near]:
        """All within 31 bits, after catching up."""
        return self.index.near(hashes, part=part)

    def parts(self) -> int:
        """How many hashes of parts the last look-up knew."""
        return self.index.parts()

    def close(self) -> None:
        """Stop tending, after what is being written; nothing is lost by not closing."""
        self._closing.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tend(self, round_s: float, withdrawn_s: float) -> None:
        due = time.monotonic() + withdrawn_s
        while not self._closing.wait(round_s):
            began = time.monotonic()
            try:
                self._round(withdrawn_too=began >= due)
            except (EntrenousError, OSError) as why:  # a full disk, a bank that is away: next time
                said = {"event": "index-waits", "kind": type(why).__name__}
                _LOG.warning("index-waits %s", said["kind"], extra={"said": said})
            if began >= due:
                now = time.monotonic()
                due = now + max(withdrawn_s, _REST * (now - began))

    def _round(self, *, withdrawn_too: bool) -> None:
        self.index.refresh()
        if self.index.is_damaged(_REREAD_BYTES):
            _LOG.warning("index-damaged", extra={"said": {"event": "index-damaged"}})
            self.index.mend()
        elif withdrawn_too and self.index.holds_withdrawn():
            self.index.rebuild()
        elif self.index.is_due():
            self.index.merge()


def open_index(
    folder: Path,
    bank: BankStore,
    *,
    shards: int = 1,
    round_s: float = _ROUND_S,
    withdrawn_s: float = _WITHDRAWN_S,
) -> TendedIndex:
    """The index in ``folder``, made from the bank if there is none that can be used.

    It is divided into ``shards``. It looks after itself every ``round_s`` seconds, reading 4 MiB of
    its files again each time, and for withdrawn hashes every ``withdrawn_s``, or, where that takes
    long, in a quarter of the time.
    Close it before the bank.

    Raises:
        BankUnreachable, OSError.
    """
    index = FileIndex(folder, bank, shards)
    if index.is_due():
        index.merge()
    return TendedIndex(index, round_s, withdrawn_s)
