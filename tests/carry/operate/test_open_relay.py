"""Opening a relay that is there, and one that no relay has used yet."""

import asyncio
from pathlib import Path

import pytest

from entrenous.carry.open_relay import MAIL, open_present_relay, open_relay
from entrenous.carry.relay_rows import HeldEnvelope, UnusedDatabase

# An event loop wakes itself through a pair of sockets.
pytestmark = pytest.mark.usefixtures("socket_enabled")


def test_only_the_start_of_a_relay_creates_its_tables(tmp_path: Path) -> None:
    mail = tmp_path / MAIL
    mail.touch(0o600)
    with pytest.raises(UnusedDatabase), open_present_relay(tmp_path):
        pass
    for opened in (open_relay, open_present_relay):
        with opened(tmp_path) as relay:
            look = relay.mail.look(lambda view: view.count(HeldEnvelope))
            assert asyncio.run(look) == 0
