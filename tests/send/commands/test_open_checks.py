"""``entrenous open`` writes files only if our own program could have sent them.

The sender is malicious and seals any bytes. Real decoder processes check them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import entrenous.device.open_device as wiring
from entrenous.media.copies.copy_checker import CopyChecker
from entrenous.send.letter.letter_nouns import FileRole
from tests.send.commands.changed_sender import send_raw_files
from tests.send.commands.hostile_files import HTML, SHELL, honest, hostile
from tests.send.commands.test_letters import Street
from tests.sizes import size

pytestmark = pytest.mark.real

WANTED = 1000
FILES_MAX = 64


@pytest.fixture(scope="module")
def checker() -> Iterator[CopyChecker]:
    with CopyChecker() as made:
        yield made


@pytest.fixture
def street(street: Street, checker: CopyChecker, monkeypatch: pytest.MonkeyPatch) -> Street:
    """Share one checker between all commands, which would otherwise each start their own."""
    monkeypatch.setattr(wiring, "CopyChecker", lambda: _without_closing(checker))
    return street


@contextmanager
def _without_closing(checker: CopyChecker) -> Iterator[CopyChecker]:
    yield checker


def written_files(street: Street) -> list[Path]:
    return [path for path in (street.folder / "got").rglob("*") if path.is_file()]


@pytest.mark.threat("hostile-files")
def test_of_many_hostile_files_none_is_written(street: Street) -> None:
    files = [(media_type, data) for _, media_type, data in hostile(WANTED)]
    files = files[:: size(4, 1)]  # a sample of each kind
    assert len(set(files)) >= len(files) * 0.95
    for first in range(0, len(files), FILES_MAX):
        batch = files[first : first + FILES_MAX]
        name = send_raw_files(street, batch)
        result = street.types("ben", "open", name, "--out", "got")
        assert (result.status, result.out, written_files(street)) == (7, "", [])
        every = ", ".join(str(number) for number in range(1, len(batch) + 1))
        assert f"pictures, clips and sounds: files {every}. Such" in " ".join(result.err.split())


def test_every_supported_kind_is_written_unchanged(street: Street) -> None:
    name = send_raw_files(street, list(honest().items()))
    places = street.does("ben", "open", name, "--out", "got")["files"]
    assert [(street.folder / place).read_bytes() for place in places] == list(honest().values())


@pytest.mark.threat("hostile-files")
def test_one_hostile_file_keeps_its_message_from_being_written_and_is_named(street: Street) -> None:
    files = [*honest().items()]
    files[2] = ("image/jpeg", b"\xff\xd8\xff\xe0" + SHELL + HTML)
    name = send_raw_files(street, files)
    result = street.types("ben", "open", name, "--out", "got")
    assert (result.status, written_files(street)) == (7, [])
    assert "sounds: file 3." in " ".join(result.err.split())
    assert f"entrenous open {name} --unchecked" in " ".join(result.err.split())
    assert f"{name} counts as opened now" in " ".join(result.err.split())
    places = street.does("ben", "open", name, "--out", "got", "--unchecked")["files"]
    assert (street.folder / places[2]).read_bytes() == files[2][1]


def test_wrong_file_role_is_refused(street: Street) -> None:
    name = send_raw_files(street, [("image/jpeg", honest()["image/jpeg"])], role=FileRole.VOICE)
    assert street.types("ben", "open", name, "--out", "got").status == 7
    assert written_files(street) == []


def test_nothing_is_written_without_the_file_check(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.media.copies.copy_checker._SERVER_COMMAND", (os.devnull,))
    monkeypatch.setattr(wiring, "CopyChecker", CopyChecker)
    name = send_raw_files(street, [("image/jpeg", honest()["image/jpeg"])])
    result = street.types("ben", "open", name, "--out", "got")
    assert (result.status, written_files(street)) == (6, [])
    assert len(street.does("ben", "open", name, "--out", "got", "--unchecked")["files"]) == 1
