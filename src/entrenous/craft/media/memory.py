"""Have the C library keep what a program frees, for its next request, instead of giving it back.

Memory that is given back comes page by page and zeroed when it is needed again. A gate takes and
frees the same few megabytes with each picture, and so do the children that decode for it.
"""

import ctypes
from typing import Final

# malloc.h of glibc; its dynamic adjustment of these two ends when they are set.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
_KEPT_BYTES: Final = 64 << 20  # of each arena, at its end
_MAPPED_ALONE_BYTES: Final = 32 << 20  # the largest that glibc takes; what is larger is given back
_ARENAS: Final = 2


def keep_freed_memory() -> bool:
    """For this process, for good; False where the C library knows no such thing (musl, macOS)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = (
        (_TRIM_THRESHOLD, _KEPT_BYTES),
        (_MMAP_THRESHOLD, _MAPPED_ALONE_BYTES),
        (_ARENA_MAX, _ARENAS),
    )
    return all(mallopt(which, value) == 1 for which, value in wanted)
