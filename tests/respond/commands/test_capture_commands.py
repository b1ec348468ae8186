"""Tests of ``evidence capture``, and of ``case add`` for saved pages and second captures."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from entrenous.cli import run
from tests.ready import run_program
from tests.respond.watch.site import Site, photo, picture_reply, reply, serve_site

pytestmark = [pytest.mark.real, pytest.mark.slow]

Cli = Callable[..., Any]
SECRET_PATH = "a-path-that-nobody-may-read"


@pytest.fixture
def site() -> Iterator[Site]:
    with serve_site() as served:
        served.pages |= {
            f"/{SECRET_PATH}": reply(f'<html><img src="/{SECRET_PATH}.jpg">{SECRET_PATH}'),
            f"/{SECRET_PATH}.jpg": picture_reply(),
        }
        yield served


@pytest.fixture
def case_name(cli: Cli, site: Site) -> str:
    name: str = cli("case", "open", "--adults")["case"]
    cli("case", "add", name, "--url", f"{site.url}/{SECRET_PATH}")
    return name


def test_capture_needs_consent_and_becomes_an_item_of_level_a2(
    cli: Cli, case_name: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evidence", "capture", case_name, "--sighting", "1"], {}) == 2
    assert "your IP address" in capsys.readouterr().err
    assert site.requests == []
    shown = cli(
        "evidence", "capture", case_name, "--sighting", "1", "--yes", "--why", "for the police"
    )
    (item,) = shown["evidence"]
    assert (item["level"], item["what"]) == ("A2", "capture of sighting 1, HTTP status 200")


def test_wacz_program_accepts_an_exported_capture(cli: Cli, case_name: str, tmp_path: Path) -> None:
    cli("evidence", "capture", case_name, "--sighting", "1", "--yes")
    out = tmp_path / "out"
    written = cli("evidence", "export", case_name, "1", "--out", str(out))
    assert written["file"].endswith(".wacz")
    wacz = Path(sys.executable).parent / "wacz"
    ended = subprocess.run(
        [str(wacz), "validate", "-f", written["file"]], capture_output=True, check=False, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "the passed WACZ is valid" in ended.stdout


@pytest.mark.threat("under-eighteen")
def test_under_18_case_is_not_captured_and_nothing_is_stored(
    cli: Cli, case_name: str, site: Site, tmp_path: Path
) -> None:
    cli("case", "about", case_name, "--under-18", status=3)
    before = {file: file.stat().st_size for file in (tmp_path / "home").rglob("*")}
    cli("evidence", "capture", case_name, "--sighting", "1", "--yes", status=3)
    assert {file: file.stat().st_size for file in (tmp_path / "home").rglob("*")} == before
    assert site.requests == []


def test_path_of_the_page_and_picture_are_not_in_errors_or_files(
    case_name: str, site: Site, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    command = [sys.executable, "-m", "entrenous", "evidence", "capture", case_name]
    ended = run_program(
        [*command, "--sighting", "1", "--yes", "--json"],
        env={**os.environ, "TMPDIR": str(temporary), "HOME": str(tmp_path)},
        cwd=tmp_path,
    )
    assert ended.returncode == 0
    assert f"/{SECRET_PATH}.jpg" in site.requested_paths
    assert list(temporary.iterdir()) == []
    shown = photo("astronaut", 75, 400)
    windows = [shown[at : at + 16] for at in range(1000, len(shown) - 16, 16)]
    assert SECRET_PATH.encode() not in ended.stderr
    for file in tmp_path.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert SECRET_PATH.encode() not in data
            assert not any(window in data for window in windows)


def test_saved_page_is_stored_with_a_recognized_or_given_description(
    cli: Cli, case_name: str, tmp_path: Path
) -> None:
    page = tmp_path / "post.html"
    page.write_bytes(b"<!doctype html><html>words</html>")
    shown = cli("case", "add", case_name, str(page))
    assert shown["evidence"][0]["what"] == "a saved page (HTML)"
    assert shown["evidence"][0]["level"] == "A1"
    shown = cli("case", "add", case_name, str(page), "--what", "the post")
    assert shown["evidence"][1]["what"] == "the post"


def test_second_capture_has_level_a3_and_a_picture_is_not_accepted_as_one(
    cli: Cli, case_name: str, tmp_path: Path
) -> None:
    cli("evidence", "capture", case_name, "--sighting", "1", "--yes")
    file = cli("evidence", "export", case_name, "1", "--out", str(tmp_path / "out"))["file"]
    shown = cli("case", "add", case_name, file, "--captured-by", "a helper")
    assert [item["level"] for item in shown["evidence"]] == ["A2", "A3"]
    picture_file = tmp_path / "p.jpg"
    picture_file.write_bytes(photo())
    cli("case", "add", case_name, str(picture_file), "--captured-by", "a helper", status=7)
    cli("case", "add", case_name, "--captured-by", "a helper", status=2)


def test_error_of_a_capture_contains_no_address(
    case_name: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["evidence", "capture", case_name, "--sighting", "1", "--yes"], {})
    capsys.readouterr()
    site.pages[f"/{SECRET_PATH}"] = reply(status=302, Location=f"http://10.0.0.1/{SECRET_PATH}")
    assert run(["evidence", "capture", case_name, "--sighting", "1"], {}) == 3
    captured = capsys.readouterr()
    assert SECRET_PATH not in captured.out + captured.err
    assert "127.0.0.1" not in captured.out + captured.err
