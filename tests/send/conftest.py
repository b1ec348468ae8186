"""Simulated networks and command lines that the tests of sending share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.send.commands.test_letters import CommandLine
from tests.send.send_device import OTHER_RELAY_URL, RELAY_URL, Network
from tests.village.features import cache_picture_records

__all__ = ["cache_picture_records"]


@pytest.fixture(scope="session")
def two_strangers() -> Network:
    network = Network()
    network.set_up_person("ana")
    network.set_up_person("ben")
    return network


@pytest.fixture(scope="session")
def two_friends(two_strangers: Network) -> Network:
    network = two_strangers.copy()
    network["ana"].add_contact(network["ben"])
    return network


@pytest.fixture(scope="session")
def three_friends(two_friends: Network) -> Network:
    network = two_friends.copy()
    network["ana"].add_contact(network.set_up_person("caro"))
    return network


@pytest.fixture
def network(two_strangers: Network) -> Network:
    """Ana and Ben at one relay, before they are contacts."""
    return two_strangers.copy()


@pytest.fixture
def friends(two_friends: Network) -> Network:
    """Ana and Ben, after Ana added Ben by his invite."""
    return two_friends.copy()


@pytest.fixture
def three_people(three_friends: Network) -> Network:
    """Ana, Ben and Caro at one relay; Ben and Caro are contacts of Ana."""
    return three_friends.copy()


@pytest.fixture(scope="session")
def cli_of_two(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return _set_up_command_line(tmp_path_factory.mktemp("people"), ben=RELAY_URL)


@pytest.fixture(scope="session")
def cli_of_three(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return _set_up_command_line(
        tmp_path_factory.mktemp("people"), ben=RELAY_URL, caro=OTHER_RELAY_URL
    )


def _set_up_command_line(folder: Path, **others: str) -> CommandLine:
    """Set up Ana and the other people named, each at a relay; Ana adds each of the others."""
    with pytest.MonkeyPatch.context() as patch:
        cli = CommandLine(folder, patch)
        for person, relay in {"ana": RELAY_URL, **others}.items():
            cli.set_up_person(person, relay)
        for other in others:
            cli.add_contact("ana", other)
        return cli


@pytest.fixture
def cli(
    cli_of_two: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CommandLine]:
    """Return a command line for Ana and Ben, who are contacts."""
    yield cli_of_two.copy_to(tmp_path, monkeypatch)
    monkeypatch.undo()
