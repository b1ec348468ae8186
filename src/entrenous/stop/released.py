"""Files that a reviewer let through, by their SHA-256 (docs/spec/gate.md sections 5 and 11.5)."""

import hashlib
from typing import Final

from entrenous.model.decision import Outcome
from entrenous.model.review import Release
from entrenous.ports import Platform

_UNREAD: Final = b"entrenous/1 released unread\x00"


def file_releases(sha256: bytes, platform: Platform) -> tuple[Release, ...]:
    """That a reviewer let the very file with this hash through, if one did. Asked of every upload,
    whatever it fits, so that an answer takes as long held as let through.
    """
    released = platform.bank.file_released(sha256)
    return () if released is None else (released,)


def unread_key(sha256: bytes) -> bytes:
    """Under this a release of a file that could not be read is kept. It is not the file's own hash:
    nobody compared it with a claim, so it says nothing of claims once the file can be read.
    """
    return hashlib.sha256(_UNREAD + sha256).digest()


def unread_outcome(sha256: bytes, platform: Platform) -> Outcome:
    """Of a file that cannot be read: held, unless a reviewer let exactly these bytes through."""
    released = platform.bank.file_released(unread_key(sha256))
    return Outcome.HOLD if released is None else Outcome.LET_THROUGH
