"""The operator's alert program: its arguments and its failures."""

from pathlib import Path

import pytest

from entrenous.stop.nouns import Alert, AlertKind, AlertProgramFailed
from entrenous.stop.review import run_alert_program

pytestmark = pytest.mark.real
FLOOD_ALERT = Alert(AlertKind.FLOOD, 3, reported_floods=2)


def write_script(folder: Path, commands: str) -> str:
    path = folder / "script"
    path.write_text(f"#!/bin/sh\n{commands}\n")
    path.chmod(0o700)
    return str(path)


def test_alert_program_gets_its_arguments_and_the_kind_and_count(tmp_path: Path) -> None:
    script = write_script(tmp_path, f"printf '%s|' \"$@\" > {tmp_path}/got; cat >> {tmp_path}/got")
    odd_argument = f"two words; $(touch {tmp_path}/x) *"
    run_alert_program([script, "--urgent", odd_argument], FLOOD_ALERT)
    # The script's ``cat`` adds nothing, because the standard input is empty.
    assert (tmp_path / "got").read_text() == f"--urgent|{odd_argument}|flood|3|"
    run_alert_program([script], Alert(AlertKind.WAITING, 1200))
    assert (tmp_path / "got").read_text() == "reviews-waiting|1200|"
    assert {path.name for path in tmp_path.iterdir()} == {"script", "got"}


@pytest.mark.parametrize(
    ("commands", "reason"),
    [("exit 3", "reported that it failed"), ("kill -9 $$", "reported that it failed"),
     ("exec sleep 60", "takes longer than 0.2 seconds")],
)  # fmt: skip
def test_failed_alert_program_is_reported_without_its_output(
    tmp_path: Path, commands: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    script = write_script(tmp_path, f"echo hunter2; echo hunter2 >&2; {commands}")
    with pytest.raises(AlertProgramFailed, match=rf'\(about "flood"\) {reason}') as caught:
        run_alert_program(
            [script, "hunter2"], FLOOD_ALERT, wait_s=0.2 if "longer" in reason else 30
        )
    assert "hunter2" not in str(caught.value) + "".join(capfd.readouterr())


def test_alert_program_that_cannot_be_started_raises(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, Path(__file__)):
        with pytest.raises(AlertProgramFailed, match="cannot be started"):
            run_alert_program([str(path)], FLOOD_ALERT)
