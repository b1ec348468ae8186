"""Tests of the command ``trace`` for files and folders: output and exit status."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import skimage.data
from PIL import Image, ImageOps

from entrenous.base.picture import EmptyFolder
from entrenous.cli import run
from entrenous.terminal.session import EXIT_NO, EXIT_YES
from entrenous.trace.commands import list_files_to_trace
from tests.vaults import make_vaults_open_quickly

pytestmark = pytest.mark.slow

RunTrace = Callable[..., tuple[int, list[dict[str, Any]], str]]


@pytest.fixture
def run_trace(capsys: pytest.CaptureFixture[str]) -> RunTrace:
    def run_json(*arguments: str | Path) -> tuple[int, list[dict[str, Any]], str]:
        capsys.readouterr()
        status = run(["trace", *map(str, arguments), "--json"], {})
        out, err = capsys.readouterr()
        return status, [json.loads(line) for line in out.splitlines()], err

    return run_json


def set_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTRENOUS_HOME", str(folder / "home"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "four or five unrelated words")


@pytest.fixture(scope="module")
def marked_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an offline device that marked a photo for Ben and Caro.

    Tests use copies of this folder.
    """
    folder = tmp_path_factory.mktemp("marked")
    photo = folder / "photo.png"
    Image.fromarray(skimage.data.coffee()).resize((450, 300)).save(photo)
    people = ["--to", "ben", "--to", "caro"]
    with pytest.MonkeyPatch.context() as patch:
        set_home_folder(folder, patch)
        make_vaults_open_quickly(patch)
        assert run(["setup", "--name", "ana", "--offline"], {}) == EXIT_YES
        assert run(["mark", str(photo), *people, "--out", str(folder / "out")], {}) == EXIT_YES
    return folder


@pytest.fixture
def copies(marked_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Copy the folder for this test; return the marked copies for Ben and Caro."""
    shutil.copytree(marked_folder, tmp_path, dirs_exist_ok=True)
    set_home_folder(tmp_path, monkeypatch)
    ben, caro = sorted((tmp_path / "out").iterdir())
    return {"ben": ben, "caro": caro}


def test_one_file_gives_one_json_object_and_a_folder_one_per_file(
    copies: dict[str, Path], run_trace: RunTrace, tmp_path: Path
) -> None:
    status, (alone,), _ = run_trace(copies["ben"])
    assert (status, alone["named"], alone["finding"]) == (EXIT_YES, ["ben"], "one")
    assert "file" not in alone

    found = tmp_path / "found"
    (found / "deeper").mkdir(parents=True)
    with Image.open(copies["caro"]) as copy:
        ImageOps.mirror(copy.convert("RGB")).save(found / "deeper" / "leak.jpg", quality=70)
    (found / "notes.txt").write_text("no picture")
    (found / "empty.jpg").write_bytes(b"")
    status, lines, err = run_trace(found)
    assert status == EXIT_YES
    assert [Path(line["file"]).name for line in lines] == ["leak.jpg", "empty.jpg", "notes.txt"]
    assert lines[0]["named"] == ["caro"]
    assert set(lines[0]) == set(alone) | {"file"}
    for line in lines[1:]:
        assert line["schema"] == "entrenous/trace/1"
        assert (line["trace"], line["family"]) == (None, "malformed")
        assert line["detail"].endswith(".")
    assert "Traceback" not in err
    assert [line["error"] for line in lines[1:]] == ["EmptyFile", "NoMediaFound"]
    assert all(str(found) in line["detail"] for line in lines[1:])


def test_error_message_names_the_unreadable_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], copies: dict[str, Path]
) -> None:
    del copies  # needed only so that the device has marked something
    found = tmp_path / "found"
    found.mkdir()
    (found / "empty.jpg").write_bytes(b"")
    (found / "notes.txt").write_text("no picture")
    for name, message in (
        ("empty.jpg", "has no bytes"),
        ("notes.txt", "no picture, clip or sound"),
    ):
        capsys.readouterr()
        assert run(["trace", str(found / name)], {}) == 7
        err = capsys.readouterr().err
        assert (str(found / name) in err, message in err) == (True, True)
    assert run(["trace", str(found)], {}) == 7
    out, err = capsys.readouterr()
    assert ("has no bytes" in out, "no picture, clip or sound" in out, err) == (True, True, "")


def test_exit_status_of_several_files_is_the_best_one(
    copies: dict[str, Path], run_trace: RunTrace, tmp_path: Path
) -> None:
    bad, unmarked = tmp_path / "bad.jpg", tmp_path / "photo.png"
    bad.write_bytes(b"\xff\xd8\xff")
    assert run_trace(bad, unmarked)[0] == EXIT_NO
    assert run_trace(bad, unmarked, copies["ben"])[0] == EXIT_YES
    status, lines, _ = run_trace(bad, tmp_path / "missing.jpg")
    assert status == 7  # no file was traced: the status is that of the first error
    assert [line["error"] for line in lines] == ["IncompletePicture", "NoSuchFile"]


def test_messages_that_could_not_be_compared_are_listed(
    copies: dict[str, Path], run_trace: RunTrace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run_trace(copies["ben"])[1][0]["lost"] == []
    for file in (tmp_path / "home").rglob("files/*"):
        file.unlink()
    status, (line,), _ = run_trace(copies["ben"])
    assert (status, line["finding"], line["compared"]) == (EXIT_NO, "nobody", 0)
    (name,) = line["lost"]
    assert run(["trace", str(copies["ben"]), "--explain", str(tmp_path / "report")], {}) == EXIT_NO
    out = capsys.readouterr().out
    page = (tmp_path / "report" / "trace.html").read_text()
    for text in (out, page):
        assert f"The files of {name} on this device are missing or damaged" in text
    assert "too small" not in out


def test_learn_option_reports_that_no_features_are_missing(
    copies: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert copies
    capsys.readouterr()
    assert run(["trace", "--learn"], {}) == EXIT_YES
    out, err = capsys.readouterr()
    assert out == ""
    assert "0 of 0" in err


def test_files_to_trace_are_sorted_and_listed_once(tmp_path: Path) -> None:
    for name in ("b", "a", "deep/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    folder = [tmp_path / "a", tmp_path / "b", tmp_path / "deep" / "c"]
    assert list_files_to_trace([tmp_path]) == folder
    assert list_files_to_trace([tmp_path / "b", tmp_path]) == [folder[1], folder[0], folder[2]]
    assert list_files_to_trace([tmp_path / "missing"]) == [tmp_path / "missing"]
    assert list_files_to_trace([]) == []
    (tmp_path / "empty").mkdir()
    with pytest.raises(EmptyFolder):
        list_files_to_trace([tmp_path / "empty"])
