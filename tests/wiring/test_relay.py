"""Opening a relay of an earlier version: at its start, and beside it."""

import asyncio
from pathlib import Path

import pytest

from entrenous.model.held import HeldEnvelope, OlderDatabase
from entrenous.wiring.relay import open_present_relay, open_relay
from tests.adapters.mail.migrations.house import dumped, restored

# An event loop wakes itself through a pair of sockets.
pytestmark = pytest.mark.usefixtures("socket_enabled")


def test_only_the_start_of_a_relay_brings_its_database_up_to_date(tmp_path: Path) -> None:
    """The earlier program may still be at work; its rows are not changed beneath it."""
    mail = restored(tmp_path)
    before = dumped(mail)
    with pytest.raises(OlderDatabase), open_present_relay(tmp_path):
        pass
    assert dumped(mail) == before
    for opened in (open_relay, open_present_relay):
        with opened(tmp_path) as relay:
            look = relay.mail.look(lambda view: view.count(HeldEnvelope))
            assert asyncio.run(look) == 6
