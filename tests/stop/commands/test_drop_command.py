"""``gate drop``: wrong settings or arguments, missing files, unusable quarantines, failed moves.

The gate's answers are tested in tests/real/test_hooks_drop.py.
"""

import io
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from entrenous.cli import run

pytestmark = pytest.mark.slow

UNREACHABLE_URL = "http://127.0.0.1:9"
MAIL = b"From: a@example.org\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff"
RunDrop = Callable[..., tuple[int, str, str]]


@pytest.fixture
def token_path(tmp_path: Path) -> Path:
    path = tmp_path / "operator.token"
    path.write_text("operator-token")
    return path


@pytest.fixture
def run_drop(
    token_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> RunDrop:
    """Return a function that runs the command and returns the status, output and error output."""
    monkeypatch.delenv("ENTRENOUS_GATE_TOKEN", raising=False)

    def run_drop_command(
        *arguments: str, gate: str = UNREACHABLE_URL, token_file: Path | None = token_path
    ) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(MAIL)))
        token_option = [] if token_file is None else ["--token-file", str(token_file)]
        status = run(["gate", "drop", *arguments, "--gate", gate, *token_option], {})
        output = capsys.readouterr()
        return status, output.out, " ".join(output.err.split())

    return run_drop_command


def write_picture(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(b"\xff\xd8\xff")
    return path


def test_drop_with_a_wrong_or_missing_setting_exits_with_6(
    run_drop: RunDrop, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.token"
    empty.touch()
    for status, output, hint in (
        run_drop("--mail", token_file=tmp_path / "no.token"),
        run_drop("--mail", token_file=empty),
        run_drop("--mail", token_file=None),
        run_drop("--mail", gate="http://gate.example"),
    ):
        assert (status, output) == (6, "")
        assert hint.startswith("The setting ")


def test_drop_ignores_device_settings(
    run_drop: RunDrop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRENOUS_PATIENCE", "long")
    assert run_drop(str(tmp_path / "nothing.jpg"))[0] == 4


def test_drop_exits_with_4_for_a_missing_file_and_with_2_for_wrong_usage(
    run_drop: RunDrop, tmp_path: Path
) -> None:
    assert run_drop(str(tmp_path / "nothing.jpg"))[0] == 4
    assert run_drop("--mail", str(tmp_path / "nothing.jpg"))[0] == 2


def test_drop_with_an_unusable_quarantine_changes_nothing(
    run_drop: RunDrop, tmp_path: Path, token_path: Path
) -> None:
    file = write_picture(tmp_path, "a.jpg")
    status, output, hint = run_drop(str(file), "--quarantine", str(token_path / "kept"))
    assert (status, output, file.exists()) == (6, "", True)
    assert "Nothing was stored there" in hint


def test_drop_refuses_a_quarantine_on_another_file_system(
    run_drop: RunDrop, tmp_path: Path
) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    file = write_picture(tmp_path, "a.jpg")
    with TemporaryDirectory(dir=memory) as kept:
        status, output, hint = run_drop(str(file), "--quarantine", kept)
        assert (status, output, file.exists()) == (6, "", True)
        assert "different file systems" in hint
        assert not list(Path(kept).iterdir())


@pytest.mark.real
def test_drop_reports_a_failed_move_and_continues(run_drop: RunDrop, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    first, second = write_picture(tmp_path, "a" * 251 + ".jpg"), write_picture(tmp_path, "b.jpg")
    # The quarantine already contains a file with the first file's name. If a number is added to
    # this name, the name is too long.
    write_picture(kept, first.name)
    status, output, hint = run_drop(str(first), str(second), "--quarantine", str(kept))
    assert status == 6
    assert output == "".join(f"{file}: hold  gate away\n" for file in (first, second))
    assert (first.exists(), second.exists()) == (True, False)
    assert "could not be moved" in hint
