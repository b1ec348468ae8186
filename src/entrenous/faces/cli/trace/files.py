"""Which files are traced when folders are named."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from entrenous.model.picture import EmptyFolder


def files_in(named: Sequence[Path]) -> list[Path]:
    """The named files, and all files in named folders and theirs, sorted; each once.

    Raises:
        EmptyFolder: folders were named, and there is not one file in them.
    """
    found = list(dict.fromkeys(file for one in named for file in _files(one)))
    if named and not found:
        raise EmptyFolder(path=named[0])
    return found


def _files(named: Path) -> Iterator[Path]:
    if named.is_dir():
        yield from sorted(file for file in named.rglob("*") if file.is_file())
    else:
        yield named
