"""The walls around the child that decodes: built by itself, before it reads a stranger's byte.

A limit that a process has lowered for itself it cannot raise again, so nothing needs to run
between fork and exec. What a system lacks is left out and reported (docs/spec/pictures.md, 6).
"""

import contextlib
import ctypes
import os
import platform
import resource
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

from entrenous.craft.media.jailed.seccomp import forbid_system_calls, libc

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_LANDLOCK_CREATE_RULESET: Final = 444  # the same number on every architecture
_LANDLOCK_RESTRICT_SELF: Final = 446
_LANDLOCK_ASK_VERSION: Final = 1
# linux/landlock.h: how many file rights versions 1, 2, ... know; network from 4, scopes from 6 on
_LANDLOCK_FILE_RIGHTS: Final = (13, 14, 15, 15, 16)
_LANDLOCK_NETWORK: Final = 0b11
_LANDLOCK_SCOPES: Final = 0b11


class Wall(IntFlag):
    """What stands around a child."""

    LIMITS = 1  # memory, processor time, no new file descriptor, no file content, no core dump
    NO_NEW_PRIVILEGES = 2
    LANDLOCK = 4  # no file by its path, no network port, no signal to others
    SYSTEM_CALLS = 8  # seccomp: only what decoding needs


@dataclass(frozen=True, slots=True)
class Limits:
    """What one picture may take: memory, processor seconds, seconds by the wall clock."""

    memory_bytes: int = 2 << 30
    cpu_s: int = 20
    wall_s: float = 30.0

    def __post_init__(self) -> None:
        if self.memory_bytes < 1 or self.cpu_s < 1 or not self.wall_s > 0:
            raise ValueError("a child needs some memory and some time")


def build_walls(*, memory_bytes: int, cpu_s: int, threads: bool) -> Wall:
    """Confine this process for good, and say what now stands.

    ``threads`` must be true for decoders that start threads. Every import must be done before.
    """
    walls = Wall(0)
    _limit(memory_bytes, cpu_s, threads=threads)
    if platform.system() == "Linux":
        walls |= _linux_walls()
    # After Landlock, whose ruleset is a descriptor: from here on none can be opened, on any system.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    walls |= Wall.LIMITS
    if Wall.NO_NEW_PRIVILEGES in walls and forbid_system_calls(threads=threads):
        walls |= Wall.SYSTEM_CALLS
    return walls


def _limit(memory_bytes: int, cpu_s: int, *, threads: bool) -> None:
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_DATA: memory_bytes,
        resource.RLIMIT_AS: memory_bytes + (1 << 30),  # libraries and reserved, untouched stacks
    }
    if not threads:
        wanted[resource.RLIMIT_NPROC] = 0
    for which, most in wanted.items():
        with contextlib.suppress(ValueError, OSError):  # macOS knows RLIMIT_AS and refuses it
            resource.setrlimit(which, (most, most))


def _linux_walls() -> Wall:
    libc().prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return Wall(0)
    landlock = Wall.LANDLOCK if _landlock() else Wall(0)
    return Wall.NO_NEW_PRIVILEGES | landlock


def _landlock() -> bool:
    """Handle every right, grant none (Linux, Documentation/userspace-api/landlock.rst)."""
    syscall = libc().syscall
    syscall.restype = ctypes.c_long
    version = syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_ASK_VERSION)
    if version < 1:
        return False
    rights = _LANDLOCK_FILE_RIGHTS[min(version, len(_LANDLOCK_FILE_RIGHTS)) - 1]
    handled = [(1 << rights) - 1]
    if version >= 4:
        handled.append(_LANDLOCK_NETWORK)
    if version >= 6:
        handled.append(_LANDLOCK_SCOPES)
    attributes = (ctypes.c_uint64 * len(handled))(*handled)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    ruleset = syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(attributes), size, 0)
    if ruleset < 0:
        return False
    stands = syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return bool(stands)
