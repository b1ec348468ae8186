"""The person's preferences for the pages. They are not secret, so they are read before the vault is
unlocked.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from entrenous.base.files import write_private_file

_PREFERENCES_FILE_NAME: Final = "app.json"
ICON_NAMES: Final = ("icon", "icon-lines", "icon-dot")
TEXT_SIZES_PERCENT: Final = (100, 125, 150, 200)


@dataclass(frozen=True, slots=True)
class Preferences:
    """The language (a tag, or "" if the person chose none), the text size in per cent, and the
    title and icon of the browser tab, which by default do not name the program.
    """

    language: str = ""
    text_size: int = 100
    title: str = "Page"
    icon: str = "icon"


def read_preferences(home: Path) -> Preferences:
    """Read the preferences; a missing or damaged file gives the defaults."""
    try:
        read = msgspec.json.decode(
            (home / _PREFERENCES_FILE_NAME).read_bytes(), type=dict[str, Any]
        )
        return msgspec.convert(read, Preferences)
    except (OSError, msgspec.MsgspecError):
        return Preferences()


def change_preferences(home: Path, **changes: object) -> Preferences:
    """Change and store preferences; raises OSError."""
    changed = replace(read_preferences(home), **changes)  # type: ignore[arg-type]
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private_file(home / _PREFERENCES_FILE_NAME, msgspec.json.encode(asdict(changed)))
    return changed
