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

_MENU_ENTRY_PATH: Final = Path("applications/entrenous.desktop")
_MENU_ICON_PATH: Final = Path("icons/hicolor/scalable/apps/entrenous.svg")
_NEUTRAL_ENTRY_NAME: Final = "Page"
_ENTRY_NAME: Final = "Entrenous"
_MENU_ENTRY_TEMPLATE: Final = """\
[Desktop Entry]
Type=Application
Version=1.5
Name={name}
Exec={command}
Icon=entrenous
Terminal=false
Categories=Utility;
"""
_EXEC_ESCAPES: Final = str.maketrans({sign: f"\\{sign}" for sign in '"`$\\'})


class NoDesktopMenu(Refused):
    """
    A menu entry can only be made on a Linux desktop, so nothing was changed. To start the app here:
    entrenous app
    """


def add_to_menu(*, neutral_name: bool) -> Path:
    """Write the entry and its icon for this user; ``neutral_name`` gives the entry a neutral name.

    Returns the entry's path. Raises NoDesktopMenu, OSError.
    """
    folder = _user_data_folder()
    icon = files("entrenous.app").joinpath("static", "icon.svg").read_bytes()
    for place, data in (
        (_MENU_ICON_PATH, icon),
        (_MENU_ENTRY_PATH, _menu_entry_text(neutral_name=neutral_name).encode()),
    ):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(data)
    _refresh_menu(folder)
    return folder / _MENU_ENTRY_PATH


def remove_from_menu() -> bool:
    """Remove the entry and its icon; returns whether there was one. Raises NoDesktopMenu."""
    folder = _user_data_folder()
    was_there = (folder / _MENU_ENTRY_PATH).exists()
    for place in (_MENU_ENTRY_PATH, _MENU_ICON_PATH):
        (folder / place).unlink(missing_ok=True)
    _refresh_menu(folder)
    return was_there


def _menu_entry_text(*, neutral_name: bool) -> str:
    words = [sys.executable, "-m", "entrenous", "app"]
    command = " ".join(f'"{word.translate(_EXEC_ESCAPES)}"' for word in words).replace("%", "%%")
    # Escape backslashes again: Exec has its own quoting within the value (Desktop Entry 1.5,
    # section 4).
    return _MENU_ENTRY_TEMPLATE.format(
        name=_NEUTRAL_ENTRY_NAME if neutral_name else _ENTRY_NAME,
        command=command.replace("\\", "\\\\"),
    )


def _user_data_folder() -> Path:
    if not sys.platform.startswith("linux"):
        raise NoDesktopMenu
    named = os.environ.get("XDG_DATA_HOME", "")
    return Path(named) if Path(named).is_absolute() else Path.home() / ".local/share"


def _refresh_menu(folder: Path) -> None:
    """Notify desktops that cache their menu. Other desktops notice the change by themselves."""
    program = which("update-desktop-database")
    if program is not None and (folder / _MENU_ENTRY_PATH.parent).is_dir():
        subprocess.run([program, "-q", folder / _MENU_ENTRY_PATH.parent], check=False)  # noqa: S603
