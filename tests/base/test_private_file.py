"""Tests of private files and of tokens in them: access, symlinks, existing files, failed writes."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from entrenous.base import files
from entrenous.base.files import (
    create_private_file,
    create_private_file_unless_same,
    write_private_file,
)
from entrenous.stop.nouns import BadTokenFile
from entrenous.stop.store.open_gate import read_or_create_token

FileWriter = Callable[[Path, bytes], None]
each_writer = pytest.mark.parametrize("write", [write_private_file, create_private_file])


@each_writer
def test_private_file_is_readable_by_its_owner_alone(tmp_path: Path, write: FileWriter) -> None:
    path = tmp_path / "file"
    write(path, b"data")
    assert path.read_bytes() == b"data"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@each_writer
def test_link_at_a_guessed_temporary_name_is_not_followed(
    tmp_path: Path, write: FileWriter
) -> None:
    """In a shared folder, somebody else may plant links."""
    victim, shared = tmp_path / "victim", tmp_path / "shared"
    victim.write_bytes(b"theirs")
    shared.mkdir()
    (shared / ".file.new").symlink_to(victim)
    write(shared / "file", b"data")
    assert victim.read_bytes() == b"theirs"
    assert (shared / ".file.new").is_symlink()


def test_temporary_name_differs_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened_files: list[tuple[str, int]] = []
    real_open = os.open

    def record_open(path: os.PathLike[str], flags: int, mode: int = 0o777) -> int:
        opened_files.append((Path(path).name, flags))
        return real_open(path, flags, mode)

    monkeypatch.setattr(os, "open", record_open)
    for _ in range(2):
        write_private_file(tmp_path / "file", b"data")
    created_files = [(name, flags) for name, flags in opened_files if flags & os.O_CREAT]
    assert len({name for name, _ in created_files}) == len(created_files) == 2
    assert all(flags & os.O_EXCL and flags & os.O_NOFOLLOW for _, flags in created_files)


def test_link_at_the_path_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"theirs")
    (tmp_path / "file").symlink_to(victim)
    write_private_file(tmp_path / "file", b"data")
    assert victim.read_bytes() == b"theirs"
    assert (tmp_path / "file").read_bytes() == b"data"


@pytest.mark.parametrize("hard_links", ["supported", "unsupported"])
def test_existing_file_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: str
) -> None:
    if hard_links == "unsupported":
        monkeypatch.setattr(os, "link", refuse_hard_link)
    (tmp_path / "file").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            create_private_file(tmp_path / name, b"data")
    assert (tmp_path / "file").read_bytes() == b"theirs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_file_is_created_where_hard_links_are_unsupported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse_hard_link)
    create_private_file(tmp_path / "file", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"data"


def refuse_hard_link(*_: object) -> None:
    raise OSError(errno.EPERM, "no hard links here")


@each_writer
def test_failed_write_leaves_no_other_file(tmp_path: Path, write: FileWriter) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        write(tmp_path / "file", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_stored_token_is_created_once(tmp_path: Path) -> None:
    token = read_or_create_token(tmp_path / "operator.token")
    assert read_or_create_token(tmp_path / "operator.token") == token
    assert len(token.reveal()) == 43
    assert read_or_create_token(tmp_path / "uploader.token") != token


@pytest.mark.parametrize("content", [b"", b"\n", b"short", b"A" * 42, b"A" * 44, b"\xff" * 43])
def test_file_without_a_valid_token_is_refused_and_unchanged(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "operator.token"
    path.write_bytes(content)
    with pytest.raises(BadTokenFile, match=r"operator\.token does not contain a token"):
        read_or_create_token(path)
    assert path.read_bytes() == content


def test_unfinished_file_is_removed_and_an_equal_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def interrupted_write(file: BinaryIO) -> None:
        file.write(b"da")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create_private_file_unless_same(path, interrupted_write)
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):
        create_private_file_unless_same(path, lambda file: file.write(b"data"))
    with pytest.raises(FileExistsError):
        create_private_file_unless_same(path, lambda file: file.write(b"date"))
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(FileExistsError):
        create_private_file_unless_same(link, lambda file: file.write(b"data"))
    assert path.read_bytes() == b"data"
    assert {one.name for one in tmp_path.iterdir()} == {"file", "link"}


def test_late_failure_removes_a_new_file_but_no_existing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_to_sync(_folder: Path) -> None:
        raise OSError(errno.ENOSPC, "full")

    path = tmp_path / "file"
    monkeypatch.setattr(files, "sync_folder", fail_to_sync)
    with pytest.raises(OSError, match="full"):
        create_private_file_unless_same(path, lambda file: file.write(b"data"))
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert create_private_file_unless_same(path, lambda file: file.write(b"data"))
    assert not create_private_file_unless_same(path, lambda file: file.write(b"data"))
    monkeypatch.setattr(files, "sync_folder", fail_to_sync)
    with pytest.raises(OSError, match="full"):
        create_private_file_unless_same(path, lambda file: file.write(b"data"))
    assert path.read_bytes() == b"data"


@pytest.mark.parametrize("moment", ["open", "unlink"])
def test_ctrl_c_at_creation_or_removal_leaves_no_unfinished_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The interrupt comes right after a file is created, or just before one is removed."""
    real_open, real_unlink, interrupts_left = os.open, Path.unlink, ["once"]

    def interrupted_open(*given: Any) -> int:
        handle = real_open(*given)
        os.close(handle)
        raise KeyboardInterrupt

    def interrupted_unlink(path: Path, *, missing_ok: bool = False) -> None:
        if interrupts_left:
            interrupts_left.clear()
            raise KeyboardInterrupt
        real_unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        if moment == "open":
            patch.setattr(os, "open", interrupted_open)
        else:
            patch.setattr(Path, "unlink", interrupted_unlink)
        with pytest.raises(KeyboardInterrupt):
            create_private_file(tmp_path / "photo.jpg", b"whole")
    assert [path.name for path in tmp_path.iterdir() if path.name != "photo.jpg"] == []
