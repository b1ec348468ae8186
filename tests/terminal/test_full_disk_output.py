"""Tests that a full disk, a read-only disk and a disk error are reported, but not as bugs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import entrenous.send.commands.setup as setup_command
from entrenous.base.errors import IncompleteOutput
from entrenous.cli import run
from entrenous.terminal.output import print_json, print_line
from tests.real.small_disk import SmallDisk, mount_small_disk
from tests.village.world import photo

pytestmark = pytest.mark.slow

FULL_DEVICE = Path("/dev/full")
needs_full_device = pytest.mark.skipif(
    not FULL_DEVICE.exists(), reason="this machine has no /dev/full"
)


@needs_full_device
@pytest.mark.parametrize(
    "print_answer", [lambda: print_line("words"), lambda: print_json({"a": 1})]
)
def test_printing_to_a_full_disk_raises_incomplete_output(
    print_answer: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FULL_DEVICE.open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(IncompleteOutput):
            print_answer()
        # The refused output is still in the buffer of ``full``. Closing ``full`` writes this output
        # again, but now to /dev/null, which is never full.
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), full.fileno())


@needs_full_device
@pytest.mark.real
def test_program_exits_with_the_full_disk_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "ana"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "four unrelated words x")
    assert run(["setup", "--offline", "--name", "ana"], {}) == 0
    for command in (("sent",), ("sent", "--json"), ("sent", "--help")):
        with FULL_DEVICE.open("w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "entrenous", *command],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert (done.returncode, "fault in Entrenous" in done.stderr) == (6, False)
        assert "disk" in done.stderr
        assert "Exception" not in done.stderr  # The interpreter prints no error at exit.


@pytest.mark.real
def test_full_disk_under_the_vault_is_reported_and_reading_works(
    tmp_path: Path,
) -> None:
    passphrase = {"ENTRENOUS_PASSPHRASE": "four unrelated words x"}

    def run_on(disk: SmallDisk, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **passphrase, "ENTRENOUS_HOME": str(disk.folder / "ana")}
        full_command = [*disk.command_prefix, *command]
        return subprocess.run(
            full_command, env=environment, capture_output=True, text=True, check=False
        )

    program = (sys.executable, "-m", "entrenous")
    (tmp_path / "beach.jpg").write_bytes(photo(width_px=160))
    mark = ("mark", str(tmp_path / "beach.jpg"), "--out", str(tmp_path / "out"), "--to")
    with mount_small_disk(tmp_path / "small", 1) as disk:
        for command in (("setup", "--offline", "--name", "ana"), (*mark, "ben")):
            assert run_on(disk, *program, *command).returncode == 0
        run_on(disk, "sh", "-c", 'head -c 2m /dev/zero > "$1"', "sh", str(disk.folder / "fill"))
        read, written = run_on(disk, *program, "sent"), run_on(disk, *program, *mark, "caro")
        assert (read.returncode, "ben" in read.stdout) == (0, True)
        assert (written.returncode, "The disk is full" in written.stderr) == (6, True)
        run_on(disk, "mount", "-o", "remount,ro", str(disk.folder))
        read_only = run_on(disk, *program, "sent")
        assert (read_only.returncode, "is read-only" in read_only.stderr) == (6, True)


@pytest.mark.parametrize(
    ("error_number", "message"), [(28, "The disk is full"), (5, "reported an error")]
)
def test_unhandled_disk_error_is_not_reported_as_a_bug(
    error_number: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def raise_os_error(*_: object) -> None:
        raise OSError(error_number, os.strerror(error_number))

    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "four or five unrelated words")
    monkeypatch.setattr(setup_command, "set_up", raise_os_error)
    assert run(["setup", "--name", "ana", "--offline"], {}) == 6
    out, err = capsys.readouterr()
    assert (out, message in err, "fault" in err) == ("", True, False)
