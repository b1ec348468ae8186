"""Tests of ``entrenous open`` when files cannot be written, or reporting is interrupted."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest

from entrenous.base.errors import DiskFull
from entrenous.terminal.output_files import FileGroup
from tests.send.commands.test_letters import CommandLine

pytestmark = pytest.mark.slow

SEND_TWO_PICTURES = (
    "send",
    "beach.jpg",
    "beach.jpg",
    "--to",
    "ben",
    "--confirm",
    "ben",
    "--undo",
    "0",
)
VIEW_ONCE_OPTIONS = ("--once", "--allow-export")


def file_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make_writer(data: bytes) -> Any:
    def fill(file: BinaryIO) -> None:
        file.write(data)

    return fill


def test_full_disk_removes_only_newly_written_files(tmp_path: Path) -> None:
    def fail_when_full(file: BinaryIO) -> None:
        file.write(b"thi")
        raise DiskFull

    (tmp_path / "m-1.jpg").write_bytes(b"first")  # as if written by an earlier opening
    files = FileGroup()
    for number, fill in enumerate(
        (make_writer(b"first"), make_writer(b"other"), fail_when_full), 1
    ):
        files.add(tmp_path / f"m-{number}.jpg", 5, fill)
    with pytest.raises(DiskFull), files.remove_on_failure(lambda: False):
        files.write()
    assert file_names(tmp_path) == ["m-1.jpg"]


def test_occupied_name_is_found_before_writing(cli: CommandLine) -> None:
    name = cli.run_json("ana", *SEND_TWO_PICTURES, *VIEW_ONCE_OPTIONS)["message"]
    existing = cli.folder / "ex" / f"{name}-2.jpg"
    existing.parent.mkdir()
    existing.write_bytes(b"mine")
    result = cli.run("ben", "open", name, "--export", "--out", "ex")
    assert (result.status, result.out) == (3, "")
    assert file_names(existing.parent) == [existing.name]
    assert existing.read_bytes() == b"mine"
    assert len(cli.run_json("ben", "open", name, "--export", "--out", "two")["files"]) == 2


def copy_states(cli: CommandLine) -> list[str]:
    (message,) = cli.run_json("ana", "sent")["messages"]
    return [copy["state"] for copy in message["copies"]]


@pytest.mark.parametrize("limit_options", [(), VIEW_ONCE_OPTIONS])
def test_unwritable_folder_or_full_disk_uses_up_no_opening(
    cli: CommandLine, limit_options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = cli.run_json("ana", *SEND_TWO_PICTURES, *limit_options)["message"]
    (cli.folder / "file").write_bytes(b"mine")
    for out in ("/proc/x", "file", "file/x"):
        result = cli.run("ben", "open", name, "--export", "--out", out)
        assert (result.status, result.out) == (3, "")
        assert "cannot be written to" in result.err
    with monkeypatch.context() as small:
        small.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=9999, free=9))
        result = cli.run("ben", "open", name, "--export", "--out", "new/ex")
    assert (result.status, "The disk is full" in result.err, "counts" in result.err) == (
        6,
        True,
        False,
    )
    assert not (cli.folder / "new").exists()
    assert copy_states(cli) == ["delivered"]
    assert len(cli.run_json("ben", "open", name, "--export", "--out", "new/ex")["files"]) == 2
    assert copy_states(cli) == ["opened"]


@pytest.mark.parametrize(("limit_options", "hint_count"), [((), 0), (VIEW_ONCE_OPTIONS, 1)])
def test_failure_after_fetching_the_key_says_that_the_opening_counts(
    cli: CommandLine, limit_options: tuple[str, ...], hint_count: int
) -> None:
    name = cli.run_json("ana", *SEND_TWO_PICTURES, *limit_options)["message"]
    existing = cli.folder / "ex" / f"{name}-2.jpg"
    existing.parent.mkdir()
    existing.write_bytes(b"mine")
    result = cli.run("ben", "open", name, "--export", "--out", "ex")
    assert (result.status, f"{name} counts as opened now" in result.err) == (3, True)
    assert result.err.count("one of its openings") == hint_count
    assert len(cli.run_json("ben", "open", name, "--export", "--out", "two")["files"]) == 2


def test_text_message_opens_without_a_folder(cli: CommandLine) -> None:
    words = ("send", "--text", "hello", "--to", "ben", "--confirm", "ben", "--undo", "0")
    name = cli.run_json("ana", *words)["message"]
    assert cli.run_json("ben", "open", name, "--out", "/proc/x")["text"] == "hello"


def test_conflict_with_an_existing_file_removes_the_files_already_written(cli: CommandLine) -> None:
    name = cli.run_json("ana", *SEND_TWO_PICTURES)["message"]
    second = cli.folder / cli.run_json("ben", "open", name, "--out", "a")["files"][1]
    existing = cli.folder / "ex" / second.name
    existing.parent.mkdir()
    existing.write_bytes(bytes(second.stat().st_size))
    assert cli.run("ben", "open", name, "--out", "ex").status == 3
    assert file_names(existing.parent) == [existing.name]
    existing.write_bytes(second.read_bytes())
    assert cli.run("ben", "open", name, "--out", "ex").status == 0


def test_files_of_a_used_up_message_stay_after_an_interruption(cli: CommandLine) -> None:
    """Ctrl-C arrives while the device reports the finished opening to the relay."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    name = cli.run_json("ana", *SEND_TWO_PICTURES, *VIEW_ONCE_OPTIONS)["message"]
    with cli.courier.replace_calls(finish_opening=interrupt):
        result = cli.run("ben", "open", name, "--export", "--out", "ex", "--json")
    assert result.status == 130
    assert file_names(cli.folder / "ex") == [f"{name}-1.jpg", f"{name}-2.jpg"]
    assert json.loads(result.out)["files"] == [f"ex/{name}-{number}.jpg" for number in (1, 2)]
    assert cli.run("ben", "open", name).status == 3
