from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.send.commands.test_letters import Street
from tests.send.send_device import HERE, THERE, Room
from tests.village.features import features_once

__all__ = ["features_once"]


@pytest.fixture(scope="session")
def two_strangers() -> Room:
    room = Room()
    room.set_up_person("ana")
    room.set_up_person("ben")
    return room


@pytest.fixture(scope="session")
def two_friends(two_strangers: Room) -> Room:
    room = two_strangers.copied()
    room["ana"].add_contact(room["ben"])
    return room


@pytest.fixture(scope="session")
def three_friends(two_friends: Room) -> Room:
    room = two_friends.copied()
    room["ana"].add_contact(room.set_up_person("caro"))
    return room


@pytest.fixture
def room(two_strangers: Room) -> Room:
    """Ana and Ben at one relay, not yet contacts."""
    return two_strangers.copied()


@pytest.fixture
def friends(two_friends: Room) -> Room:
    """Ana and Ben, after Ana added Ben by his invite."""
    return two_friends.copied()


@pytest.fixture
def three(three_friends: Room) -> Room:
    """Ana, Ben and Caro at one relay; Ana has added both."""
    return three_friends.copied()


@pytest.fixture(scope="session")
def street_of_two(tmp_path_factory: pytest.TempPathFactory) -> Street:
    return _street_with(tmp_path_factory.mktemp("street"), ben=HERE)


@pytest.fixture(scope="session")
def street_of_three(tmp_path_factory: pytest.TempPathFactory) -> Street:
    return _street_with(tmp_path_factory.mktemp("street"), ben=HERE, caro=THERE)


def _street_with(folder: Path, **others: str) -> Street:
    """Return a street of Ana and others at these relays, all of whom she has added."""
    with pytest.MonkeyPatch.context() as patch:
        street = Street(folder, patch)
        for who, relay in {"ana": HERE, **others}.items():
            street.set_up_person(who, relay)
        for other in others:
            street.add_contact("ana", other)
        return street


@pytest.fixture
def street(
    street_of_two: Street, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Street]:
    """Ana and Ben, who know each other."""
    yield street_of_two.copied(tmp_path, monkeypatch)
    monkeypatch.undo()
