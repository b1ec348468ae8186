"""Opening a file that is damaged, inaccessible or not a database reports the reason."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from entrenous.stop.nouns import UnusableBank
from entrenous.stop.store.engine import open_engine
from entrenous.stop.store.open_gate import open_platform


@pytest.mark.parametrize(
    ("offset", "reason"), [(0, "it is not a database"), (20, "it is not a database")]
)
def test_file_that_is_no_database_is_reported(tmp_path: Path, offset: int, reason: str) -> None:
    path = tmp_path / "bank.db"
    open_engine(path).dispose()
    path.write_bytes(path.read_bytes()[:offset] + b"letters" * 1000)
    with pytest.raises(UnusableBank, match=reason):
        open_engine(path)


def test_damaged_database_is_reported_when_opened(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    open_engine(path).dispose()
    data = path.read_bytes()
    path.write_bytes(data[:100] + b"\xff" * (len(data) - 100))
    with pytest.raises(UnusableBank, match="it is damaged"):
        open_engine(path)


@pytest.mark.real
@pytest.mark.parametrize(
    "path_in_folder", ["bank.db", pytest.param(".", marks=pytest.mark.nightly)]
)
def test_database_without_permissions_is_reported(tmp_path: Path, path_in_folder: str) -> None:
    """The command is run without the rights of a superuser."""
    data = tmp_path / "gate"
    with open_platform(data):
        pass
    (data / path_in_folder).chmod(0o555 if path_in_folder == "." else 0)
    give_up = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    command = [*give_up, sys.executable, "-m", "entrenous", "gate", "bank", "list"]
    done = subprocess.run(
        [*command, "--data", str(data)], capture_output=True, text=True, check=False
    )
    message = " ".join(done.stderr.split())
    assert done.returncode == 7, message
    assert (
        f"{data / 'bank.db'} cannot be used: this account is not allowed to read and write it"
        in message
    )
