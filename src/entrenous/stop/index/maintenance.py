"""One index that a thread maintains, and one that its first look-up opens."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from entrenous.base.errors import EntrenousError
from entrenous.fingerprint.nouns import NearHash
from entrenous.stop.index.file_index import FileIndex

if TYPE_CHECKING:
    from entrenous.stop.store.bank_store import BankStore

_ROUND_INTERVAL_S: Final = 1.0
_WITHDRAWN_CHECK_INTERVAL_S: Final = 30.0
# Bytes that are reread in each round. This takes 0.16 % of a core per process, so less than 1 % for
# the five processes of a large gate. A gigabyte, about eight million hashes, is reread in four
# minutes.
_REREAD_BYTES_PER_ROUND: Final = 4 * 1024 * 1024
_PAUSE_PER_CHECK_TIME: Final = (
    3  # pause after a check for withdrawn hashes, as a multiple of its duration
)
_LOG: Final = logging.getLogger("entrenous.index")


class MaintainedIndex:
    """An IndexStore that maintains ``index`` in a thread; made by :func:`open_index`."""

    __slots__ = ("_closing", "_thread", "index")

    def __init__(
        self, index: FileIndex, round_interval_s: float, withdrawn_check_interval_s: float
    ) -> None:
        self.index = index
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=self._maintain,
            args=(round_interval_s, withdrawn_check_interval_s),
            name="index",
            daemon=True,
        )
        self._thread.start()

    def find_near_hashes(self, hashes: Sequence[bytes], *, part: bool) -> Sequence[NearHash]:
        """Return all registered hashes that differ from one of ``hashes`` in at most 31 bits.

        The newest are included.
        """
        return self.index.find_near_hashes(hashes, part=part)

    def part_hash_count(self) -> int:
        """Return the number of part hashes known at the last look-up."""
        return self.index.part_hash_count()

    def close(self) -> None:
        """Stop the thread once it has finished writing.

        No data is lost if this is never called.
        """
        self._closing.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _maintain(self, round_interval_s: float, withdrawn_check_interval_s: float) -> None:
        due = time.monotonic() + withdrawn_check_interval_s
        while not self._closing.wait(round_interval_s):
            began = time.monotonic()
            try:
                self._maintain_once(withdrawn_too=began >= due)
            # The disk is full, or the bank unreachable: try again in the next round.
            except (EntrenousError, OSError) as why:
                event = {"event": "index-waits", "kind": type(why).__name__}
                _LOG.warning("index-waits %s", event["kind"], extra={"said": event})
            if began >= due:
                now = time.monotonic()
                due = now + max(withdrawn_check_interval_s, _PAUSE_PER_CHECK_TIME * (now - began))

    def _maintain_once(self, *, withdrawn_too: bool) -> None:
        self.index.switch_to_newer_bases()
        if self.index.finds_damage(_REREAD_BYTES_PER_ROUND):
            _LOG.warning("index-damaged", extra={"said": {"event": "index-damaged"}})
            self.index.replace_damaged_bases()
        elif withdrawn_too and self.index.has_withdrawn_hashes():
            self.index.rebuild()
        elif self.index.is_merge_due():
            self.index.merge()


def open_index(
    folder: Path,
    bank: BankStore,
    *,
    shards: int = 1,
    round_interval_s: float = _ROUND_INTERVAL_S,
    withdrawn_check_interval_s: float = _WITHDRAWN_CHECK_INTERVAL_S,
) -> MaintainedIndex:
    """Open the index in ``folder``, or make it from the bank if there is none that can be used.

    The index is divided into ``shards``. Every ``round_interval_s`` seconds it maintains itself and
    rereads 4 MiB of its files. Every ``withdrawn_check_interval_s`` seconds it checks for withdrawn
    hashes, less often if the check is slow. Close it before the bank. Raises BankUnreachable,
    OSError.
    """
    index = FileIndex(folder, bank, shards)
    if index.is_merge_due():
        index.merge()
    return MaintainedIndex(index, round_interval_s, withdrawn_check_interval_s)


class LazyIndex:
    """An IndexStore that its first look-up opens by calling ``opening``.

    If ``opening`` raises, so does the look-up, and the next one tries again.
    """

    __slots__ = ("_index", "_lock", "_opening")

    def __init__(self, opening: Callable[[], MaintainedIndex]) -> None:
        self._opening = opening
        self._index: MaintainedIndex | None = None
        self._lock = threading.Lock()

    def find_near_hashes(self, hashes: Sequence[bytes], *, part: bool) -> Sequence[NearHash]:
        """Return all registered hashes that differ from one of ``hashes`` in at most 31 bits.

        The newest are included.
        """
        return self.get_open_index().find_near_hashes(hashes, part=part)

    def part_hash_count(self) -> int:
        """Return the number of part hashes known at the last look-up."""
        return self.get_open_index().part_hash_count()

    def get_open_index(self) -> MaintainedIndex:
        """Open the index unless it is open, and return it; a server calls this before the first
        request.

        Raises:
            BankUnreachable, and the errors of ``opening``.
        """
        with self._lock:
            if self._index is None:
                self._index = self._opening()
            return self._index

    def close(self) -> None:
        """Close the index, if it was opened."""
        if self._index is not None:
            self._index.close()
