"""Add an entry with an icon to a Linux desktop's menu, or remove it (freedesktop.org, Desktop Entry
1.5 and Icon Theme 0.13).
"""

import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from shutil import which
from typing import Final

from entrenous.base.errors import Refused

_ENTRY: Final = Path("applications/entrenous.desktop")
_ICON: Final = Path("icons/hicolor/scalable/apps/entrenous.svg")
_QUIET: Final = "Page"
_LOUD: Final = "Entrenous"
_TEXT: Final = """\
[Desktop Entry]
Type=Application
Version=1.5
Name={name}
Exec={command}
Icon=entrenous
Terminal=false
Categories=Utility;
"""
_QUOTED: Final = str.maketrans({sign: f"\\{sign}" for sign in '"`$\\'})


class NoDesktopMenu(Refused):
    """A menu entry can be made on Linux desktops only, so nothing was changed. To start the app
    here: entrenous app
    """


def add_to_menu(*, quiet: bool) -> Path:
    """Write the entry and its icon for this user; ``quiet`` gives the entry a neutral name.

    Returns the entry's path. Raises NoDesktopMenu, OSError.
    """
    folder = _folder()
    icon = files("entrenous.app").joinpath("static", "icon.svg").read_bytes()
    for place, data in ((_ICON, icon), (_ENTRY, _entry(quiet=quiet).encode())):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(data)
    _refresh(folder)
    return folder / _ENTRY


def remove_from_menu() -> bool:
    """Remove the entry and its icon; returns whether there was one. Raises NoDesktopMenu."""
    folder = _folder()
    was_there = (folder / _ENTRY).exists()
    for place in (_ENTRY, _ICON):
        (folder / place).unlink(missing_ok=True)
    _refresh(folder)
    return was_there


def _entry(*, quiet: bool) -> str:
    words = [sys.executable, "-m", "entrenous", "app"]
    command = " ".join(f'"{word.translate(_QUOTED)}"' for word in words).replace("%", "%%")
    # A value's own escapes come on top of the quoting of Exec (Desktop Entry 1.5, section 4).
    return _TEXT.format(name=_QUIET if quiet else _LOUD, command=command.replace("\\", "\\\\"))


def _folder() -> Path:
    if not sys.platform.startswith("linux"):
        raise NoDesktopMenu
    named = os.environ.get("XDG_DATA_HOME", "")
    return Path(named) if Path(named).is_absolute() else Path.home() / ".local/share"


def _refresh(folder: Path) -> None:
    """Notify desktops that cache their menu. Other desktops notice the change by themselves."""
    program = which("update-desktop-database")
    if program is not None and (folder / _ENTRY.parent).is_dir():
        subprocess.run([program, "-q", folder / _ENTRY.parent], check=False)  # noqa: S603
