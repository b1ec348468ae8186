"""Bases that are in use, read again and again, a little at a time, to see whether they are sound.

A page that goes bad under a running index would hide matches until the next merge. All processes
that map a file see the same pages, so each sees the damage, too.
"""

import zlib
from collections.abc import Sequence
from pathlib import Path

from entrenous.adapters.index.base_file import Base


def was_cut(path: Path, base: Base) -> bool:
    """Whether the file that ``base`` maps no longer has its length: what is gone must not be read.

    False when another file is there.
    """
    try:
        about = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (about.st_dev, about.st_ino) == base.file and about.st_size != base.size_bytes


class Reread:
    """How far these bases were read again; ``bases`` are those that were found sound before."""

    __slots__ = ("_at", "_crc", "_left", "_sound", "bases")

    def __init__(self, bases: Sequence[Base]) -> None:
        self.bases = bases
        self._left = [one for base in bases for one in base.sections]
        self._at, self._crc, self._sound = 0, 0, True

    def sound(self, most_bytes: int) -> bool:
        """Read on, at most so much and at most to the end, after which it begins anew. False, from
        then on, once something is not as it was written.
        """
        while self._sound and self._left and most_bytes > 0:
            data, wanted = self._left[0]
            piece = data[self._at : self._at + most_bytes]
            self._crc = zlib.crc32(piece.data, self._crc)
            self._at += piece.size
            most_bytes -= piece.size
            if self._at == data.size:
                self._sound = self._crc == wanted
                self._at, self._crc = 0, 0
                del self._left[0]
        if not self._left:
            self._left = [one for base in self.bases for one in base.sections]
        return self._sound
