"""Tests of ``entrenous mark``: names from a file, failures, interruptions, and memory use."""

import json
import signal
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import entrenous.send.commands.mark as mark_command
from entrenous.base.errors import DiskFull, EntrenousError
from entrenous.base.picture import UnwritableFolder
from entrenous.base.secret import Secret
from entrenous.cli import run
from entrenous.crypto.hashing import sha256
from entrenous.device.sent_messages import Message
from entrenous.device.store.ledger import VaultLedger
from entrenous.terminal.output_files import write_new
from entrenous.terminal.session import EXIT_INTERRUPTED, EXIT_YES
from tests.real.processes import Shell, wait_until
from tests.vaults import make_vaults_open_quickly, unlock_vault
from tests.village.world import photo as small_photo

pytestmark = pytest.mark.slow

PASSPHRASE = "four or five unrelated words"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    make_vaults_open_quickly(monkeypatch)
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", PASSPHRASE)
    assert run(["setup", "--name", "ana", "--offline"], {}) == EXIT_YES
    (tmp_path / "beach.jpg").write_bytes(small_photo(width_px=160))
    return Shell("ana", tmp_path / "home", PASSPHRASE)


def run_mark(folder: Path, *options: str) -> int:
    return run(["mark", str(folder / "beach.jpg"), "--out", str(folder / "out"), *options], {})


@pytest.fixture
def write_name_file(tmp_path: Path) -> Callable[[bytes], str]:
    def write(text: bytes) -> str:
        (tmp_path / "names.txt").write_bytes(text)
        return str(tmp_path / "names.txt")

    return write


def recorded_messages(home: Path) -> list[Message]:
    vault = unlock_vault(home, Secret(PASSPHRASE.encode()))
    try:
        return list(VaultLedger(vault).messages())
    finally:
        vault.close()


def test_mark_takes_names_from_options_and_a_file(
    shell: Shell,
    tmp_path: Path,
    write_name_file: Callable[[bytes], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    listed = write_name_file("\ufeffben\r\nRené\r\n\r\n".encode())
    capsys.readouterr()
    assert (
        run_mark(tmp_path, "--to", "caro", "--to", "ben", "--to-file", listed, "--json") == EXIT_YES
    )
    answer = json.loads(capsys.readouterr().out)
    assert [copy["to"] for copy in answer["copies"]] == ["caro", "ben", "René"]
    assert [Path(copy["path"]).name for copy in answer["copies"]] == [
        f"{answer['message']}-{number}.jpg" for number in (1, 2, 3)
    ]
    (message,) = recorded_messages(shell.home)
    assert [copy.sha256 for copy in message.pictures[0].copies] == [
        sha256(Path(copy["path"]).read_bytes()) for copy in answer["copies"]
    ]


@pytest.mark.usefixtures("shell")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "You named nobody"),
        (b"ben\nana\nben\n", "ben is on line 1 and again on line 3"),
        (b"\xff\xfeb\0e\0n\0", "UTF-8"),
        (b"ben\nx\x1b[2J\n", "line 2 is not a valid name"),
    ],
)
def test_invalid_name_file_marks_nothing(
    text: bytes,
    expected: str,
    tmp_path: Path,
    write_name_file: Callable[[bytes], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_mark(tmp_path, "--to-file", write_name_file(text)) in {3, 7}
    assert expected in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("shell")
def test_mark_without_names_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_mark(tmp_path) == 3
    assert "--to NAME" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        (DiskFull(), 6, "so only 2 of 4 copies were written"),
        (UnwritableFolder(path="out"), 3, "2 of 4 copies were written, and no more:"),
    ],
    ids=("full disk", "unwritable folder"),
)
def test_mark_failure_reports_and_records_only_written_copies(  # noqa: PLR0913, PLR0917
    error: EntrenousError,
    status: int,
    expected: str,
    shell: Shell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written_paths = list[Path]()

    def write(path: Path, data: bytes) -> None:
        if len(written_paths) == 2:
            raise error
        write_new(path, data)
        written_paths.append(path)

    monkeypatch.setattr(mark_command, "write_new", write)
    capsys.readouterr()
    people = [f"--to={name}" for name in ("ben", "caro", "dora", "eve")]
    assert run_mark(tmp_path, *people, "--json") == status
    out, err = capsys.readouterr()
    assert json.loads(out)["copies"] == [
        {"to": who, "path": str(path)}
        for who, path in zip(("ben", "caro"), written_paths, strict=True)
    ]
    assert expected in err
    assert "nothing was stored" not in err
    (message,) = recorded_messages(shell.home)
    assert [copy.to for copy in message.pictures[0].copies] == ["ben", "caro"]


def test_mark_failure_without_copies_records_nothing(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_bytes(b"a file")
    capsys.readouterr()
    assert run_mark(tmp_path, "--to", "ben", "--json") == 3
    assert capsys.readouterr().out == ""
    assert recorded_messages(shell.home) == []


@pytest.mark.real
def test_copies_written_before_an_interruption_can_be_traced(shell: Shell, tmp_path: Path) -> None:
    """After Ctrl-C, every file is complete and recorded, and another run succeeds."""
    (tmp_path / "many.txt").write_text("\n".join(f"person {number}" for number in range(5000)))
    out = tmp_path / "out"
    arguments = ("mark", str(tmp_path / "beach.jpg"), "--out", str(out))
    running = shell.start(*arguments, "--to-file", str(tmp_path / "many.txt"))
    assert wait_until(lambda: out.is_dir() and len(list(out.glob("*.jpg"))) > 20, 60)
    running.send_signal(signal.SIGINT)
    done = shell.wait(running)
    assert done.status == EXIT_INTERRUPTED
    files = {sha256(file.read_bytes()): file for file in out.glob("*.jpg")}
    (message,) = recorded_messages(shell.home)
    copies = message.pictures[0].copies
    assert 20 < len(files) < 5000
    assert set(files) <= {copy.sha256 for copy in copies}
    assert len(copies) - len(files) <= 1  # one may be recorded but not yet written
    output = done.out.decode()
    assert all(
        f"{files[copy.sha256]}  is for {copy.to}\n" in output
        for copy in copies
        if copy.sha256 in files
    )
    assert f"Stopped after {len(files)} of 5000 copies" in " ".join(done.err.decode().split())
    assert not list(out.glob(".entrenous-*"))
    shell.run(*arguments, "--to", "person 0")
    assert len(recorded_messages(shell.home)) == 2


@pytest.mark.usefixtures("shell")
def test_memory_does_not_grow_with_the_number_of_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the 8th copy to the 58th, memory grows by less than a quarter of all copies' size."""
    in_memory = list[int]()

    def write_and_measure(path: Path, data: bytes) -> None:
        in_memory.append(tracemalloc.get_traced_memory()[0])
        write_new(path, data)

    noise = np.random.default_rng(1).integers(0, 256, (400, 600, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "beach.jpg")  # copies of noise are large
    (tmp_path / "people.txt").write_text("\n".join(f"person {number}" for number in range(58)))
    monkeypatch.setattr(mark_command, "write_new", write_and_measure)
    tracemalloc.start()
    try:
        assert run_mark(tmp_path, "--to-file", str(tmp_path / "people.txt"), "--json") == EXIT_YES
    finally:
        tracemalloc.stop()
    copies = [file.stat().st_size for file in (tmp_path / "out").iterdir()]
    assert (len(copies), len(in_memory)) == (58, 58)
    assert in_memory[57] - in_memory[7] < sum(copies) / 4
