"""Commands that need no look-up do not read, repair or create the files of the index."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from entrenous.cli import run
from tests.stop.index.index_banks import random_hashes

pytestmark = pytest.mark.slow

LISTED_HASH, NEW_HASH = (bits.hex() for bits in random_hashes(2, 4))
GateCli = Callable[..., tuple[int, str]]


@pytest.fixture
def gate_cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> GateCli:
    """Return a function that runs a command on a gate with one listed hash."""

    def run_gate_command(*arguments: str) -> tuple[int, str]:
        status = run(["gate", *arguments, "--data", str(tmp_path / "gate")], {})
        return status, capsys.readouterr().out

    listed = tmp_path / "list.csv"
    listed.write_text(LISTED_HASH)
    run_gate_command("bank", "import", str(listed), "--bank", "listed")
    return run_gate_command


@pytest.fixture
def damaged_base(gate_cli: GateCli, tmp_path: Path) -> Path:
    """Damage the index's file and return its path."""
    assert gate_cli("index", "lookup", LISTED_HASH)[0] == 0
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


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: " ".join(arguments[:2]))
def test_commands_without_lookup_do_not_read_a_damaged_index(
    gate_cli: GateCli, damaged_base: Path, arguments: tuple[str, ...]
) -> None:
    damaged, before = damaged_base.read_bytes(), damaged_base.stat()
    # The command cannot read the file now, unless it runs as root. If it repairs the file, the
    # comparisons below fail.
    damaged_base.chmod(0)
    assert gate_cli(*arguments)[0] == 0
    damaged_base.chmod(0o600)
    after = damaged_base.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert damaged_base.read_bytes() == damaged


def test_import_leaves_a_damaged_index_to_the_next_lookup(
    gate_cli: GateCli, damaged_base: Path, tmp_path: Path
) -> None:
    damaged = damaged_base.read_bytes()
    (tmp_path / "more.csv").write_text(NEW_HASH)
    assert gate_cli("bank", "import", str(tmp_path / "more.csv"), "--bank", "listed")[0] == 0
    assert damaged_base.read_bytes() == damaged
    said = json.loads(gate_cli("index", "lookup", LISTED_HASH, NEW_HASH, "--json")[1])
    assert [len(one["matches"]) for one in said["hashes"]] == [1, 1]
    assert json.loads(gate_cli("index", "status", "--json")[1])["file_was"] == "sound"


def test_commands_without_lookup_create_no_index(gate_cli: GateCli, tmp_path: Path) -> None:
    assert gate_cli("bank", "list")[0] == 0
    assert not (tmp_path / "gate" / "index").exists()
