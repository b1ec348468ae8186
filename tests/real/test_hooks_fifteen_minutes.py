"""The steps of "From nothing" in docs/gate.md work if they are typed in order into one real shell.

The recorded session, tests/transcripts/gate/shadow_mode.txt, has to contain these commands, and the
log line that the page shows. The commands have to print the recorded output, in which the test
replaces paths and ports. No packages are installed: .venv exists before `make` runs.
"""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.connectors.running_gates import her_picture
from tests.transcripts.terminal import OutputMatcher, Step, matcher_with_words, parse_steps

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
GATE_PAGE = ROOT / "docs/gate.md"
RECORDED_SESSION = ROOT / "tests/transcripts/gate/shadow_mode.txt"
RANDOM_VALUE = re.compile(r"\b[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}\b|(?<=\"secret\": \")[\w-]+")
BACKGROUND_SUFFIX = re.compile(r"( 2?> \S+)?( 2>&1)? &$")
END_OF_OUTPUT = "-- typed"
SITE_SOURCE = """LOG
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route


async def upload(request):
    async with request.form() as form:
        return PlainTextResponse(f"thank you for {form['file'].filename}\\n")


app = Starlette(routes=[Route("/upload", upload, methods=["POST"])])
HOOK"""


def code_blocks(section: str, language: str = "") -> list[str]:
    """Return the code blocks in this language below a heading of the page."""
    section_text = GATE_PAGE.read_text().partition(f"\n## {section}")[2].partition("\n## ")[0]
    blocks = [block.partition("\n") for block in section_text.split("```")[1::2]]
    return [code for kind, _, code in blocks if kind == language]


def recorded_steps() -> list[Step]:
    """Return the recorded steps, without the file's head and without the lines of step numbers."""
    typed = RECORDED_SESSION.read_text().partition("\n# 1\n")[2].splitlines()
    return parse_steps(line for line in typed if not line.startswith("# "))


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


@dataclass(frozen=True)
class Shell:
    """A running shell, into which lines are typed."""

    process: "subprocess.Popen[str]"

    def run_line(self, line: str) -> list[str]:
        keyboard, screen = self.process.stdin, self.process.stdout
        assert keyboard is not None
        assert screen is not None
        keyboard.write(f"{line}\necho; echo {END_OF_OUTPUT}\n")
        keyboard.flush()
        printed: list[str] = []
        while (output_line := screen.readline()) and output_line.strip() != END_OF_OUTPUT:
            printed.append(output_line.rstrip("\n"))
        while printed and not printed[-1]:
            printed.pop()
        return printed


@contextmanager
def run_shell(folder: Path) -> Iterator[Shell]:
    environment = {name: text for name, text in os.environ.items() if "ENTRENOUS" not in name}
    with subprocess.Popen(
        ["bash", "--noprofile", "--norc"],
        cwd=folder,
        env=environment | {"PATH": "/usr/bin:/bin", "NO_COLOR": "1", "COLUMNS": "100"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        started_shell = Shell(process)
        try:
            yield started_shell
        finally:
            started_shell.run_line("kill $(jobs -p); wait")
            process.terminate()


def create_environment(clone: Path) -> None:
    """Create an environment in the clone, newer than the sources, so that `make` has no work."""
    programs = clone / ".venv/bin"
    programs.mkdir(parents=True)
    for name in ("entrenous", "uvicorn"):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {name} "$@"\n')
        (programs / name).chmod(0o755)
    for name in (".uv", ".run"):
        (clone / ".venv" / name).touch()


def wait_for_port(line: str) -> None:
    """Wait until the server on the port in ``line`` accepts connections."""
    port = int(re.findall(r"(?:127\.0\.0\.1:|--port )(\d+)", line)[-1])
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, line
        time.sleep(0.05)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="step 1 clones: needs the repository")
def test_steps_to_shadow_mode_print_what_is_recorded(tmp_path: Path) -> None:
    matcher = prepare_files(tmp_path)
    with run_shell(tmp_path) as running_shell:
        for step in recorded_steps():
            line = matcher.substitute_words(step.command_line)
            printed = "\n".join(mask_random_values(one) for one in running_shell.run_line(line))
            if line.startswith("git clone"):
                create_environment(tmp_path / "entrenous")
            elif line.startswith("make"):
                assert "up to date" in printed
            elif line.endswith("&"):
                wait_for_port(line)
            elif not line.startswith("kill"):
                expected = [mask_random_values(one) for one in step.output]
                assert matcher.differences(expected, printed) == "", step.command_line


def prepare_files(folder: Path) -> OutputMatcher:
    """Create the files that the session needs. Return a matcher that replaces the addresses and
    paths of the session.
    """
    (folder / "test.jpg").write_bytes(her_picture())
    (folder / "site").mkdir()
    matcher = matcher_with_words(
        {
            "SOURCE": str(ROOT),
            "/opt/entrenous": str(folder / "entrenous"),
            "/var/lib/entrenous-gate": str(folder / "data"),
            "/etc/site": str(folder / "site"),
            ":7802": f":{free_port()}",
            " 8000": f" {(site := free_port())}",
            ":8000": f":{site}",
        }
    )
    log, hook = code_blocks("From nothing", "python")[0], code_blocks("WSGI", "python")[0]
    (folder / "shop.py").write_text(
        matcher.substitute_words(SITE_SOURCE.replace("LOG", log).replace("HOOK", hook))
    )
    return matcher


def mask_random_values(line: str) -> str:
    """Replace case numbers and secrets, which are random in each run, by a fixed word."""
    return RANDOM_VALUE.sub("DRAWN", line)


def test_recorded_session_has_the_commands_and_step_numbers_of_the_page() -> None:
    typed = [BACKGROUND_SUFFIX.sub("", step.command_line) for step in recorded_steps()]
    blocks = [block for block in code_blocks("From nothing") if not block.startswith("INFO ")]
    commands = [line for block in blocks for line in block.splitlines()]
    assert [line for line in typed if line in commands] == commands
    assert len(commands) >= 8
    page = GATE_PAGE.read_text().partition("## From nothing")[2].partition("\n## ")[0]
    numbers = re.findall(r"\*\*(\d)\. ", page)
    assert re.findall(r"^# (\d)$", RECORDED_SESSION.read_text(), re.MULTILINE) == numbers


def test_log_line_on_the_page_is_in_the_recorded_session() -> None:
    shown = re.search(r"```\n(INFO entrenous\.hooks .*)\n```", GATE_PAGE.read_text())
    assert shown is not None
    assert mask_random_values(shown[1]) in map(
        mask_random_values, RECORDED_SESSION.read_text().splitlines()
    )
