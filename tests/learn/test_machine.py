"""Tests of inspecting the machine, with real file modes and with fake /proc and /sys files."""

import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from entrenous.learn.this_machine import (
    _linux_version,
    inspect_machine,
    is_disk_encrypted,
    names_open_to_others,
    system_version,
)

posix_only = pytest.mark.skipif(os.name != "posix", reason="file modes exist only on POSIX systems")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a private device folder with a vault and a blob."""
    folder = tmp_path / "home of ana"
    (folder / "blobs").mkdir(parents=True)
    for name in ("vault.db", "blobs/one"):
        (folder / name).write_bytes(b"x")
        (folder / name).chmod(0o600)
    (folder / "blobs").chmod(0o700)
    folder.chmod(0o700)
    return folder


@posix_only
def test_private_folder_has_no_names_open_to_others(home: Path) -> None:
    assert names_open_to_others(home) == ()


@posix_only
def test_readable_file_in_a_private_folder_is_not_open_to_others(home: Path) -> None:
    (home / "vault.db").chmod(0o644)
    assert names_open_to_others(home) == ()


@posix_only
@pytest.mark.parametrize("mode", [0o701, 0o710, 0o704, 0o740, 0o720])
def test_open_folder_is_named_with_its_open_files(home: Path, mode: int) -> None:
    home.chmod(mode)
    (home / "blobs" / "one").chmod(0o640)
    (home / "a link").symlink_to("vault.db")  # the mode of a link does not matter
    assert names_open_to_others(home) == (".", "blobs/one")


@posix_only
def test_link_to_an_open_folder_is_followed(home: Path, tmp_path: Path) -> None:
    home.chmod(0o755)
    (tmp_path / "link").symlink_to(home)
    assert names_open_to_others(tmp_path / "link") == (".",)


def test_missing_folder_gives_unknown(tmp_path: Path) -> None:
    assert names_open_to_others(tmp_path / "none") is None


class FakeDisk:
    """A folder with a mount table and block devices in the formats of Linux."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mount_lines: list[str] = []
        (root / "proc/self").mkdir(parents=True)

    def mount(
        self, device: str, point: Path | str, file_system: str = "ext4", source: str = "x"
    ) -> None:
        escaped = str(point).replace(" ", "\\040")
        self.mount_lines.append(
            f"36 35 {device} / {escaped} rw,noatime shared:1 - {file_system} {source} rw"
        )
        (self.root / "proc/self/mountinfo").write_text("\n".join(self.mount_lines) + "\n")

    def add_device(self, device: str, uuid: str | None = None, *lower_devices: str) -> None:
        block = self.root / "sys/dev/block" / device
        (block / "slaves").mkdir(parents=True)
        if uuid:
            (block / "dm").mkdir()
            (block / "dm/uuid").write_text(uuid + "\n")
        for below in lower_devices:
            (block / "slaves" / below.replace(":", "-")).symlink_to(f"../../{below}")


@pytest.fixture
def disk(tmp_path: Path) -> FakeDisk:
    return FakeDisk(tmp_path / "root")


def test_luks_disk_counts_as_encrypted(disk: FakeDisk, home: Path) -> None:
    disk.mount("8:1", "/")
    disk.mount("254:0", home.parent)
    disk.add_device("8:1")
    disk.add_device("254:0", "CRYPT-LUKS2-0a1b-vault", "8:1")
    assert is_disk_encrypted(home, disk.root) is True


def test_volume_on_a_luks_disk_counts_as_encrypted(disk: FakeDisk, home: Path) -> None:
    disk.mount("254:1", "/")
    disk.add_device("8:1")
    disk.add_device("254:0", "CRYPT-LUKS2-0a1b-disk", "8:1")
    disk.add_device("254:1", "LVM-abc", "254:0")
    assert is_disk_encrypted(home, disk.root) is True


@pytest.mark.parametrize("kind", ["INTEGRITY", "VERITY"])
def test_volume_that_only_detects_changes_counts_as_not_encrypted(
    kind: str, disk: FakeDisk, home: Path
) -> None:
    disk.mount("254:0", "/")
    disk.add_device("8:1")
    disk.add_device("254:0", f"CRYPT-{kind}-0a1b-disk", "8:1")
    assert is_disk_encrypted(home, disk.root) is False


def test_newest_mount_at_the_deepest_path_decides(disk: FakeDisk, home: Path) -> None:
    disk.add_device("254:0", "CRYPT-LUKS2-0a1b-root")
    disk.add_device("8:2")
    disk.mount("254:0", "/")
    disk.mount("254:0", home)  # hidden by the next mount
    disk.mount("8:2", home)
    assert is_disk_encrypted(home, disk.root) is False


def test_encrypting_file_system_counts_as_encrypted(disk: FakeDisk, home: Path) -> None:
    disk.mount("0:44", home, "fuse.gocryptfs", "/cipher")
    assert is_disk_encrypted(home, disk.root) is True


@pytest.mark.parametrize("file_system", ["tmpfs", "overlay", "nfs4", "zfs"])
def test_file_system_without_a_block_device_gives_unknown(
    file_system: str, disk: FakeDisk, home: Path
) -> None:
    disk.mount("0:33", "/", file_system, "none")
    assert is_disk_encrypted(home, disk.root) is None


@pytest.mark.parametrize("mountinfo", [None, "", "nonsense\n", "36 35 8:1 / / rw - \n"])
def test_missing_or_invalid_mountinfo_gives_unknown(
    mountinfo: str | None, disk: FakeDisk, home: Path
) -> None:
    if mountinfo is not None:
        (disk.root / "proc/self/mountinfo").write_text(mountinfo)
    assert is_disk_encrypted(home, disk.root) is None


def test_inspecting_this_machine_reports_its_system_and_a_private_folder(home: Path) -> None:
    facts = inspect_machine(home)
    assert facts.system == platform.system()
    assert facts.home == str(home)
    assert facts.disk_encrypted is (is_disk_encrypted(home) if sys.platform == "linux" else None)
    if sys.platform != "win32":
        assert facts.open_to_others == ()


@pytest.mark.parametrize(
    ("os_release", "expected"),
    [
        ({"ID": "debian", "VERSION_ID": "12", "PRETTY_NAME": "Debian 12"}, ("debian", "12")),
        ({"ID": "ubuntu", "VERSION_ID": "24.04"}, ("ubuntu", "24.04")),
        ({"ID": "opensuse-leap", "VERSION_ID": "15.6"}, ("opensuse-leap", "15.6")),
        ({"ID": "arch", "PRETTY_NAME": "Arch Linux"}, None),
        ({"ID": "debian", "PRETTY_NAME": "Debian GNU/Linux forky/sid"}, None),
    ],
)
def test_linux_system_is_named_by_id_and_version_id_or_not_at_all(
    os_release: dict[str, str], expected: tuple[str, str] | None
) -> None:
    found = _linux_version(os_release)
    assert (None if found is None else (found.system, found.version)) == expected


def test_this_system_and_program_have_versions_and_plan_9_has_none(home: Path) -> None:
    facts = inspect_machine(home)
    assert facts.program.version
    assert facts.updated_on is not None
    assert facts.updated_on <= datetime.now(UTC).date()
    assert facts.synced is not None
    assert system_version("Plan 9") is None
    if sys.platform == "linux" and "VERSION_ID" in platform.freedesktop_os_release():
        assert facts.version is not None
        assert facts.version.version == platform.freedesktop_os_release()["VERSION_ID"]
