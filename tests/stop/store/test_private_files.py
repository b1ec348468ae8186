"""Only the owner may read or write the files of the database, even with the umask 022."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenous.stop.store.engine import open_engine, snapshot_read


@pytest.fixture(autouse=True)
def _umask_that_lets_others_read() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def file_modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


PRIVATE_MODES = {"bank.db": 0o600, "bank.db-wal": 0o600, "bank.db-shm": 0o600}


def test_database_is_private_in_a_public_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    engine = open_engine(tmp_path / "bank.db")
    with snapshot_read(engine):
        assert file_modes(tmp_path) == PRIVATE_MODES
    engine.dispose()


def test_readable_database_is_made_private_even_while_open(tmp_path: Path) -> None:
    first = open_engine(tmp_path / "bank.db")
    with snapshot_read(first):
        for file in tmp_path.iterdir():
            file.chmod(0o644)
        second = open_engine(tmp_path / "bank.db")
        assert file_modes(tmp_path) == PRIVATE_MODES
    first.dispose()
    second.dispose()
