"""Tests of ``case watch``: consent, due checks, people under 18, and output without addresses."""

import json
import os
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
            f"/{SECRET_PATH}": reply(f'<img src="/{SECRET_PATH}.jpg">{SECRET_PATH}'),
            f"/{SECRET_PATH}.jpg": picture_reply(),
        }
        yield served


@pytest.fixture
def case_name(cli: Cli, site: Site, tmp_path: Path) -> str:
    """Return the name of a case with a picture and one sighting."""
    name: str = cli("case", "open", "--adults")["case"]
    file = tmp_path / "picture.jpg"
    file.write_bytes(photo())
    cli("case", "add", name, str(file), "--url", f"{site.url}/{SECRET_PATH}")
    return name


def test_first_use_says_what_the_site_sees_and_asks_for_consent(
    case_name: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["case", "watch", case_name, "--on", "1"], {}) == 2
    errors = capsys.readouterr().err
    assert "your IP address" in errors
    assert "if you agree, say --yes" in " ".join(errors.split())
    assert run(["case", "watch", case_name, "--on", "1", "--yes"], {}) == 0
    capsys.readouterr()
    # The person has agreed before, so --yes is not needed.
    assert run(["case", "watch", case_name, "--on", "1"], {}) == 0
    assert "IP address" not in capsys.readouterr().err
    assert site.requests == []  # switching on sends no request


def test_option_once_checks_due_sightings_and_prints_json(cli: Cli, case_name: str) -> None:
    cli("case", "watch", case_name, "--on", "1", "--yes")
    answer = cli("case", "watch", "--once")
    assert answer["schema"] == "entrenous/watch/1"
    (one,) = answer["looked"]
    assert (one["case"], one["sighting"], one["state"]) == (case_name, 1, "still there")
    assert (one["why"], one["back"]) == ("picture", False)
    assert cli("case", "watch", "--once")["looked"] == []
    assert cli("case", "watch", case_name)["watched"][0]["state"] == "still there"
    assert cli("case", "watch", case_name, "--off", "1")["watched"] == []


def test_slow_run_ends_early_and_the_next_run_checks_the_rest(
    cli: Cli, case_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.respond.watch.check_sightings.RUN_TIME_MAX_S", 0.0)
    cli("case", "add", case_name, "--url", "http://127.0.0.1:9/")
    cli("case", "watch", case_name, "--on", "1", "--on", "2", "--yes")
    assert [one["sighting"] for one in cli("case", "watch", "--once")["looked"]] == [1]
    assert [one["sighting"] for one in cli("case", "watch", "--once")["looked"]] == [2]
    assert cli("case", "watch", "--once")["looked"] == []


def test_no_request_is_sent_for_an_under_18_case(cli: Cli, case_name: str, site: Site) -> None:
    cli("case", "watch", case_name, "--on", "1", "--yes")
    cli("case", "about", case_name, "--under-18", status=3)
    cli("case", "watch", case_name, "--on", "1", "--yes", status=3)
    cli("case", "watch", case_name, "--once", status=3)
    assert cli("case", "watch", "--once")["looked"] == []
    assert site.requests == []


def test_missing_case_name_is_a_usage_error(cli: Cli) -> None:
    cli("case", "watch", status=2)
    cli("case", "watch", "--on", "1", status=2)


@pytest.mark.threat("watching-betrays")
def test_no_address_and_no_picture_is_in_output_logs_or_files(
    case_name: str, cli: Cli, site: Site, tmp_path: Path
) -> None:
    cli("case", "watch", case_name, "--on", "1", "--yes")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    ended = run_program(
        [sys.executable, "-m", "entrenous", "case", "watch", "--once"],
        env={**os.environ, "TMPDIR": str(temporary), "HOME": str(tmp_path)},
        cwd=tmp_path,
    )
    assert ended.returncode == 0
    assert f"{case_name}, sighting 1: still there" in ended.stdout.decode()
    assert f"/{SECRET_PATH}.jpg" in site.requested_paths
    assert list(temporary.iterdir()) == []
    written = [ended.stdout, ended.stderr]
    written += [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    shown = photo("astronaut", 75, 400)  # the picture as the site sends it
    windows = [shown[at : at + 16] for at in range(1000, len(shown) - 16, 16)]
    for data in written:
        assert SECRET_PATH.encode() not in data
        assert site.url.encode() not in data
        assert not any(window in data for window in windows)


def test_output_about_an_unreachable_page_contains_no_address(
    case_name: str, cli: Cli, site: Site
) -> None:
    cli("case", "watch", case_name, "--on", "1", "--yes")
    site.pages[f"/{SECRET_PATH}"] = reply(status=500)
    answer = json.dumps(cli("case", "watch", "--once"))
    assert "unreachable" in answer
    assert SECRET_PATH not in answer
    assert site.url not in answer
