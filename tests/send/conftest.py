from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.send.commands.test_letters import Street
from tests.send.send_device import Room
from tests.village.features import features_once

__all__ = ["features_once"]


@pytest.fixture
def room() -> Room:
    """Ana and Ben at one relay, not yet contacts."""
    room = Room()
    room.settles("ana")
    room.settles("ben")
    return room


@pytest.fixture
def friends(room: Room) -> Room:
    """Ana and Ben, after Ana added Ben by his invite."""
    room["ana"].adds(room["ben"])
    return room


@pytest.fixture
def street(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Street]:
    """Ana and Ben, who know each other."""
    street = Street(tmp_path, monkeypatch, capsys)
    for who in ("ana", "ben"):
        street.settles(who)
    street.adds("ana", "ben")
    yield street
    monkeypatch.undo()
