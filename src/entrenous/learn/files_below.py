"""Walk through the files below a folder, and remember which folders could not be listed."""

from collections.abc import Iterator
from pathlib import Path


def files_below(root: Path, unlisted: list[Path]) -> Iterator[Path]:
    """Yield regular files in and below a folder, level by level; links are not followed.

    A folder that cannot be listed, or only in part, is added to ``unlisted`` when it is reached.
    """
    waiting = [root]
    for folder in waiting:
        try:
            for entry in sorted(folder.iterdir()):
                if entry.is_symlink():
                    continue
                if entry.is_dir():
                    waiting.append(entry)
                elif entry.is_file():
                    yield entry
        except OSError:
            unlisted.append(folder)
