"""Files that a reviewer let through, by their SHA-256 (docs/spec/gate.md sections 5 and 11.5)."""

from entrenous.model.review import Release
from entrenous.ports import Platform


def file_releases(sha256: bytes, platform: Platform) -> tuple[Release, ...]:
    """That a reviewer let the very file with this hash through, if one did. Asked of every upload,
    whatever it fits, so that an answer takes as long held as let through.
    """
    released = platform.bank.file_released(sha256)
    return () if released is None else (released,)
