"""An answer that goes to a full disk: no fault of ours, and never "nothing was done"."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import entrenous.faces.cli.setup as setup_command
from entrenous.faces.cli.main import run
from entrenous.faces.cli.output import put_json, say
from entrenous.model.relay_problem import AnswerCut

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


@needs_full
@pytest.mark.parametrize("speak", [lambda: say("words"), lambda: put_json({"a": 1})])
def test_an_answer_without_room_is_named(
    speak: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FULL.open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(AnswerCut):
            speak()
        with Path(os.devnull).open("w") as nowhere:  # for what it still holds
            os.dup2(nowhere.fileno(), full.fileno())


@needs_full
@pytest.mark.real
@pytest.mark.parametrize("command", [("sent",), ("sent", "--json"), ("sent", "--help")])
def test_the_program_ends_as_with_any_full_disk(tmp_path: Path, command: tuple[str, ...]) -> None:
    own = {
        "ENTRENOUS_HOME": str(tmp_path / "ana"),
        "ENTRENOUS_PASSPHRASE": "four unrelated words x",
    }
    program = [sys.executable, "-m", "entrenous"]
    surroundings = {**os.environ, **own}
    made = [*program, "setup", "--offline", "--name", "ana"]
    subprocess.run(made, env=surroundings, check=True, capture_output=True)
    with FULL.open("w") as full:
        done = subprocess.run(
            [*program, *command],
            env=surroundings,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, "fault in Entrenous" in done.stderr) == (6, False)
    assert "disk" in done.stderr
    assert "Exception" not in done.stderr  # nor does the interpreter fail over it as it ends


@pytest.mark.parametrize(("code", "told"), [(28, "The disk is full"), (5, "reported an error")])
def test_a_disk_of_which_nothing_else_tells_is_no_fault_of_ours(
    code: int,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "four or five unrelated words")
    monkeypatch.setattr(setup_command, "set_up", fails)
    assert run(["setup", "--name", "ana", "--offline"], {}) == 6
    out, err = capsys.readouterr()
    assert (out, told in err, "fault" in err) == ("", True, False)
