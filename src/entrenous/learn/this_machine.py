"""Inspect this machine: file permissions and, on Linux, disk encryption.

Disk encryption is followed from the device's folder to its mount (``/proc/self/mountinfo``,
proc(5)), to the block device and through its layers (``/sys/dev/block``): dm-crypt volumes have
``CRYPT-`` in ``dm/uuid``. Anything but a block device cannot be judged.
"""

from __future__ import annotations

import os
import platform
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What this program can see of the machine; None is "cannot see", never "fine".

    ``home`` is the device's folder. ``open_to_others`` are names inside it ("." is the folder
    itself) that another account of this machine may read or write. ``disk_encrypted`` is about the
    disk that it is on.
    """

    system: str
    home: str
    open_to_others: tuple[str, ...] | None = None
    disk_encrypted: bool | None = None


class Machine(Protocol):
    """What the check-up may see of this machine."""

    def look(self) -> MachineFacts:
        """How things are now; what cannot be seen is None."""
        ...


def local_machine(home: Path) -> Machine:
    """What the check-up may see of this computer."""
    return LocalMachine(home)


_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_ENCRYPTING: Final = ("ecryptfs", "fuse.gocryptfs", "fuse.encfs", "fuse.cryfs", "fuse.securefs")


class _Mount(NamedTuple):
    number: str  # "major:minor"
    point: Path
    kind: str
    source: str


class LocalMachine:
    """The ``Machine`` port; ``home`` is the device's folder, ``root`` the file system's."""

    def __init__(self, home: Path, root: Path = Path("/")) -> None:
        self._home = home
        self._root = root

    def look(self) -> MachineFacts:
        """How things are now; see ports/."""
        system = platform.system()
        return MachineFacts(
            system=system or "this computer",
            home=str(self._home),
            open_to_others=open_to_others(self._home) if os.name == "posix" else None,
            disk_encrypted=disk_encrypted(self._home, self._root) if system == "Linux" else None,
        )


def open_to_others(home: Path) -> tuple[str, ...] | None:
    """Names in and below ``home`` that other accounts may use; None when it cannot be seen.

    Nobody gets past a folder that is closed, so then its files' own modes do not matter.
    """
    try:
        if not _loose(home):
            return ()
        loose = [entry for entry in (home, *home.rglob("*")) if _loose(entry)]
    except OSError:
        return None
    return tuple(sorted(str(entry.relative_to(home)) for entry in loose))


def disk_encrypted(home: Path, root: Path = Path("/")) -> bool | None:
    """Whether the disk that ``home`` is on is encrypted; None when that cannot be seen."""
    try:
        mount = _mount_of(home.resolve(), root)
        if mount is None or mount.kind in _ENCRYPTING:
            return None if mount is None else True
        disk = root / "sys/dev/block" / _number(mount, root)
        return any(_is_crypt(part) for part in _layers(disk)) if disk.exists() else None
    except (OSError, ValueError):
        return None


def _loose(entry: Path) -> bool:
    mode = entry.lstat().st_mode
    return not stat.S_ISLNK(mode) and bool(mode & _OTHERS)


def _mount_of(home: Path, root: Path) -> _Mount | None:
    """The mount that ``home`` is on: the deepest, and of equals the last, which hides them."""
    lines = (root / "proc/self/mountinfo").read_text().splitlines()
    above = [mount for mount in map(_parse, lines) if home.is_relative_to(mount.point)]
    deepest = max((len(mount.point.parts) for mount in above), default=0)
    return next((m for m in reversed(above) if len(m.point.parts) == deepest), None)


def _parse(line: str) -> _Mount:
    """One line of mountinfo: fields before " - " and after it, blanks written in octal."""
    before, _, after = line.partition(" - ")
    number, _, point = before.split()[2:5]
    kind, source = after.split()[:2]
    return _Mount(number, Path(_unescaped(point)), kind, _unescaped(source))


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _number(mount: _Mount, root: Path) -> str:
    """The block device's number; btrfs and some others show a made-up one, so ask its source."""
    if not mount.number.startswith("0:") or not mount.source.startswith("/dev/"):
        return mount.number
    device = (root / mount.source.lstrip("/")).stat().st_rdev
    return f"{os.major(device)}:{os.minor(device)}"


def _layers(disk: Path) -> Iterator[Path]:
    """A block device, and everything that it is made of, in turn."""
    yield disk
    for below in (disk / "slaves").glob("*"):
        yield from _layers(below)


def _is_crypt(disk: Path) -> bool:
    uuid = disk / "dm/uuid"
    return uuid.is_file() and uuid.read_text().startswith("CRYPT-")
