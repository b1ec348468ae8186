"""Commands on a folder without a gate fail and create nothing, but an import makes a gate."""

from pathlib import Path

import pytest

from entrenous.cli import run
from tests.stop.index.index_banks import random_hashes

(HASH,) = (bits.hex() for bits in random_hashes(1, 4))
COMMANDS = [
    ("status",),
    ("bank", "list"),
    ("bank", "policy", "people", "--shadow"),
    ("audit", "verify"),
    ("index", "lookup", HASH),
    ("index", "status"),
    ("index", "rebuild"),
    ("partner", "list"),
    ("partner", "add", "Other", "0b" * 32),
    ("exchange", "list"),
    ("exchange", "fetch"),
    ("exchange", "partner", "add", "other"),
    ("slow-look",),
    ("try", __file__),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: " ".join(arguments[:2]))
@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_commands_refuse_a_folder_without_a_gate(
    tmp_path: Path, arguments: tuple[str, ...], folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    data = tmp_path / folder
    assert run(["gate", *arguments, "--data", str(data)], {}) == 4
    said = capsys.readouterr()
    assert said.err.startswith(f"There is no gate in {data}")
    assert said.out == ""
    assert list(tmp_path.rglob("*")) == [tmp_path / "empty"]


def test_folder_with_only_a_settings_file_is_a_gate(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").touch()
    assert run(["gate", "bank", "list", "--data", str(tmp_path)], {}) == 0


def test_import_creates_a_gate_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, data = tmp_path / "list.txt", tmp_path / "gate"
    file.write_text(HASH)
    arguments = ["gate", "bank", "import", str(file), "--bank", "mine", "--data", str(data)]
    assert run(arguments, {}) == 0
    assert capsys.readouterr().out.startswith(f"There was no gate in {data}, so one was made.\n")
    assert run(arguments, {}) == 0
    assert "no gate" not in capsys.readouterr().out
