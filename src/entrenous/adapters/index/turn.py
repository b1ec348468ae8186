"""One process at a time writes a base; what a killed one left behind is swept away."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_HALF_WRITTEN: Final = ".entrenous-*"  # as adapters/private_file.py names them


@contextmanager
def turn(folder: Path, *, wait: bool) -> Iterator[bool]:
    """While this process alone may write in ``folder``; False if another one does.

    The lock is on an open file (flock), so that it holds between processes and between threads, and
    ends with its process, however that ends.
    """
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        mine = _taken(handle, wait=wait)
        if mine:
            _sweep(folder)
        yield mine
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Take away what a killed process left, unless another process is writing now."""
    with turn(folder, wait=False):
        pass


def _taken(handle: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _sweep(folder: Path) -> None:
    """Nobody is writing now, so these will never be finished; they hold hashes."""
    for left in folder.glob(_HALF_WRITTEN):
        left.unlink(missing_ok=True)
