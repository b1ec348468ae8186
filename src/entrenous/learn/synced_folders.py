"""Find out whether the vault or an export is in a folder that a program copies to other machines.

facts/synced.toml says how to recognize such a program's folder: by files that it leaves there, by
its usual paths, by environment variables, or by its settings. Nothing else is read.
"""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import islice
from pathlib import Path
from typing import Final

from entrenous.learn.facts import SyncService


@dataclass(frozen=True, slots=True)
class SyncedPlace:
    """A vault or an export in a synchronized folder. ``holds`` says what was found, and ``at``
    where.
    """

    service: str
    holds: str
    at: str


#: The names of exports; tests/learn checks that exports still have these names.
EXPORT_KIND_OF_NAME: Final = {
    "archive.key.age": "an archive",
    "case-*-item-*": "an exported item of a case",
}
ENTRIES_MAX: Final = 20_000  # number of names examined in one synchronized folder
_SETTINGS_BYTES_MAX: Final = 1 << 20


def synced_places(
    vault: Path,
    person_home: Path,
    environment: Mapping[str, str],
    services: Sequence[SyncService],
) -> tuple[SyncedPlace, ...]:
    """Return the vault, if it is in a synchronized folder, and the exports in such folders.

    Args:
        vault: the device's folder.
        person_home: the person's own folder, written ``~`` in the table.
        environment: the environment variables.
        services: the programs to recognize.
    """
    found = dict[str, SyncedPlace]()
    for service in services:
        roots = tuple(_synced_roots(service, person_home, environment))
        if _is_below(vault, roots) or _has_marker_above(vault, service):
            found[service.name] = SyncedPlace(service.name, "the vault", str(vault))
        for root in roots:
            for holds, at in _find_exports(root):
                found[at] = SyncedPlace(service.name, holds, at)
    return tuple(found.values())


def _synced_roots(
    service: SyncService, person_home: Path, environment: Mapping[str, str]
) -> Iterator[Path]:
    """Yield the existing folders that a program synchronizes."""
    named = [
        *(Path(value) for name in service.variables if (value := environment.get(name))),
        *_roots_from_known_folders(service, person_home),
        *_roots_from_settings(service, person_home),
    ]
    for folder in named:
        with suppress(OSError, ValueError):
            if folder.is_dir():
                yield folder.resolve()


def _roots_from_known_folders(service: SyncService, person_home: Path) -> Iterator[Path]:
    for place in service.folders:
        with suppress(OSError):
            yield from person_home.glob(place.removeprefix("~/"))


def _roots_from_settings(service: SyncService, person_home: Path) -> Iterator[Path]:
    for setting in service.settings:
        file = person_home / setting.file.removeprefix("~/")
        with suppress(OSError):
            with file.open("rb") as opened:
                text = opened.read(_SETTINGS_BYTES_MAX).decode(errors="replace")
            for found in re.findall(setting.pattern, text):
                yield Path(html.unescape(found).strip().replace("\\\\", "\\"))


def _is_below(folder: Path, roots: Sequence[Path]) -> bool:
    with suppress(OSError):
        return any(folder.resolve().is_relative_to(root) for root in roots)
    return False


def _has_marker_above(folder: Path, service: SyncService) -> bool:
    """Return whether a folder, or one that contains it, has a marker file of the program."""
    with suppress(OSError):
        resolved = folder.resolve()
        for above in (resolved, *resolved.parents):
            if any(_has_marker(above, marker) for marker in service.markers):
                return True
    return False


def _has_marker(folder: Path, marker: str) -> bool:
    """Return whether a folder contains a marker. A marker that ends in "/" is a folder itself."""
    wants_folder = marker.endswith("/")
    return any(one.is_dir() is wants_folder for one in folder.glob(marker.rstrip("/")))


def _find_exports(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the kind and the path of each export, found by its name, among the first ENTRIES_MAX
    files below a folder.
    """
    for place in islice(_files_below(root), ENTRIES_MAX):
        for pattern, holds in EXPORT_KIND_OF_NAME.items():
            if fnmatch(place.name, pattern):
                yield holds, str(place)


def _files_below(root: Path) -> Iterator[Path]:
    """Yield files below a folder, level by level; links are not followed."""
    waiting = [root]
    for folder in waiting:
        with suppress(OSError):
            for entry in sorted(folder.iterdir()):
                if entry.is_symlink():
                    continue
                if entry.is_dir():
                    waiting.append(entry)
                else:
                    yield entry
