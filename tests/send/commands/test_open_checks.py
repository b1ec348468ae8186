"""Tests that ``entrenous open`` checks received files, with real decoder processes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import entrenous.device.open_device as open_device_module
from entrenous.media.copies.copy_checker import CopyChecker
from entrenous.send.letter.letter_nouns import FileRole
from tests.send.commands.changed_sender import send_raw_files
from tests.send.commands.hostile_files import (
    HTML_SCRIPT,
    SHELL_SCRIPT,
    make_hostile_files,
    valid_copies,
)
from tests.send.commands.test_letters import CommandLine
from tests.sizes import size

pytestmark = pytest.mark.real

HOSTILE_FILE_COUNT = 1000
FILES_PER_MESSAGE_MAX = 64


@pytest.fixture(scope="module")
def checker() -> Iterator[CopyChecker]:
    with CopyChecker() as shared_checker:
        yield shared_checker


@pytest.fixture
def cli(cli: CommandLine, checker: CopyChecker, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """Share one checker between all commands, which would otherwise each start their own."""
    monkeypatch.setattr(open_device_module, "CopyChecker", lambda: _without_closing(checker))
    return cli


@contextmanager
def _without_closing(checker: CopyChecker) -> Iterator[CopyChecker]:
    yield checker


def written_files(cli: CommandLine) -> list[Path]:
    return [path for path in (cli.folder / "got").rglob("*") if path.is_file()]


@pytest.mark.threat("hostile-files")
def test_no_hostile_file_is_written(cli: CommandLine) -> None:
    files = [(media_type, data) for _, media_type, data in make_hostile_files(HOSTILE_FILE_COUNT)]
    files = files[:: size(4, 1)]  # every fourth file, or all in nightly runs
    assert len(set(files)) >= len(files) * 0.95
    for first in range(0, len(files), FILES_PER_MESSAGE_MAX):
        batch = files[first : first + FILES_PER_MESSAGE_MAX]
        name = send_raw_files(cli, batch)
        result = cli.run("ben", "open", name, "--out", "got")
        assert (result.status, result.out, written_files(cli)) == (7, "", [])
        every = ", ".join(str(number) for number in range(1, len(batch) + 1))
        assert f"pictures, clips and sounds: files {every}. Such" in " ".join(result.err.split())


def test_valid_copy_of_every_media_type_is_written_unchanged(cli: CommandLine) -> None:
    name = send_raw_files(cli, list(valid_copies().items()))
    places = cli.run_json("ben", "open", name, "--out", "got")["files"]
    assert [(cli.folder / place).read_bytes() for place in places] == list(valid_copies().values())


@pytest.mark.threat("hostile-files")
def test_no_file_is_written_if_one_is_hostile_and_the_error_names_it(
    cli: CommandLine,
) -> None:
    files = [*valid_copies().items()]
    files[2] = ("image/jpeg", b"\xff\xd8\xff\xe0" + SHELL_SCRIPT + HTML_SCRIPT)
    name = send_raw_files(cli, files)
    result = cli.run("ben", "open", name, "--out", "got")
    assert (result.status, written_files(cli)) == (7, [])
    assert "sounds: file 3." in " ".join(result.err.split())
    assert f"entrenous open {name} --unchecked" in " ".join(result.err.split())
    assert f"{name} counts as opened now" in " ".join(result.err.split())
    places = cli.run_json("ben", "open", name, "--out", "got", "--unchecked")["files"]
    assert (cli.folder / places[2]).read_bytes() == files[2][1]


def test_wrong_file_role_is_refused(cli: CommandLine) -> None:
    name = send_raw_files(cli, [("image/jpeg", valid_copies()["image/jpeg"])], role=FileRole.VOICE)
    assert cli.run("ben", "open", name, "--out", "got").status == 7
    assert written_files(cli) == []


def test_nothing_is_written_unless_asked_if_the_checker_does_not_start(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.media.copies.copy_checker._SERVER_COMMAND", (os.devnull,))
    monkeypatch.setattr(open_device_module, "CopyChecker", CopyChecker)
    name = send_raw_files(cli, [("image/jpeg", valid_copies()["image/jpeg"])])
    result = cli.run("ben", "open", name, "--out", "got")
    assert (result.status, written_files(cli)) == (6, [])
    assert len(cli.run_json("ben", "open", name, "--out", "got", "--unchecked")["files"]) == 1
