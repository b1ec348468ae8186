"""Inspect this machine: versions, file permissions, synchronized folders, disk encryption.

To find out whether the disk is encrypted, this module looks up the mount of the device's folder
(``/proc/self/mountinfo``, proc(5)), then the mount's block device and the layers below that device
(``/sys/dev/block``). The ``dm/uuid`` of a dm-crypt volume begins with ``CRYPT-``. Some file systems
encrypt by themselves; this module recognises these by the type of the mount.
"""

from __future__ import annotations

import html
import os
import platform
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Final, NamedTuple

import entrenous
from entrenous.base.language import translated
from entrenous.base.program import ProgramVersion, this_program_version
from entrenous.learn.facts import SyncService, shipped_sync_services
from entrenous.learn.files_below import files_below


@dataclass(frozen=True, slots=True)
class SyncedVaultOrExport:
    """A vault or an export in a synchronized folder. ``holds`` says what was found, and ``at``
    where.
    """

    service: str
    holds: str
    at: str


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What this program can see of the machine; None means "cannot see", never "fine".

    ``home`` is the device's folder. ``open_to_others`` are names inside it ("." is the folder
    itself) that another account may use. ``disk_encrypted`` is about the disk with the device's
    folder, and known on Linux only. ``updated_on`` is the day of this program's newest file.
    ``synced`` is None if nothing was found, but not all files in synchronized folders were
    examined.
    """

    system: str
    home: str
    open_to_others: tuple[str, ...] | None = None
    disk_encrypted: bool | None = None
    version: SystemVersion | None = None
    program: ProgramVersion = ProgramVersion()  # noqa: RUF009 -- ProgramVersion is immutable
    updated_on: date | None = None
    synced: tuple[SyncedVaultOrExport, ...] | None = None


@dataclass(frozen=True, slots=True)
class SystemVersion:
    """A system and its version as in facts/systems.toml: Debian 12 is "debian", "12".

    ``shown`` is the name that the system gives itself. ``enterprise`` is true for editions of
    Windows that get updates for longer.
    """

    system: str
    version: str
    shown: str
    enterprise: bool = False


_MODE_BITS_OF_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_ENCRYPTING_FILE_SYSTEMS: Final = (
    "ecryptfs",
    "fuse.gocryptfs",
    "fuse.encfs",
    "fuse.cryfs",
    "fuse.securefs",
)
#: The names of exports; tests/learn checks that exports still have these names.
EXPORT_KIND_BY_NAME_PATTERN: Final = {
    "archive.key.age": "an archive",
    "case-*-item-*": "an exported item of a case",
}
SYNCED_FILES_EXAMINED_MAX: Final = 20_000  # number of names examined in one synchronized folder
# uuids of volumes by which changes are detected; these volumes are not encrypted
_UNENCRYPTED_CRYPT_PREFIXES: Final = ("CRYPT-INTEGRITY-", "CRYPT-VERITY-")
_SETTINGS_BYTES_MAX: Final = 1 << 20


class _Mount(NamedTuple):
    number: str  # "major:minor"
    point: Path
    kind: str
    source: str


def inspect_machine(home: Path) -> MachineFacts:
    """Inspect this computer; ``home`` is the device's folder."""
    system = platform.system()
    return MachineFacts(
        system=system or translated("this computer"),
        home=str(home),
        open_to_others=names_open_to_others(home) if os.name == "posix" else None,
        disk_encrypted=is_disk_encrypted(home) if system == "Linux" else None,
        version=system_version(system),
        program=this_program_version(),
        updated_on=_day_of_newest_file(Path(entrenous.__file__).parent),
        synced=find_synced_vault_and_exports(
            home, Path.home(), os.environ, shipped_sync_services().service
        ),
    )


def system_version(system: str) -> SystemVersion | None:
    """Return the version of this system; None if it does not say."""
    if system == "Linux":
        with suppress(OSError):
            return _linux_version(platform.freedesktop_os_release())
    if system == "Darwin" and (version := platform.mac_ver()[0]):
        major = version if version.startswith("10.") else version.split(".")[0]
        return SystemVersion("macos", ".".join(major.split(".")[:2]), f"macOS {version}")
    if system == "Windows" and (build := platform.version().split(".")[-1]).isdigit():
        edition = platform.win32_edition() or ""
        enterprise = edition.startswith(("Enterprise", "Education"))
        return SystemVersion("windows", build, f"Windows, build {build}", enterprise)
    return None


def _linux_version(os_release: dict[str, str]) -> SystemVersion | None:
    """Return the version from the fields of os-release(5); None for a rolling release, which has
    none.
    """
    if not os_release.get("VERSION_ID"):
        return None
    shown = os_release.get("PRETTY_NAME") or f"{os_release['ID']} {os_release['VERSION_ID']}"
    return SystemVersion(os_release["ID"], os_release["VERSION_ID"], shown)


def _day_of_newest_file(package: Path) -> date | None:
    """Return the day of the newest source file, on which this program was last updated here."""
    with suppress(OSError):
        newest = max(file.stat().st_mtime for file in package.rglob("*.py"))
        return datetime.fromtimestamp(newest, UTC).date()
    return None


def names_open_to_others(home: Path) -> tuple[str, ...] | None:
    """Return the names in and below ``home`` that other accounts may use; None if they cannot be
    seen.

    If ``home`` itself is closed, the modes of files in it do not matter. ``home`` may be a link.
    """
    try:
        home = home.resolve()
        if not _is_open_to_others(home):
            return ()
        open_entries = [entry for entry in (home, *home.rglob("*")) if _is_open_to_others(entry)]
    except OSError:
        return None
    return tuple(sorted(str(entry.relative_to(home)) for entry in open_entries))


def is_disk_encrypted(home: Path, root: Path = Path("/")) -> bool | None:
    """Return whether the disk of ``home`` is encrypted; None if that cannot be seen."""
    try:
        mount = _mount_of(home.resolve(), root)
        if mount is None or mount.kind in _ENCRYPTING_FILE_SYSTEMS:
            return None if mount is None else True
        disk = root / "sys/dev/block" / _device_number(mount, root)
        return (
            any(_is_encrypted_device(part) for part in _block_device_layers(disk))
            if disk.exists()
            else None
        )
    except (OSError, ValueError):
        return None


def _is_open_to_others(entry: Path) -> bool:
    mode = entry.lstat().st_mode
    return not stat.S_ISLNK(mode) and bool(mode & _MODE_BITS_OF_OTHERS)


def _mount_of(home: Path, root: Path) -> _Mount | None:
    """Return the mount that ``home`` is on: the deepest one. If several are at the same point, the
    last one hides the others.
    """
    lines = (root / "proc/self/mountinfo").read_text().splitlines()
    above = [mount for mount in map(_parse_mount, lines) if home.is_relative_to(mount.point)]
    deepest = max((len(mount.point.parts) for mount in above), default=0)
    return next((m for m in reversed(above) if len(m.point.parts) == deepest), None)


def _parse_mount(line: str) -> _Mount:
    """Parse one line of mountinfo: fields before and after " - ", with octal escapes."""
    before, _, after = line.partition(" - ")
    number, _, point = before.split()[2:5]
    kind, source = after.split()[:2]
    return _Mount(number, Path(_unescape_octal(point)), kind, _unescape_octal(source))


def _unescape_octal(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _device_number(mount: _Mount, root: Path) -> str:
    """Return the block device's number. Where the mount has a virtual number, as with btrfs, the
    number of its source is returned.
    """
    if not mount.number.startswith("0:") or not mount.source.startswith("/dev/"):
        return mount.number
    device = (root / mount.source.lstrip("/")).stat().st_rdev
    return f"{os.major(device)}:{os.minor(device)}"


def _block_device_layers(disk: Path) -> Iterator[Path]:
    """Yield a block device and everything below it."""
    yield disk
    for below in (disk / "slaves").glob("*"):
        yield from _block_device_layers(below)


def _is_encrypted_device(disk: Path) -> bool:
    file = disk / "dm/uuid"
    uuid = file.read_text() if file.is_file() else ""
    return uuid.startswith("CRYPT-") and not uuid.startswith(_UNENCRYPTED_CRYPT_PREFIXES)


def find_synced_vault_and_exports(
    vault: Path,
    person_home: Path,
    environment: Mapping[str, str],
    services: Sequence[SyncService],
) -> tuple[SyncedVaultOrExport, ...] | None:
    """Return the vault, if it is in a synchronized folder, and the exports in such folders.

    Return None if nothing was found, but not all files in these folders could be examined.

    Args:
        vault: the device's folder.
        person_home: the person's own folder, written ``~`` in the table.
        environment: the environment variables.
        services: the programs to recognize.
    """
    found, whole = dict[str, SyncedVaultOrExport](), True
    for service in services:
        roots = tuple(_synced_roots(service, person_home, environment))
        if _is_below(vault, roots) or _has_marker_above(vault, service):
            found[service.name] = SyncedVaultOrExport(service.name, "the vault", str(vault))
        for root in roots:
            exports, root_whole = _find_exports(root)
            whole = whole and root_whole
            for at, holds in exports.items():
                found[at] = SyncedVaultOrExport(service.name, holds, at)
    return tuple(found.values()) if found or whole else None


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


def _find_exports(root: Path) -> tuple[dict[str, str], bool]:
    """Return the exports below a folder, found by their names, and whether all files were examined.

    The exports are a mapping from paths to kinds. At most SYNCED_FILES_EXAMINED_MAX files are
    examined.
    """
    exports, unlisted = dict[str, str](), list[Path]()
    for seen, file in enumerate(files_below(root, unlisted), 1):
        if seen > SYNCED_FILES_EXAMINED_MAX:
            return exports, False
        for pattern, kind in EXPORT_KIND_BY_NAME_PATTERN.items():
            if fnmatch(file.name, pattern):
                exports[str(file)] = kind
    return exports, not unlisted
