"""On a terminal, one display shows the progress of preparing and marking a clip, then the undo hint
together with the progress of sealing.
"""

import os
import pty
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.clips import encode_clip, hand_held_frames
from tests.ready import start_program
from tests.real.processes import PROGRAM, Server, Shell

pytestmark = pytest.mark.real

CLIP_SECONDS, FRAMES_PER_SECOND = 3.0, 8
UNDO_S = 2
UNDO_HINT = "Undo: Ctrl-C"
# To redraw itself, a display first erases its lines, from the last one upwards.
REDRAW_START = re.compile(r"\r\x1b\[2K(?:\x1b\[1A\x1b\[2K)*")
CONTROL_CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
PROGRESS_IN_BYTES = re.compile(r"([\d.]+)/([\d.]+) (?:kB|MB|bytes)")


@pytest.fixture
def ana(tmp_path: Path) -> Iterator[Shell]:
    """Set up Ana and Ben at a running relay, and make Ben a contact of Ana."""
    relay = Server(tmp_path / "relay", ("relay", "run"))
    relay.start()
    ana, ben = Shell("ana", tmp_path / "ana"), Shell("ben", tmp_path / "ben")
    for one in (ana, ben):
        one.run("setup", "--name", one.name, "--relay", relay.url, "--json")
    link = str(ben.run("invite", "--json").answer["link"])
    ana.run("person", "add", link, "--as", "ben", "--json")
    yield ana
    relay.stop()


def run_on_terminal(ana: Shell, *arguments: str) -> str:
    """Run a command in a terminal of 100 columns, and return everything that it printed."""
    ours, theirs = pty.openpty()
    ana.temporary_folder.mkdir(exist_ok=True)
    environment = {
        **{name: text for name, text in os.environ.items() if name != "NO_COLOR"},
        "TMPDIR": str(ana.temporary_folder),
        "TERM": "xterm",
        "COLUMNS": "100",
        "LINES": "40",
        "ENTRENOUS_HOME": str(ana.home),
        "ENTRENOUS_PASSPHRASE": ana.passphrase,
    }
    with start_program(
        (*PROGRAM, *arguments), env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as program:
        os.close(theirs)
        output = b"".join(read_terminal(ours))
        os.close(ours)
        assert program.wait(60) == 0, output.decode()
    return output.decode()


def read_terminal(terminal: int) -> Iterator[bytes]:
    with suppress(OSError):  # Linux's answer when the last program has closed the terminal
        while part := os.read(terminal, 65_536):
            yield part


def split_into_redraws(output: str) -> list[list[str]]:
    """Return the lines of each drawing of the display, in order."""
    plain_redraws = (CONTROL_CODES.sub("", one) for one in REDRAW_START.split(output))
    return [[line.strip() for line in one.splitlines() if line.strip()] for one in plain_redraws]


def bar_shares(redrawn: list[list[str]], label: str) -> list[float]:
    """Return how full the bar with this label is, from 0 to 1, in each drawing that has the bar."""
    lines = [line for one in redrawn for line in one if line.startswith(label)]
    found = [PROGRESS_IN_BYTES.search(line) for line in lines]
    return [float(one[1]) / float(one[2]) for one in found if one is not None]


def test_every_long_step_shows_progress_and_the_undo_hint_stays(ana: Shell, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(
        encode_clip(
            hand_held_frames(size=(640, 360), seconds=CLIP_SECONDS, fps=FRAMES_PER_SECOND),
            fps=FRAMES_PER_SECOND,
        )
    )
    send = ("send", str(clip), "--to", "ben", "--confirm", "ben", "--undo", str(UNDO_S))
    redrawn = split_into_redraws(run_on_terminal(ana, *send))
    for label in ("Preparing", "Marking"):
        seen = bar_shares(redrawn, label)
        assert seen == sorted(seen), label
        assert seen[0] < 0.5, label
        assert any(0.0 < one < 1.0 for one in seen), (
            label,
            seen,
        )  # at least one drawing shows a bar that is partly full
        assert seen[-1] == 1.0, label
    window = [at for at, one in enumerate(redrawn) if any(UNDO_HINT in line for line in one)]
    assert len(window) > UNDO_S * 5
    for one in redrawn[window[0] : window[-1] + 1]:
        assert any(UNDO_HINT in line for line in one), "another display has erased it"
        assert any(line.startswith("Sealing") for line in one)
