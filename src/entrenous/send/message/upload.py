"""Bring a posting's blobs to their relay, and go on where an earlier try stopped (relay.md 4).

How much came is asked of the relay, never remembered: it alone knows what is on its disk. So
nothing is asked before a first try, and a try after a crash, a restart or a broken connection sends
the rest alone.
"""

import io
from collections.abc import Callable
from typing import BinaryIO, Final, cast

from entrenous.model.envelope import BlobDeposit
from entrenous.model.ids import BlobId
from entrenous.model.outbox import Posting
from entrenous.model.relay_problem import WrongOffset
from entrenous.model.sealed_copy import SealedCopy
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.drawers import SEALED, take
from entrenous.spec import RESUMED_BYTES_MIN

OnSent = Callable[[int], None]  # is told how many bytes more have left


def nobody_counts(_size: int) -> None:
    """Of an upload that nobody watches."""


def is_worth_resuming(posting: Posting) -> bool:
    """Whether its blobs are so large that not all of them should be sent twice."""
    return posting.blob_bytes >= RESUMED_BYTES_MIN


def bring_blobs(posting: Posting, device: Device, on_sent: OnSent = nobody_counts) -> None:
    """Bring all blobs of a posting; each is durable at the relay when the next one begins.

    Raises:
        RelayUnreachable, or what the relay refuses; what came stays there for a day.
    """
    copy = take(SealedCopy, SEALED, posting.envelope.id.hex(), device.vault)
    token = copy.withdraw_token if copy is not None and is_worth_resuming(posting) else None
    for deposit, kept in posting.blobs:
        _Upload(posting, deposit, kept, token, device).run(on_sent)


class _Upload:
    """One blob on its way; ``withdraw`` is the token that may ask how much came, None if nobody
    should.
    """

    def __init__(
        self,
        posting: Posting,
        deposit: BlobDeposit,
        kept: BlobId,
        withdraw: Secret | None,
        device: Device,
    ) -> None:
        self._posting, self._deposit, self._kept = posting, deposit, kept
        self._withdraw, self._device = withdraw, device

    def run(self, on_sent: OnSent) -> None:
        start = self._came() if self._posting.begun else 0
        with self._device.vault.reading(self._kept) as file:
            counted, best, idle = _Counted(file, on_sent), start, 0
            while True:
                try:
                    self._bring(counted.from_(start, once=self._withdraw is not None), start)
                except _ReadAgain:
                    start = self._came()
                    idle, best = (0, start) if start > best else (idle + 1, best)
                except WrongOffset:
                    if start == 0:
                        raise
                    start, idle = 0, idle + 1  # the relay has lost what it had
                else:
                    return counted.finish(self._deposit.size)
                if idle > _IDLE_TRIES_MAX:
                    # A relay that only says that it has more keeps nobody here: from here on the
                    # courier's own patience ends it.
                    self._withdraw, start = None, 0

    def _came(self) -> int:
        if self._withdraw is None:
            return 0
        url, deposit = self._posting.relay_url, self._deposit
        came = self._device.courier.how_much_came(url, deposit.mailbox, deposit.id, self._withdraw)
        return min(came, deposit.size)

    def _bring(self, reader: BinaryIO, start: int) -> None:
        posting = self._posting
        self._device.courier.bring_blob(
            posting.relay_url, posting.token, self._deposit, reader, start
        )


_IDLE_TRIES_MAX: Final = 3


class _ReadAgain(Exception):
    """The connection broke and the courier is about to repeat itself: first ask what came."""


class _Counted(io.BufferedIOBase):
    """A file that tells how far it was read, and may be wound to a place once only."""

    def __init__(self, file: BinaryIO, on_sent: OnSent) -> None:
        self._file, self._on_sent, self._told = file, on_sent, 0
        self._seeks_left: int | None = None

    def from_(self, start: int, *, once: bool) -> BinaryIO:
        self._seeks_left = 1 if once else None
        self._tell(start)
        return cast("BinaryIO", self)

    def finish(self, size: int) -> None:
        self._tell(size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._file.read(-1 if size is None else size)
        self._tell(self._file.tell())
        return data

    def seek(self, place: int, whence: int = io.SEEK_SET, /) -> int:
        if self._seeks_left == 0:
            raise _ReadAgain
        self._seeks_left = None if self._seeks_left is None else 0
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()

    def _tell(self, place: int) -> None:
        if place > self._told:
            self._on_sent(place - self._told)
            self._told = place
