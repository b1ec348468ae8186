"""Where a room keeps its things: a folder that can be made and written to, or a named refusal."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from entrenous.model.relay_problem import DiskFull
from entrenous.model.setting import ReadOnlyDisk, UnusableFolder

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """While something in ``folder`` is opened: what the system refuses, in our words.

    Raises:
        DiskFull: there is no room.
        ReadOnlyDisk: its disk takes no changes.
        UnusableFolder: it cannot be made, or not be written to.
    """
    try:
        yield
    except OSError as why:
        if why.errno in _FULL:
            raise DiskFull from None
        if why.errno == errno.EROFS:
            raise ReadOnlyDisk(path=folder) from None
        raise UnusableFolder(path=folder) from None
