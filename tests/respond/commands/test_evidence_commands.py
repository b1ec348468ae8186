"""Tests of ``evidence verify`` with stamps, and of ``evidence export``."""

import json
import subprocess
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from entrenous.cli import run
from entrenous.respond.commands import evidence
from entrenous.respond.evidence import NoAuthorityAnswered
from entrenous.respond.nouns import Stamp
from tests.respond.case_owner import create_stamp_authority

pytestmark = pytest.mark.slow

Cli = Callable[..., Any]
StampCase = Callable[[str], Path]


@pytest.fixture
def case_name(cli: Cli, tmp_path: Path) -> str:
    """Return the name of a case with a screenshot."""
    name = str(cli("case", "open", "--adults")["case"])
    shot = tmp_path / "screenshot.png"
    shot.write_bytes(b"\x89PNG\r\n\x1a\n as it was")
    cli("case", "add", name, str(shot), "--what", "the post")
    return name


def run_openssl(*arguments: str) -> str:
    done = subprocess.run(["openssl", *arguments], capture_output=True, check=False, text=True)
    return done.stdout + done.stderr


@pytest.mark.real
def test_verify_shows_the_ca_of_each_stamp_and_accepts_a_given_ca(
    cli: Cli, case_name: str, stamp: StampCase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ca = stamp(case_name)
    fingerprint = run_openssl("x509", "-in", str(ca), "-noout", "-fingerprint", "-sha256")
    verified = cli("evidence", "verify", case_name)
    (stamped,) = verified["stamped"]
    assert stamped["ca_sha256"] == [fingerprint.strip().partition("=")[2].replace(":", "").lower()]
    assert (verified["ca"], verified["stamps"], stamped["authority"]) == (
        "kept",
        1,
        "http://stamps.test",
    )
    assert cli("evidence", "verify", case_name, "--ca", str(ca))["ca"] == "given"
    create_stamp_authority(tmp_path / "another")
    another = str(tmp_path / "another" / "ca.pem")
    cli("evidence", "verify", case_name, "--ca", another, status=5)
    assert run(["evidence", "verify", case_name], {}) == 0
    output = capsys.readouterr().out
    assert fingerprint.strip().partition("=")[2] in output
    assert f"entrenous evidence verify {case_name} --ca FILE" in output


@pytest.mark.real
def test_verify_says_whether_the_root_is_in_the_systems_bundle(
    cli: Cli,
    case_name: str,
    stamp: StampCase,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ca = stamp(case_name)
    assert not cli("evidence", "verify", case_name)["stamped"][0]["in_bundle"]
    monkeypatch.setenv("ENTRENOUS_CA_BUNDLE", str(ca))
    assert cli("evidence", "verify", case_name)["stamped"][0]["in_bundle"]
    assert run(["evidence", "verify", case_name], {}) == 0
    assert "also in this system's bundle" in capsys.readouterr().out


def test_exported_item_equals_the_added_file_and_its_export_is_recorded(
    cli: Cli, case_name: str, tmp_path: Path
) -> None:
    before = cli("evidence", "verify", case_name)["links"]
    out = str(tmp_path / "out")
    exported = cli("evidence", "export", case_name, "1", "--out", out, "--purpose", "for the court")
    assert Path(exported["file"]).read_bytes() == (tmp_path / "screenshot.png").read_bytes()
    assert Path(exported["file"]).name == f"{case_name}-item-1.png"
    assert exported["beside"] == []
    assert cli("evidence", "verify", case_name)["links"] == before + 1
    cli("evidence", "export", case_name, "9", "--out", out, status=4)


@pytest.mark.real
def test_openssl_verifies_an_exported_item_after_its_case_was_erased(
    case_name: str, stamp: StampCase, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stamp(case_name)
    out = tmp_path / "out for the police"
    assert run(["evidence", "export", case_name, "1", "--out", str(out)], {}) == 0
    lines = capsys.readouterr().out.splitlines()
    assert run(["case", "erase", case_name, "--yes"], {}) == 0
    verify, hashed = (line.strip() for line in lines if " ts -verify " in line or "cat " in line)
    assert "Verification: OK" in run_in_shell(verify)
    commitment = run_in_shell(hashed).split()[0]
    manifest = json.loads((out / f"{case_name}-stamp-1.json").read_bytes())
    assert [line["salted_sha256"] for line in manifest["items"]] == [commitment]
    (out / f"{case_name}-item-1.png").write_bytes(b"something else")
    assert run_in_shell(hashed).split()[0] != commitment


@pytest.mark.real
def test_item_is_exported_with_exactly_the_stamps_over_it(
    cli: Cli, case_name: str, stamp: StampCase, tmp_path: Path
) -> None:
    stamp(case_name)
    cli("case", "add", case_name, "--statement", "seen on Monday")
    stamp(case_name)
    out = str(tmp_path / "out")
    names = {
        number: [Path(one).name.removeprefix(f"{case_name}-") for one in exported["beside"]]
        for number in (1, 2)
        for exported in [cli("evidence", "export", case_name, str(number), "--out", out)]
    }
    second = ["stamp-2.json", "stamp-2.tsr", "stamp-2.pem"]
    first = ["stamp-1.json", "stamp-1.tsr", "stamp-1.pem"]
    assert names == {1: ["item-1.salt", *first, *second], 2: ["item-2.salt", *second]}


@pytest.mark.real
def test_failed_export_leaves_no_file_and_no_custody_link(
    cli: Cli, case_name: str, stamp: StampCase, tmp_path: Path
) -> None:
    stamp(case_name)
    before = cli("evidence", "verify", case_name)["links"]
    for number, taken in enumerate(("item-1.png", "item-1.salt", "stamp-1.pem")):
        out = tmp_path / f"out {number}"
        out.mkdir()
        (out / f"{case_name}-{taken}").write_text("something else")
        cli("evidence", "export", case_name, "1", "--out", str(out), status=3)
        assert [one.name for one in out.iterdir()] == [f"{case_name}-{taken}"]
    assert cli("evidence", "verify", case_name)["links"] == before


def run_in_shell(line: str) -> str:
    """Run a command line in a shell, and return its output and errors."""
    done = subprocess.run(line, shell=True, capture_output=True, check=False, text=True)
    return done.stdout + done.stderr


def no_authority_answers(_: bytes) -> Stamp:
    raise NoAuthorityAnswered(why="the device is offline")


def stamp_now(manifest: bytes) -> Stamp:
    return Stamp(manifest, b"", datetime.now(UTC), "http://stamps.test", b"")


def set_known_authorities(monkeypatch: pytest.MonkeyPatch, ask: Callable[[bytes], Stamp]) -> None:
    monkeypatch.setattr(evidence, "open_known_authorities", lambda _: nullcontext(ask))


@pytest.fixture
def waiting_cases(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of three cases that wait for a stamp. The item of the first is damaged."""
    set_known_authorities(monkeypatch, no_authority_answers)
    names = []
    for number in range(3):
        name = str(cli("case", "open", "--adults")["case"])
        known = set((tmp_path / "home" / "files").glob("*"))
        cli("case", "add", name, "--statement", f"seen on day {number}")
        cli("evidence", "stamp", name, status=6)
        if not number:
            (sealed,) = set((tmp_path / "home" / "files").glob("*")) - known
            sealed.unlink()
        names.append(name)
    return names


def test_damaged_case_does_not_keep_other_cases_from_being_stamped(
    cli: Cli,
    waiting_cases: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged, *sound = waiting_cases
    set_known_authorities(monkeypatch, stamp_now)
    stamped = cli("evidence", "stamp", status=5)["stamped"]
    assert [one["case"] for one in stamped] == sound
    assert all(cli("case", "show", name)["stamp_wanted_at"] is None for name in sound)
    capsys.readouterr()
    assert run(["evidence", "stamp"], {}) == 5
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count(f"Item 1 of case {damaged}") == 1


def test_without_an_authority_the_other_cases_are_not_tried(
    waiting_cases: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[bytes] = []

    def count(manifest: bytes) -> Stamp:
        asked.append(manifest)
        return no_authority_answers(manifest)

    set_known_authorities(monkeypatch, count)
    assert run(["evidence", "stamp"], {}) == 5
    damaged, first, _ = waiting_cases
    errors = capsys.readouterr().err
    assert len(asked) == 1
    assert f"Item 1 of case {damaged}" in errors
    assert f"case {first} is noted as waiting" in errors


@pytest.mark.real
def test_case_waits_for_a_stamp_if_the_proxy_is_down(
    cli: Cli, case_name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENTRENOUS_PROXY", "socks5h://127.0.0.1:9")
    assert run(["evidence", "stamp", case_name], {}) == 6
    said = " ".join(capsys.readouterr().err.split())
    assert "No stamp was issued: the proxy did not answer." in said
    assert f"{case_name} is noted as waiting for a stamp" in said
    assert cli("case", "show", case_name)["stamp_wanted_at"]
    cli("evidence", "stamp", status=6)  # without a name, it is tried again
