"""This machine's clock, its randomness, and who may see the memory of this process."""

import secrets
import sys
from datetime import UTC, datetime
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # linux/prctl.h


class SystemClock:
    """A :class:`entrenous.ports.Clock`."""

    def now(self) -> datetime:
        """The present moment, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 -- here the clock comes in


class SystemDice:
    """A :class:`entrenous.ports.Dice` that nobody can load."""

    def token(self, size: int) -> bytes:
        """``size`` bytes from the operating system."""
        return secrets.token_bytes(size)


def hide_memory() -> None:
    """Let no core dump and no other process of this account have this process's memory.

    A limit on core dumps alone does not bind a program that the kernel pipes them to (core(5)). So
    on Linux this process also stops being dumpable (PR_SET_DUMPABLE in prctl(2)): no dump is made
    of it, and only root can trace it or read its memory, environment and open files in /proc. A
    fork inherits both; a program that it runs inherits the limit alone, and has to call this again.
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 -- there is none for Windows

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 -- elsewhere it would cost time for nothing

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
