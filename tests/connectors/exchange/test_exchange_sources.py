"""The commands ``entrenous gate exchange add`` and ``remove``."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from entrenous.cli import run
from entrenous.stop.store.open_gate import open_platform
from tests.stop.exchange.exchange_for_tests import fake_hash

RunCommand = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> RunCommand:
    with open_platform(tmp_path / "gate"):
        pass

    def run_exchange_command(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        status = run(
            ["gate", "exchange", *map(str, arguments), "--data", str(tmp_path / "gate")], {}
        )
        said = capfd.readouterr()
        return status, said.out, said.err

    return run_exchange_command


@pytest.fixture
def hash_list(tmp_path: Path) -> Path:
    path = tmp_path / "list.csv"
    path.write_text("".join(f"{fake_hash(number).hex()}\n" for number in range(3)))
    return path


def source_names(run_command: RunCommand) -> list[str]:
    return [one["name"] for one in json.loads(run_command("list", "--json")[1])["sources"]]


def test_removed_source_can_be_added_again(run_command: RunCommand) -> None:
    add_arguments = ("add", "src", "--kind", "stopncii", "--bank", "lists", "--from")
    assert run_command(*add_arguments, "https://exchnge.example")[0] == 0
    status, _, stderr = run_command(*add_arguments, "https://exchange.example")
    assert (status, "exchange remove src" in stderr) == (3, True)
    assert run_command("remove", "src") == (
        0,
        "src was removed, and is not fetched any more.\n",
        "",
    )
    assert source_names(run_command) == []
    assert run_command("remove", "src")[0] == 4
    assert run_command(*add_arguments, "https://exchange.example")[0] == 0


@pytest.mark.parametrize(("option", "count_key"), [("--withdraw", "withdrawn"), ("--keep", "kept")])
def test_removing_a_source_needs_keep_or_withdraw(
    run_command: RunCommand, hash_list: Path, tmp_path: Path, option: str, count_key: str
) -> None:
    assert (
        run_command("add", "ours", "--kind", "file", "--from", hash_list, "--bank", "lists")[0] == 0
    )
    assert run_command("fetch")[0] == 0
    status, _, stderr = run_command("remove", "ours")
    assert (status, stderr.startswith("Registrations from ours are stored here (3)")) == (3, True)
    assert source_names(run_command) == ["ours"]
    removed = json.loads(run_command("remove", "ours", option, "--json")[1])
    assert (removed["removed"], removed[count_key]) == (True, 3)
    with open_platform(tmp_path / "gate") as (platform, _):
        assert platform.bank.count_claims_and_hashes().hashes == (3 if option == "--keep" else 0)
    assert (
        run_command("add", "ours", "--kind", "file", "--from", hash_list, "--bank", "lists")[0] == 0
    )
    assert run_command("fetch")[0] == 0
    assert "ours (file) into lists: 3 claims" in run_command("list")[1]
    with open_platform(tmp_path / "gate") as (platform, _):
        for number in range(3):
            near = platform.index.find_near_hashes([fake_hash(number)], part=False)
            brought = platform.bank.claims_on_pictures({one.entry for one in near})
            assert len(brought) == (2 if option == "--keep" else 1)


@pytest.mark.parametrize(
    ("credentials", "mode", "expected_error"),
    [
        ("onlyone", 0o600, "user:password"),
        ("user:secret", 0o644, "chmod 600"),
        ("", 0o600, "There are no credentials"),
        (None, 0o600, "There are no credentials"),
    ],
)
def test_unusable_credentials_are_refused_when_adding(
    run_command: RunCommand, tmp_path: Path, credentials: str | None, mode: int, expected_error: str
) -> None:
    path = tmp_path / "credentials"
    if credentials is not None:
        path.write_text(credentials)
        path.chmod(mode)
    location = ("--from", "https://exchange.example", "--bank", "lists", "--credentials", path)
    status, _, stderr = run_command("add", "src", "--kind", "ncmec", *location)
    assert (status, expected_error in " ".join(stderr.split()), "secret" in stderr) == (
        3,
        True,
        False,
    )
    assert source_names(run_command) == []


def test_missing_list_file_is_refused_when_adding(run_command: RunCommand, tmp_path: Path) -> None:
    for location in (tmp_path / "missing.csv", tmp_path):
        status, _, stderr = run_command(
            "add", "ours", "--kind", "file", "--from", location, "--bank", "b1"
        )
        assert (status, "there is no such file" in stderr) == (3, True)
    assert source_names(run_command) == []
