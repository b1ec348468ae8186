"""Whenever a relay is killed while it brings its database up to date, nothing is lost."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from entrenous.adapters.mail.sqlite import open_mail
from entrenous.model.held import HeldEnvelope, HeldShare
from tests.adapters.mail.migrations.house import dumped, restored

pytestmark = pytest.mark.real


def test_a_killed_upgrade_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    """At every statement; then the next start does all of it."""
    mail, copies = restored(tmp_path), tmp_path / "copies"
    before = dumped(mail)
    copies.mkdir()
    script = Path(__file__).with_name("killed.py")
    run = subprocess.run(
        [sys.executable, script, mail, copies], capture_output=True, text=True, check=True
    )
    killed = int(run.stdout)
    assert killed >= 40
    for number in range(1, killed + 1):
        assert dumped(copies / str(number) / "mail.db") == before
    _comes_through(copies / str(killed) / "mail.db")
    assert dumped(copies / str(killed) / "mail.db") == dumped(copies / f"{killed + 1}" / "mail.db")


def _comes_through(mail: Path) -> None:
    store = open_mail(mail)
    look = store.look(lambda view: (view.count(HeldEnvelope), view.count(HeldShare)))
    assert asyncio.run(look) == (6, 4)
    store.close()
