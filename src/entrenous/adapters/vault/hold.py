"""One process at a time holds a vault: the ratchets in it must never run twice from one state."""

import fcntl
import os
import time
from pathlib import Path

from entrenous.model.vault import VaultBusy

_PAUSE_S = 0.05  # flock(2) waits for ever or not at all, so a wait with an end has to ask again


def hold(folder: Path, wait_s: float) -> int:
    """A handle on the folder's lock; closing it, or the end of the process, lets go.

    Raises:
        VaultBusy: another process kept it for longer than ``wait_s``.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(handle)
                raise VaultBusy from None
            time.sleep(_PAUSE_S)
        else:
            if _is_there(handle, folder):
                return handle
            os.close(handle)  # it was taken away with a set-up that came to nothing
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)


def _is_there(handle: int, folder: Path) -> bool:
    """Whether this is the file that whoever comes next would ask for, and not one of before."""
    try:
        return os.path.samestat(os.fstat(handle), (folder / "lock").stat())
    except FileNotFoundError:
        return False
