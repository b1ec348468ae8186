"""``entrenous open`` writes all files of a message, or leaves none of them behind."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest

from entrenous.base.errors import DiskFull
from entrenous.terminal.output_files import FileGroup
from tests.send.commands.test_letters import Street

pytestmark = pytest.mark.slow

SEND_TWO = ("send", "beach.jpg", "beach.jpg", "--to", "ben", "--confirm", "ben", "--undo", "0")
ONCE = ("--once", "--allow-export")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def writing(data: bytes) -> Any:
    def fill(file: BinaryIO) -> None:
        file.write(data)

    return fill


def test_full_disk_keeps_no_file_of_the_opening(tmp_path: Path) -> None:
    def fail_when_full(file: BinaryIO) -> None:
        file.write(b"thi")
        raise DiskFull

    (tmp_path / "m-1.jpg").write_bytes(b"first")  # from an earlier opening
    files = FileGroup()
    for number, fill in enumerate((writing(b"first"), writing(b"other"), fail_when_full), 1):
        files.add(tmp_path / f"m-{number}.jpg", 5, fill)
    with pytest.raises(DiskFull), files.remove_on_failure(lambda: False):
        files.write()
    assert names(tmp_path) == ["m-1.jpg"]


def test_occupied_name_is_found_before_writing(street: Street) -> None:
    name = street.does("ana", *SEND_TWO, *ONCE)["message"]
    existing = street.folder / "ex" / f"{name}-2.jpg"
    existing.parent.mkdir()
    existing.write_bytes(b"mine")
    result = street.types("ben", "open", name, "--export", "--out", "ex")
    assert (result.status, result.out) == (3, "")
    assert names(existing.parent) == [existing.name]
    assert existing.read_bytes() == b"mine"
    assert len(street.does("ben", "open", name, "--export", "--out", "two")["files"]) == 2


def states(street: Street) -> list[str]:
    (message,) = street.does("ana", "sent")["messages"]
    return [copy["state"] for copy in message["copies"]]


@pytest.mark.parametrize("limit", [(), ONCE])
def test_unwritable_folder_uses_up_no_opening(
    street: Street, limit: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = street.does("ana", *SEND_TWO, *limit)["message"]
    (street.folder / "file").write_bytes(b"mine")
    for out in ("/proc/x", "file", "file/x"):
        result = street.types("ben", "open", name, "--export", "--out", out)
        assert (result.status, result.out) == (3, "")
        assert "Nothing could be written" in result.err
    with monkeypatch.context() as small:
        small.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=9999, free=9))
        result = street.types("ben", "open", name, "--export", "--out", "new/ex")
    assert (result.status, "The disk is full" in result.err, "counts" in result.err) == (
        6,
        True,
        False,
    )
    assert not (street.folder / "new").exists()
    assert states(street) == ["delivered"]
    assert len(street.does("ben", "open", name, "--export", "--out", "new/ex")["files"]) == 2
    assert states(street) == ["opened"]


@pytest.mark.parametrize(("limit", "hints"), [((), 0), (ONCE, 1)])
def test_failure_after_the_key_says_that_the_opening_counts(
    street: Street, limit: tuple[str, ...], hints: int
) -> None:
    name = street.does("ana", *SEND_TWO, *limit)["message"]
    existing = street.folder / "ex" / f"{name}-2.jpg"
    existing.parent.mkdir()
    existing.write_bytes(b"mine")
    result = street.types("ben", "open", name, "--export", "--out", "ex")
    assert (result.status, f"{name} counts as opened now" in result.err) == (3, True)
    assert result.err.count("one of its openings") == hints
    assert len(street.does("ben", "open", name, "--export", "--out", "two")["files"]) == 2


def test_text_message_opens_without_a_folder(street: Street) -> None:
    words = ("send", "--text", "hello", "--to", "ben", "--confirm", "ben", "--undo", "0")
    name = street.does("ana", *words)["message"]
    assert street.does("ben", "open", name, "--out", "/proc/x")["text"] == "hello"


def test_differing_existing_file_removes_the_written_ones(street: Street) -> None:
    name = street.does("ana", *SEND_TWO)["message"]
    second = street.folder / street.does("ben", "open", name, "--out", "a")["files"][1]
    existing = street.folder / "ex" / second.name
    existing.parent.mkdir()
    existing.write_bytes(bytes(second.stat().st_size))
    assert street.types("ben", "open", name, "--out", "ex").status == 3
    assert names(existing.parent) == [existing.name]
    existing.write_bytes(second.read_bytes())
    assert street.types("ben", "open", name, "--out", "ex").status == 0


def test_files_of_a_used_up_message_are_never_removed(street: Street) -> None:
    """After Ctrl-C while the relay is told of the opening, the files are all that is left."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    name = street.does("ana", *SEND_TWO, *ONCE)["message"]
    with street.courier.playing(finish_opening=interrupt):
        result = street.types("ben", "open", name, "--export", "--out", "ex", "--json")
    assert result.status == 130
    assert names(street.folder / "ex") == [f"{name}-1.jpg", f"{name}-2.jpg"]
    assert json.loads(result.out)["files"] == [f"ex/{name}-{number}.jpg" for number in (1, 2)]
    assert street.types("ben", "open", name).status == 3
