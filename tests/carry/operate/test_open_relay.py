"""Tests of an empty database: ``open_relay`` creates tables, ``open_existing_relay`` refuses it."""

import asyncio
from pathlib import Path

import pytest

from entrenous.carry.open_relay import DATABASE_NAME, open_existing_relay, open_relay
from entrenous.carry.relay_rows import StoredEnvelope, UnusedDatabase


def test_only_the_start_of_a_relay_creates_its_tables(tmp_path: Path) -> None:
    mail = tmp_path / DATABASE_NAME
    mail.touch(0o600)
    with pytest.raises(UnusedDatabase), open_existing_relay(tmp_path):
        pass
    for opened in (open_relay, open_existing_relay):
        with opened(tmp_path) as relay:
            stored_count = relay.mail.read(lambda view: view.count(StoredEnvelope))
            assert asyncio.run(stored_count) == 0
