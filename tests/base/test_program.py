"""Tests of finding the program's commit, with git or in a file, and of the option --version."""

import os
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from entrenous.base.program import COMMIT_FILE, UNKNOWN_VERSION, commit_of, this_program_version
from entrenous.cli import run

ROOT = Path(__file__).parents[2]
IDENTITY_FIELDS = ("NAME", "EMAIL")
Git = Callable[..., str]


def git_runner(folder: Path) -> Git:
    """Return a function that runs git in the folder and returns what git prints."""
    identity = {
        f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in IDENTITY_FIELDS
    }
    environment = {"PATH": os.environ["PATH"], **identity}

    def git(*arguments: str) -> str:
        command = ["git", "-c", "safe.directory=*", "-C", str(folder), *arguments]
        process = subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True
        )
        return process.stdout.strip()

    return git


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return the folder of a package in a new git repository with one commit."""
    package = tmp_path / "clone" / "src" / "program"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("# one\n")
    git = git_runner(tmp_path / "clone")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "One")
    return package


def head_commit(checkout: Path) -> str:
    return git_runner(checkout)("rev-parse", "HEAD")[:12]


@pytest.mark.real
def test_commit_of_a_checkout_is_its_git_head(checkout: Path) -> None:
    assert commit_of(checkout) == head_commit(checkout)
    (checkout / "__init__.py").write_text("# changed\n")
    assert commit_of(checkout) == f"{head_commit(checkout)}-dirty"


@pytest.mark.real
def test_tag_does_not_replace_the_commit(checkout: Path) -> None:
    git_runner(checkout)("tag", "v9")
    assert commit_of(checkout) == head_commit(checkout)


@pytest.mark.real
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_commit_is_read_from_a_checkout_of_another_account(checkout: Path) -> None:
    """A relay may use a checkout that another account has cloned (docs/operate.md)."""
    for path in (checkout.parents[1], checkout.parents[1] / ".git"):
        os.chown(path, 65534, 65534)
    assert commit_of(checkout) == head_commit(checkout)


@pytest.mark.real
def test_git_starts_no_program_from_the_checkouts_settings(checkout: Path, tmp_path: Path) -> None:
    planted_program = tmp_path / "planted"
    planted_program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    planted_program.chmod(0o755)
    git_runner(checkout)("config", "core.fsmonitor", str(planted_program))
    assert commit_of(checkout) == head_commit(checkout)
    assert not (tmp_path / "ran").exists()


@pytest.mark.real
def test_surrounding_repository_is_not_used(checkout: Path) -> None:
    """A package may be in a virtual environment or a damaged clone, inside another repository."""
    installed = checkout.parents[1] / "site-packages" / "program"
    inner = checkout.parents[1] / "inner" / "src" / "program"
    for package in (installed, inner):
        package.mkdir(parents=True)
    (inner.parents[1] / ".git").mkdir()  # not a repository, so git would search the folders above
    assert commit_of(installed) == commit_of(inner) == UNKNOWN_VERSION


def test_built_package_has_its_commit_in_a_file(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "program"
    package.mkdir(parents=True)
    assert commit_of(package) == UNKNOWN_VERSION
    (package / COMMIT_FILE).write_text("0123456789ab\n")
    assert commit_of(package) == "0123456789ab"
    (package / COMMIT_FILE).write_text("")
    assert commit_of(package) == UNKNOWN_VERSION


@pytest.mark.parametrize(
    "arguments", [["--version"], ["relay", "--version"], ["--version", "relay"]]
)
def test_version_option_prints_version_and_commit_but_no_command_has_it(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(arguments, {})
    printed = capsys.readouterr()
    if arguments[0] == "relay":  # --version is an option of the program, not of a command
        assert (status, printed.out) == (2, "")
        return
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert status == 0
    assert printed.out == f"entrenous {declared}, commit {this_program_version().commit}\n"


def test_environment_variable_does_not_print_the_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("ENTRENOUS_VERSION", "1")
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path))
    assert run(["learn"], {}) == 0
    assert "commit" not in capsys.readouterr().out
