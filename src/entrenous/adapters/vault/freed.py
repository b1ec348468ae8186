"""That a recovery sheet gave this device's tries back since it last opened (lock.md section 2).

The relay forgets then how many had opened nothing, and nothing can be written into a locked vault:
so an empty file beside it says that there were some, until the person is told.
"""

from pathlib import Path
from typing import Final

from entrenous.adapters.private_file import write_private

_FILE: Final = "unlocked-by-sheet"


def note_freed(home: Path) -> None:
    """When this returns it is durable; raises OSError."""
    write_private(home / _FILE, b"")


def was_freed(home: Path) -> bool:
    """Whether that is so, and nobody was told yet."""
    return (home / _FILE).is_file()


def forget_freed(home: Path) -> None:
    """The person was told."""
    (home / _FILE).unlink(missing_ok=True)
