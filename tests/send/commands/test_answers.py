"""Tests of text messages, replies, reactions, the undo window, usage errors and help texts."""

import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from entrenous.cli import run
from entrenous.send.commands.send import make_undo_wait
from entrenous.terminal.progress_bars import stage_bars
from tests.send.commands.test_letters import SEND_TO_BEN, CommandLine, cli

pytestmark = pytest.mark.slow

__all__ = ["cli"]


def test_text_message_gets_a_reply_and_a_reaction(cli: CommandLine) -> None:
    to_ben = ("--to", "ben", "--confirm", "ben", "--undo", "1")
    began = time.monotonic()
    first = cli.run_json("ana", "send", "--text", "At eight?", *to_ben)
    assert time.monotonic() - began > 1.0
    (received,) = cli.run_json("ben", "inbox")["messages"]
    assert cli.run_json("ben", "open", received["message"])["text"] == "At eight?"
    cli.run_json(
        *("ben", "send", "--text", "Yes.", "--reply", received["message"]), "--confirm", "ana"
    )
    answer = cli.run_json("ana", "inbox")["messages"][-1]
    assert answer["reply"] == first["message"]
    reacted = cli.run_json("ben", "react", received["message"], "\u2764\ufe0f")
    assert reacted == {
        "schema": "entrenous/react/1",
        "message": received["message"],
        "reaction": "\u2764\ufe0f",
        "to": ["ana"],
        "waits": [],
    }
    cli.run_json("ana", "inbox")
    (sent,) = cli.run_json("ana", "sent")["messages"]
    assert sent["reactions"] == [{"from": "ben", "reaction": "\u2764\ufe0f"}]
    assert "took your reaction" in cli.run("ben", "react", received["message"], "--none").out
    cli.run_json("ana", "inbox")
    (sent,) = cli.run_json("ana", "sent")["messages"]
    assert sent["reactions"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("send", "--to", "ben"),
        ("send", "beach.jpg"),
        ("send", "beach.jpg", "--to", "ben", "--text", "a", "--caption", "b"),
        ("send", "beach.jpg", "--in", "1-lunar-otter", "--reply", "1-lunar-otter"),
        ("react", "1-lunar-otter"),
        ("react", "1-lunar-otter", "!", "--none"),
    ],
)
def test_missing_or_contradictory_arguments_are_refused(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beach.jpg").write_bytes(b"not looked at")
    monkeypatch.chdir(tmp_path)
    assert run(list(arguments), {}) == 2


@pytest.mark.parametrize("command", ["send", "inbox", "open", "sent", "recall"])
def test_help_mentions_cryptography_and_the_program(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run([command, "--help"], {})
    help_text = " ".join(capsys.readouterr().out.split())
    assert "cryptography" in help_text
    assert "program" in help_text


def test_interrupting_the_undo_window_sends_nothing(cli: CommandLine) -> None:
    """Ctrl-C (SIGINT) arrives as soon as two files are queued."""

    def interrupt_when_queued() -> None:
        while not list(_queued_files(cli)):
            time.sleep(0.02)
        signal.raise_signal(signal.SIGINT)

    interrupter = threading.Thread(target=interrupt_when_queued, daemon=True)
    began = time.monotonic()
    interrupter.start()
    result = cli.run("ana", *SEND_TO_BEN, "--undo", "300")
    interrupter.join()
    assert time.monotonic() - began < 250
    assert result.status == 130
    assert cli.run_json("ana", "sent")["messages"] == []
    assert cli.run_json("ben", "inbox")["messages"] == []


def _queued_files(cli: CommandLine) -> list[str]:
    """Return the names of Ana's queued files, or an empty list while there are fewer than two."""
    files = list((cli.folder / "ana" / "files").glob("*.age"))
    return [file.name for file in files] if len(files) >= 2 else []


class _FakeTime:
    """A clock that only ``sleep`` advances; the first sleep adds ``step`` to the wall clock."""

    def __init__(self, step: timedelta = timedelta(0)) -> None:
        self.slept_s, self.wall_clock, self._step = 0.0, datetime(2026, 11, 25, tzinfo=UTC), step

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds
        self.wall_clock += timedelta(seconds=seconds) + self._step
        self._step = timedelta(0)

    def wait_until(self, until: datetime) -> bool:
        with stage_bars() as shown:
            wait = make_undo_wait(
                shown, lambda: self.wall_clock, lambda: None, self.sleep, lambda: self.slept_s
            )
            return wait(until)


def test_undo_window_ends_on_time() -> None:
    fake_time = _FakeTime()
    until = fake_time.wall_clock + timedelta(seconds=2.05)
    for _ in range(2):
        assert fake_time.wait_until(until)
        assert fake_time.wall_clock >= until
        assert fake_time.slept_s == pytest.approx(2.05)


@pytest.mark.parametrize("hours", [-24, 24])
def test_undo_window_ignores_clock_changes(hours: int) -> None:
    fake_time = _FakeTime(timedelta(hours=hours))
    assert fake_time.wait_until(fake_time.wall_clock + timedelta(seconds=10))
    assert fake_time.slept_s == pytest.approx(10)


def test_undo_window_is_at_most_an_hour() -> None:
    """If the clock is set back after sealing, the window seems to end far in the future."""
    fake_time = _FakeTime()
    assert fake_time.wait_until(fake_time.wall_clock + timedelta(days=365))
    assert fake_time.slept_s == pytest.approx(3600)
