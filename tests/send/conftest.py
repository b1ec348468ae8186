import pytest

from tests.send.send_device import Room


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
