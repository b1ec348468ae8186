"""Errors of ``entrenous gate drop`` itself: nothing is refused, so that no mail bounces.

The gate's answers are tested in tests/real/test_hooks_drop.py.
"""

import io
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from entrenous.cli import run

pytestmark = pytest.mark.slow

UNREACHABLE = "http://127.0.0.1:9"
MAIL = b"From: a@example.org\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff"
Drop = Callable[..., tuple[int, str, str]]


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "operator.token"
    path.write_text("operator-token")
    return path


@pytest.fixture
def drop(token: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Drop:
    """Return a function that runs the command; it returns exit status, output and hints."""
    monkeypatch.delenv("ENTRENOUS_GATE_TOKEN", raising=False)

    def call(
        *words: str, gate: str = UNREACHABLE, token_file: Path | None = token
    ) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(MAIL)))
        token_option = [] if token_file is None else ["--token-file", str(token_file)]
        status = run(["gate", "drop", *words, "--gate", gate, *token_option], {})
        output = capsys.readouterr()
        return status, output.out, " ".join(output.err.split())

    return call


def write_picture(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(b"\xff\xd8\xff")
    return path


def test_drop_with_a_wrong_setting_asks_to_retry(drop: Drop, tmp_path: Path) -> None:
    empty = tmp_path / "empty.token"
    empty.touch()
    for status, output, hint in (
        drop("--mail", token_file=tmp_path / "no.token"),
        drop("--mail", token_file=empty),
        drop("--mail", token_file=None),
        drop("--mail", gate="http://gate.example"),
    ):
        assert (status, output) == (6, "")
        assert hint.startswith("The setting ")


def test_drop_ignores_device_settings(
    drop: Drop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTRENOUS_PATIENCE", "long")
    assert drop(str(tmp_path / "nothing.jpg"))[0] == 4


def test_drop_exit_status_of_missing_file_and_usage_error(drop: Drop, tmp_path: Path) -> None:
    assert drop(str(tmp_path / "nothing.jpg"))[0] == 4
    assert drop("--mail", str(tmp_path / "nothing.jpg"))[0] == 2


def test_drop_checks_the_quarantine_first(drop: Drop, tmp_path: Path, token: Path) -> None:
    file = write_picture(tmp_path, "a.jpg")
    status, output, hint = drop(str(file), "--quarantine", str(token / "kept"))
    assert (status, output, file.exists()) == (6, "", True)
    assert "Nothing was changed" in hint


def test_drop_refuses_a_quarantine_on_another_file_system(drop: Drop, tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system here")
    file = write_picture(tmp_path, "a.jpg")
    with TemporaryDirectory(dir=memory) as kept:
        status, output, hint = drop(str(file), "--quarantine", kept)
        assert (status, output, file.exists()) == (6, "", True)
        assert "different file systems" in hint
        assert not list(Path(kept).iterdir())


@pytest.mark.real
def test_drop_reports_a_failed_move_and_continues(drop: Drop, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    first, second = write_picture(tmp_path, "a" * 251 + ".jpg"), write_picture(tmp_path, "b.jpg")
    write_picture(kept, first.name)  # a number added to its name would make the name too long
    status, output, hint = drop(str(first), str(second), "--quarantine", str(kept))
    assert status == 6
    assert output == "".join(f"{file}: hold  gate away\n" for file in (first, second))
    assert (first.exists(), second.exists()) == (True, False)
    assert "could not be moved" in hint
