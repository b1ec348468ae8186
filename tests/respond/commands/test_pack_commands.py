"""Tests of ``evidence pack``, and of ``evidence check`` with and without a vault."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage
import pytest

from entrenous.cli import run

pytestmark = [pytest.mark.slow, pytest.mark.real]

Cli = Callable[..., Any]
StampCase = Callable[[str], Path]


@pytest.fixture
def case_name(cli: Cli, stamp: StampCase, tmp_path: Path) -> str:
    """Return the name of a stamped case with a letter."""
    name = str(cli("case", "open", "--adults", "--place", "US", "--intimate")["case"])
    shot = tmp_path / "screenshot.png"
    shot.write_bytes(b"\x89PNG\r\n\x1a\n as it was")
    cli("case", "add", name, str(shot), "--url", "https://pictures.example/p/1")
    stamp(name)
    cli("case", "notice", name, "--route", "us-tida-removal")
    return name


def test_court_checks_its_pack_with_its_own_key_and_without_a_vault(
    cli: Cli, case_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = pyrage.x25519.Identity.generate()
    (tmp_path / "key").write_text(str(key))
    to = ("--to", str(key.to_public()), "--out", str(tmp_path / "out"))
    made = cli("evidence", "pack", case_name, "--for", "court", *to)
    assert Path(made["file"]).name == f"{case_name}-for-court.zip.age"
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "another"))
    identity = ("--identity", str(tmp_path / "key"))
    checked = cli("evidence", "check", made["file"], *identity)
    assert (checked["holds"], checked["fingerprint"]) == (True, made["fingerprint"])
    assert [one["items"] for one in checked["stamps"]] == [[1]]
    ca = ("--ca", str(tmp_path / "tsa" / "ca.pem"))
    assert cli("evidence", "check", made["file"], *identity, *ca)["ca"] == "given"
    cli("evidence", "check", made["file"], status=3)
    sealed = Path(made["file"]).read_bytes()
    Path(made["file"]).write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    cli("evidence", "check", made["file"], *identity, status=7)


def test_check_of_a_platform_pack_fails_after_a_change(
    cli: Cli, case_name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = cli("evidence", "pack", case_name, "--for", "platform", "--out", str(tmp_path / "out"))
    file = Path(made["file"])
    assert not [name for name in made["files"] if name.startswith("items/")]
    assert run(["evidence", "check", str(file)], {}) == 0
    output = capsys.readouterr().out
    assert "Everything in this pack holds." in output
    assert made["fingerprint"] in output
    zipped = file.read_bytes()
    at = zipped.index(b"pictures.example")
    file.write_bytes(zipped[:at] + b"q" + zipped[at + 1 :])
    assert run(["evidence", "check", str(file)], {}) == 1
    assert "This pack does not hold." in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        ("--for", "court"),
        ("--for", "platform", "--to", "age1x"),
        ("--for", "court", "--to", "age1x", "--notice", "1"),
        ("--for", "friend"),
    ],
)
def test_invalid_missing_or_conflicting_options_are_usage_errors(
    cli: Cli, tmp_path: Path, options: tuple[str, ...]
) -> None:
    cli("evidence", "pack", "case-x", *options, "--out", str(tmp_path / "out"), status=2)
    assert not (tmp_path / "out").exists()


def test_long_text_without_a_key_is_refused_as_a_recipient(
    cli: Cli, case_name: str, tmp_path: Path
) -> None:
    to = ("--to", f"Key: ssh-ed25519 {'A' * 400}", "--out", str(tmp_path / "out"))
    cli("evidence", "pack", case_name, "--for", "court", *to, status=7)


def test_pack_is_recorded_in_the_chain_but_not_shown_with_the_case(
    cli: Cli, case_name: str, tmp_path: Path
) -> None:
    before = cli("evidence", "verify", case_name)["links"]
    cli("evidence", "pack", case_name, "--for", "platform", "--out", str(tmp_path / "out"))
    assert cli("evidence", "verify", case_name)["links"] == before + 1
    shown = json.dumps(cli("case", "show", case_name))
    assert "fingerprint" not in shown
