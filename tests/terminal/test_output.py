"""Tests of files that commands write and read, and of foreign text in printed lines."""

import io
import json
import os
import sys
from pathlib import Path

import pytest

from entrenous.base.picture import AlreadyThere, NotAFile, UnreadableFile, UnwritableFolder
from entrenous.terminal.output import hint, print_json, print_line, single_line
from entrenous.terminal.output_files import read_file, write_new


def test_rewriting_the_same_content_is_accepted(tmp_path: Path) -> None:
    for _ in range(2):
        write_new(tmp_path / "copies" / "7-lunar-otter-1.jpg", b"a copy")
    assert (tmp_path / "copies" / "7-lunar-otter-1.jpg").read_bytes() == b"a copy"


def test_existing_file_with_other_content_is_kept(tmp_path: Path) -> None:
    place = tmp_path / "7-lunar-otter-1.jpg"
    place.write_bytes(b"mine")
    with pytest.raises(AlreadyThere, match=r"7-lunar-otter-1\.jpg"):
        write_new(place, b"a copy")
    assert place.read_bytes() == b"mine"


def test_symlink_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"a copy")
    for leads_to in ("victim", "nowhere"):
        (tmp_path / f"to-{leads_to}").symlink_to(tmp_path / leads_to)
        with pytest.raises(AlreadyThere):
            write_new(tmp_path / f"to-{leads_to}", b"a copy")
    assert not (tmp_path / "nowhere").exists()


def test_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(UnwritableFolder):
        write_new(tmp_path / "file" / "7-lunar-otter-1.jpg", b"a copy")


def test_pipes_devices_and_folders_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for path in (Path(os.devnull), tmp_path / "pipe", tmp_path / "link"):
        with pytest.raises(NotAFile, match=path.name):
            read_file(path)
    with pytest.raises(UnreadableFile):
        read_file(tmp_path)


def test_open_file_descriptor_of_a_pipe_is_read() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"of a shell")
    os.close(writing)
    assert read_file(Path(f"/dev/fd/{reading}")) == b"of a shell"
    os.close(reading)


def test_foreign_text_cannot_break_or_pad_a_line() -> None:
    assert single_line("ben.\nIt is signed") == "ben.\ufffdIt is signed"
    assert single_line(f"ben.{80 * chr(0xA0)}It is signed") == "ben. It is signed"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_output_can_be_printed_in_every_encoding(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, written = "Zoë 🙂", io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    print_json({"name": name})
    assert json.loads(written.getvalue()) == {"name": name}
    written.truncate(written.seek(0))
    print_line(name)
    hint(name)
    expected = name.encode(encoding, "replace")
    assert written.getvalue() == expected + b"\n"
