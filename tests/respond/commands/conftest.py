"""Fixtures that run a command on a vault, and stamp a case with openssl."""

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from entrenous.cli import run
from entrenous.respond.commands import evidence
from tests.respond.case_owner import create_stamp_authority
from tests.vaults import make_vaults_open_quickly

Cli = Callable[..., Any]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Set up a device, and return a function that runs a command and returns the printed JSON."""
    make_vaults_open_quickly(monkeypatch)
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "four or five unrelated words")

    def run_command(*arguments: str, status: int = 0) -> Any:
        capsys.readouterr()
        assert run([*arguments, "--json"], {}) == status
        return json.loads(capsys.readouterr().out or "null")

    run_command("setup", "--name", "ana", "--offline")
    return run_command


@pytest.fixture
def stamp(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Return a function that stamps a case with openssl and returns the CA file's path."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt install openssl")
    authority = create_stamp_authority(tmp_path / "tsa")
    monkeypatch.setattr(evidence, "open_timestamp_authority", lambda *_: nullcontext(authority))
    ca = tmp_path / "tsa" / "ca.pem"

    def stamp_case(case: str) -> Path:
        where = ("--authority", "http://stamps.test", "--ca", str(ca))
        cli("evidence", "stamp", case, *where)
        return ca

    return stamp_case
