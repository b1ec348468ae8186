"""Evidence from the command line: what a stamp was proven with, and what goes out with an item."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrenous.faces.cli.main import run
from tests.respond.room import stamp_authority

Ask = Callable[..., Any]
Stamped = Callable[[str], Path]


@pytest.fixture
def case(ask: Ask, tmp_path: Path) -> str:
    """A case that keeps a screenshot."""
    name = str(ask("case", "open", "--adults")["case"])
    shot = tmp_path / "screenshot.png"
    shot.write_bytes(b"\x89PNG\r\n\x1a\n as it was")
    ask("case", "add", name, str(shot), "--what", "the post")
    return name


def openssl(*arguments: str) -> str:
    done = subprocess.run(["openssl", *arguments], capture_output=True, check=False, text=True)
    return done.stdout + done.stderr


@pytest.mark.real
def test_verify_shows_what_each_stamp_was_proven_with_and_takes_the_authoritys_own(
    ask: Ask, case: str, stamp: Stamped, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ca = stamp(case)
    print_of_it = openssl("x509", "-in", str(ca), "-noout", "-fingerprint", "-sha256")
    kept = ask("evidence", "verify", case)
    (told,) = kept["stamped"]
    assert told["ca_sha256"] == [print_of_it.strip().partition("=")[2].replace(":", "").lower()]
    assert (kept["ca"], kept["stamps"], told["authority"]) == ("kept", 1, "http://stamps.test")
    assert ask("evidence", "verify", case, "--ca", str(ca))["ca"] == "given"
    stamp_authority(tmp_path / "another")
    another = str(tmp_path / "another" / "ca.pem")
    ask("evidence", "verify", case, "--ca", another, status=5)
    assert run(["evidence", "verify", case], {}) == 0
    said = capsys.readouterr().out
    assert print_of_it.strip().partition("=")[2] in said
    assert f"entrenous evidence verify {case} --ca FILE" in said
