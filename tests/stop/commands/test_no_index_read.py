"""Commands without a look-up do not touch the index's file, even a damaged one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from entrenous.cli import run
from tests.stop.index.index_banks import random_hashes

pytestmark = pytest.mark.slow

HASH, OTHER = (bits.hex() for bits in random_hashes(2, 4))
Typed = Callable[..., tuple[int, str]]


@pytest.fixture
def typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Return a function that runs a command on a gate with one listed hash."""

    def run_gate_command(*words: str) -> tuple[int, str]:
        status = run(["gate", *words, "--data", str(tmp_path / "gate")], {})
        return status, capsys.readouterr().out

    listed = tmp_path / "list.csv"
    listed.write_text(HASH)
    run_gate_command("bank", "import", str(listed), "--bank", "listed")
    return run_gate_command


@pytest.fixture
def base(typed: Typed, tmp_path: Path) -> Path:
    """Damage the index's file; return its path."""
    assert typed("index", "lookup", HASH)[0] == 0
    path = tmp_path / "gate" / "index" / "base"
    path.write_bytes(path.read_bytes()[:-1])
    return path


COMMANDS = [
    ("bank", "list"),
    ("bank", "policy", "listed", "--shadow"),
    ("partner", "add", "Other", "0b" * 32),
    ("partner", "list"),
    ("audit", "verify"),
    ("exchange", "partner", "add", "other", "--bank", "listed"),
    ("exchange", "list"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_commands_without_lookup_do_not_read_a_damaged_index(
    typed: Typed, base: Path, words: tuple[str, ...]
) -> None:
    damaged, before = base.read_bytes(), base.stat()
    base.chmod(0)  # root can still read it, so the asserts are about its content and times
    assert typed(*words)[0] == 0
    base.chmod(0o600)
    after = base.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert base.read_bytes() == damaged


def test_import_leaves_a_damaged_index_to_the_next_lookup(
    typed: Typed, base: Path, tmp_path: Path
) -> None:
    damaged = base.read_bytes()
    (tmp_path / "more.csv").write_text(OTHER)
    assert typed("bank", "import", str(tmp_path / "more.csv"), "--bank", "listed")[0] == 0
    assert base.read_bytes() == damaged
    said = json.loads(typed("index", "lookup", HASH, OTHER, "--json")[1])
    assert [len(one["matches"]) for one in said["hashes"]] == [1, 1]
    assert json.loads(typed("index", "status", "--json")[1])["file_was"] == "sound"


def test_commands_without_lookup_create_no_index(typed: Typed, tmp_path: Path) -> None:
    assert typed("bank", "list")[0] == 0
    assert not (tmp_path / "gate" / "index").exists()
