import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrenous.faces.cli.main import run

Ask = Callable[..., Any]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Give a command with --json to an offline device; its exit status must be as said."""
    monkeypatch.setenv("ENTRENOUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "four or five unrelated words")

    def command(*arguments: str, status: int = 0) -> Any:
        capsys.readouterr()
        assert run([*arguments, "--json"], {}) == status
        return json.loads(capsys.readouterr().out or "null")

    command("setup", "--name", "ana", "--offline")
    return command
