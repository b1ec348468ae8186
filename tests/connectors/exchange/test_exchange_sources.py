"""``entrenous gate exchange add`` and ``remove``; bad sources are refused before any fetch."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from entrenous.cli import run
from entrenous.stop.store.open_gate import open_platform
from tests.stop.exchange.exchange_for_tests import fake_hash

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Typed:
    with open_platform(tmp_path / "gate"):
        pass

    def type_it(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        status = run(["gate", "exchange", *map(str, words), "--data", str(tmp_path / "gate")], {})
        said = capfd.readouterr()
        return status, said.out, said.err

    return type_it


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "list.csv"
    path.write_text("".join(f"{fake_hash(number).hex()}\n" for number in range(3)))
    return path


def known(typed: Typed) -> list[str]:
    return [one["name"] for one in json.loads(typed("list", "--json")[1])["sources"]]


def test_removed_source_can_be_added_again(typed: Typed) -> None:
    mistyped = ("add", "src", "--kind", "stopncii", "--bank", "lists", "--from")
    assert typed(*mistyped, "https://exchnge.example")[0] == 0
    status, _, wrong = typed(*mistyped, "https://exchange.example")
    assert (status, "exchange remove src" in wrong) == (3, True)
    assert typed("remove", "src") == (0, "src was removed, and is not fetched any more.\n", "")
    assert known(typed) == []
    assert typed("remove", "src")[0] == 4
    assert typed(*mistyped, "https://exchange.example")[0] == 0


@pytest.mark.parametrize(("choice", "word"), [("--withdraw", "withdrawn"), ("--keep", "kept")])
def test_removing_a_source_needs_keep_or_withdraw(
    typed: Typed, listed: Path, tmp_path: Path, choice: str, word: str
) -> None:
    assert typed("add", "ours", "--kind", "file", "--from", listed, "--bank", "lists")[0] == 0
    assert typed("fetch")[0] == 0
    status, _, wrong = typed("remove", "ours")
    assert (status, wrong.startswith("Registrations from ours are stored here (3)")) == (3, True)
    assert known(typed) == ["ours"]
    removed = json.loads(typed("remove", "ours", choice, "--json")[1])
    assert (removed["removed"], removed[word]) == (True, 3)
    with open_platform(tmp_path / "gate") as (platform, _):
        assert platform.bank.count_claims_and_hashes().hashes == (3 if choice == "--keep" else 0)
    assert typed("add", "ours", "--kind", "file", "--from", listed, "--bank", "lists")[0] == 0
    assert typed("fetch")[0] == 0
    assert "ours (file) into lists: 3 claims" in typed("list")[1]
    with open_platform(tmp_path / "gate") as (platform, _):
        for number in range(3):
            near = platform.index.find_near_hashes([fake_hash(number)], part=False)
            brought = platform.bank.claims_on_pictures({one.entry for one in near})
            assert len(brought) == (2 if choice == "--keep" else 1)


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ("onlyone", 0o600, "user:password"),
        ("user:secret", 0o644, "chmod 600"),
        ("", 0o600, "There are no credentials"),
        (None, 0o600, "There are no credentials"),
    ],
)
def test_unusable_credentials_are_refused_when_adding(
    typed: Typed, tmp_path: Path, text: str | None, mode: int, says: str
) -> None:
    path = tmp_path / "credentials"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)
    place = ("--from", "https://exchange.example", "--bank", "lists", "--credentials", path)
    status, _, wrong = typed("add", "src", "--kind", "ncmec", *place)
    assert (status, says in " ".join(wrong.split()), "secret" in wrong) == (3, True, False)
    assert known(typed) == []


def test_missing_list_file_is_refused_when_adding(typed: Typed, tmp_path: Path) -> None:
    for place in (tmp_path / "missing.csv", tmp_path):
        status, _, wrong = typed("add", "ours", "--kind", "file", "--from", place, "--bank", "b1")
        assert (status, "there is no such file" in wrong) == (3, True)
    assert known(typed) == []
