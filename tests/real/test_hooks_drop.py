"""Tests of ``gate proxy``, and of ``gate drop``, which mail servers and file drops call."""

import base64
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from entrenous.cli import run
from tests.connectors.running_gates import (
    her_picture,
    her_picture_mirrored,
    other_picture,
    running_gate,
    waiting_picture,
)
from tests.ready import start_program

pytestmark = pytest.mark.real

LOG_LINE_PATTERN = (
    r"INFO entrenous\.hooks upload decision=refuse why=gate"
    r" case=[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4} would=- shadow=False"
)


@pytest.fixture(scope="module")
def gate_url_and_token_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    with running_gate(tmp_path_factory.mktemp("gate"), "--no-slow-look") as one:
        yield one


@dataclass(frozen=True)
class DropResult:
    status: int
    output: str


RunDrop = Callable[..., DropResult]


@pytest.fixture
def run_drop(
    gate_url_and_token_file: tuple[str, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> RunDrop:
    """Return a function that runs ``gate drop`` in this process."""

    def run_gate_drop(
        *words: str, stdin: bytes = b"", url: str = gate_url_and_token_file[0]
    ) -> DropResult:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        where = ["--gate", url, "--token-file", str(gate_url_and_token_file[1])]
        status = run(["gate", "drop", *where, *words], {})
        return DropResult(status, capsys.readouterr().out)

    return run_gate_drop


def write_files(folder: Path, **files: bytes) -> list[str]:
    for name, data in files.items():
        (folder / f"{name}.jpg").write_bytes(data)
    return [str(folder / f"{name}.jpg") for name in files]


def test_stopped_and_held_files_move_to_quarantine(run_drop: RunDrop, tmp_path: Path) -> None:
    fine, stopped, held = write_files(
        tmp_path, fine=other_picture(), stopped=her_picture(), held=waiting_picture()
    )
    assert run_drop(fine).status == 0
    done = run_drop(fine, stopped, held, "--quarantine", str(tmp_path / "kept"))
    assert done.status == 3
    first, second, third = done.output.splitlines()
    assert first.startswith(f"{fine}: let through  gate  case ")
    assert second.startswith(f"{stopped}: refuse  gate  case ")
    assert third.startswith(f"{held}: hold  gate  case ")
    assert [Path(file).exists() for file in (fine, stopped, held)] == [True, False, False]
    assert (tmp_path / "kept/stopped.jpg").read_bytes() == her_picture()
    write_files(tmp_path, stopped=her_picture_mirrored())
    assert run_drop(stopped, "--quarantine", str(tmp_path / "kept")).status == 3
    assert (tmp_path / "kept/stopped.jpg").read_bytes() == her_picture()  # not overwritten
    assert (tmp_path / "kept/stopped-2.jpg").read_bytes() == her_picture_mirrored()


def test_exit_status_for_each_outcome(run_drop: RunDrop, tmp_path: Path) -> None:
    (held,) = write_files(tmp_path, held=waiting_picture())
    assert run_drop(held).status == 6
    away = run_drop(held, "--json", url="http://127.0.0.1:9")
    assert away.status == 6
    assert json.loads(away.output)["uploads"] == [
        {"name": held, "decision": "hold", "why": "gate away", "case": ""}
        | {"would": None, "shadow": False}
    ]
    assert run_drop(str(tmp_path / "nothing.jpg")).status == 4
    shadow = run_drop(held, "--shadow", "--quarantine", str(tmp_path / "kept"))
    assert (shadow.status, Path(held).exists()) == (0, True)
    assert run_drop().status == 2


def test_attachments_of_a_mail_are_checked(run_drop: RunDrop) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.org", "b@example.org", "Hello"
    mail.set_content("words")
    assert run_drop("--mail", stdin=mail.as_bytes()).status == 0
    mail.add_attachment(other_picture(), maintype="image", subtype="jpeg", filename="a.jpg")
    assert run_drop("--mail", stdin=mail.as_bytes()).status == 0
    mail.add_attachment(her_picture(), maintype="application", subtype="octet-stream")
    done = run_drop("--mail", stdin=mail.as_bytes())
    assert done.status == 3
    assert [line.split()[2] for line in done.output.splitlines()] == ["let", "refuse"]
    assert run_drop("--mail", stdin=b"\0no mail").status == 6


def test_malformed_mail_that_programs_would_repair_is_held(run_drop: RunDrop) -> None:
    head = b"From: a@example.org\r\nContent-Type: image/jpeg; name=a.jpg\r\n"
    coded = base64.encodebytes(her_picture())
    for coding in (
        b"base64;",
        b"base64 (x)",
        b'"base64"',
        b"7bit\r\nContent-Transfer-Encoding: base64",
    ):
        mail = head + b"Content-Transfer-Encoding: " + coding + b"\r\n\r\n" + coded
        done = run_drop("--mail", stdin=mail)
        assert (done.status, done.output) == (6, "part 1: hold  not readable\n")
    done = run_drop("--mail", stdin=head + b"Content-Transfer-Encoding: 7bit\r\n\r\n" + coded)
    assert (done.status, done.output) == (6, "part 1: hold  not a picture\n")


def test_mail_is_read_from_a_pipe(gate_url_and_token_file: tuple[str, Path]) -> None:
    """Mail servers pass a mail to the command through a pipe."""
    mail = b"From: a@example.org\r\nContent-Type: image/jpeg\r\nContent-Transfer-Encoding: base64"
    mail += b"\r\n\r\n" + base64.encodebytes(her_picture_mirrored())
    where = ["--gate", gate_url_and_token_file[0], "--token-file", str(gate_url_and_token_file[1])]
    program = [sys.executable, "-m", "entrenous", "gate", "drop", "--mail", *where]
    with start_program(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.communicate(mail)
    assert process.returncode == 3


def test_proxy_forwards_refuses_and_logs_the_refusal(
    gate_url_and_token_file: tuple[str, Path], tmp_path: Path
) -> None:
    """The gate itself is the server behind the proxy. The log line is as in docs/gate.md."""
    where = [
        "--gate",
        gate_url_and_token_file[0],
        "--upstream",
        gate_url_and_token_file[0],
        "--listen",
        "127.0.0.1:0",
    ]
    program = [sys.executable, "-m", "entrenous", "gate", "proxy", *where, "--json"]
    environment = os.environ | {"ENTRENOUS_GATE_TOKEN": gate_url_and_token_file[1].read_text()}
    log_file = tmp_path / "log"
    with (
        log_file.open("wb") as log,
        start_program(
            program, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        ) as process,
    ):
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            assert httpx.get(f"{url}/v1/status").json()["state"] == "serving"
            refused = httpx.post(f"{url}/v1/uploads", files={"file": her_picture()}, timeout=60)
            assert refused.json()["title"] == "Stopped upload"
        finally:
            process.terminate()
            assert process.wait(60) == 0
    (line,) = log_file.read_text().splitlines()
    assert re.fullmatch(LOG_LINE_PATTERN, line)
