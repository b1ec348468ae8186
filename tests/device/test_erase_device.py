"""Erasing a device's folder: what is deleted, what stays, and what happens if a file cannot be."""

from pathlib import Path

import pytest

from entrenous.device.erase_device import EraseIncomplete, erase_device_files

DEVICE_FILES = ("device.key", "vault.db", "vault.db-wal", "lock", "files/0a")


def write_device_files(home: Path) -> None:
    (home / "files").mkdir(parents=True)
    for name in (*DEVICE_FILES, "vault.json", "holiday.txt"):
        (home / name).write_bytes(b"secret")


def test_files_of_the_device_are_deleted_and_others_stay(tmp_path: Path) -> None:
    home = tmp_path / "device"
    write_device_files(home)
    assert erase_device_files(home) == ("holiday.txt",)
    assert [path.name for path in home.iterdir()] == ["holiday.txt"]
    (home / "holiday.txt").unlink()
    assert erase_device_files(home) == ()
    assert not home.exists()


def test_if_a_file_cannot_be_deleted_the_person_is_told_and_erasing_can_continue(
    tmp_path: Path,
) -> None:
    home = tmp_path / "device"
    write_device_files(home)
    (home / "vault.json").unlink()
    (home / "vault.json").mkdir()  # a folder cannot be deleted like a file
    with pytest.raises(EraseIncomplete) as refusal:
        erase_device_files(home)
    told = " ".join(str(refusal.value).split())
    assert f"Not everything in {home} could be deleted" in told
    assert "may still be there" in told
    assert not (home / "device.key").exists()  # deleted first: without it, nothing can be decrypted
    assert (home / "files" / "0a").exists()
    (home / "vault.json").rmdir()
    assert erase_device_files(home) == ("holiday.txt",)
