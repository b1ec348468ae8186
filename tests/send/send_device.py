"""Simulate a network in memory: relays that can become unreachable, and people whose relay client
(courier) can be tampered with.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, wraps

from entrenous.base.environment import RandomSource
from entrenous.base.identifiers import MailboxId, PersonId
from entrenous.base.secret import Secret
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.relay import Relay
from entrenous.device.device import Device
from entrenous.device.identities import own_device
from entrenous.device.store.ledger import VaultLedger
from entrenous.media.picture_reader import read_picture
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.letter.letter_nouns import OpenedContent
from entrenous.send.open import open_message
from entrenous.send.set_up import set_up
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.courier import App, memory_courier
from tests.in_memory.vault import MemoryVault
from tests.village.malicious_relay import MaliciousCourier
from tests.village.relay import copy_relay, relay_with_courier
from tests.village.world import Participant, photo_strip

RELAY_URL = "http://127.0.0.1:7001"
OTHER_RELAY_URL = "http://127.0.0.1:7002"
SMALL_PICTURE = photo_strip()


@dataclass
class Person(Participant):
    """A person with one device, whose courier can be tampered with."""

    courier: MaliciousCourier

    @property
    def id(self) -> PersonId:
        return own_device(self.device).person.id

    @property
    def home(self) -> tuple[str, MailboxId, Secret]:
        """The person's mailbox: the relay's address, the mailbox id and the owner token."""
        home = own_device(self.device).home
        return home.relay_url, home.mailbox, home.owner

    def open_newest(self) -> OpenedContent:
        fetch_messages(self.device)
        return open_message(received_messages(self.device)[-1].name, self.device)

    def received_count(self) -> int:
        """Fetch messages, and return the number of messages received so far."""
        fetch_messages(self.device)
        return len(received_messages(self.device))


@dataclass
class Network:
    """A simulated network: two relays, and the people who have mailboxes there."""

    clock: SettableClock = field(default_factory=SettableClock)
    people: dict[str, Person] = field(default_factory=dict)
    apps: dict[str, App] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._unreachable_apps: dict[str, App] = {}
        self.relays: dict[str, Relay] = {}
        for url in (RELAY_URL, OTHER_RELAY_URL):
            self.open_relay(url)
        self.honest = memory_courier(self.apps)

    def __getitem__(self, name: str) -> Person:
        return self.people[name]

    def open_relay(self, url: str) -> None:
        """Start a relay at this address."""
        self._serve(url, relay_with_courier(url, self.clock, SeededRandomSource(url))[0])

    def _serve(self, url: str, relay: Relay) -> None:
        self.relays[url] = relay
        self.apps[url] = relay_app(relay)

    def copy(self) -> "Network":
        """Return an independent copy of the network, with copies of its people and relays.

        Copying is much faster than setting people up.
        """
        assert not self._unreachable_apps
        network = Network(replace(self.clock))
        for url, relay in self.relays.items():
            network._serve(
                url, copy_relay(relay, network.clock, _copy_random_source(relay.random_source))
            )
        for name, person in self.people.items():
            network.people[name] = network._copy_person(person)
        return network

    def _copy_person(self, person: Person) -> Person:
        vault, courier = person.vault.copy(), MaliciousCourier(self.honest)
        courier.calls += person.courier.calls
        device = replace(
            person.device,
            clock=self.clock,
            random_source=_copy_random_source(person.device.random_source),
            vault=vault,
            ledger=VaultLedger(vault),
            courier=courier,
        )
        return Person(person.name, device, vault, courier)

    def set_up_person(self, name: str, url: str = RELAY_URL) -> Person:
        vault, courier = MemoryVault(), MaliciousCourier(self.honest)
        ledger = VaultLedger(vault)
        device = Device(
            self.clock,
            SeededRandomSource(f"{name} {len(self.people)}"),
            vault,
            ledger,
            courier,
            read_picture,
        )
        set_up(name, url, device)
        self.people[name] = Person(name, device, vault, courier)
        return self.people[name]

    def disconnect(self, url: str) -> None:
        """Make a relay unreachable."""
        self._unreachable_apps[url] = self.apps.pop(url)

    def reconnect(self, url: str) -> None:
        """Make a disconnected relay reachable again."""
        self.apps[url] = self._unreachable_apps.pop(url)


def _copy_random_source(random_source: RandomSource) -> SeededRandomSource:
    assert isinstance(random_source, SeededRandomSource)
    return replace(random_source)


def cached_network(make: Callable[[], Network]) -> Callable[[], Network]:
    """Decorate a function so that it makes a network once and returns a copy at each call."""
    make_once = cache(make)

    @wraps(make)
    def copy_network() -> Network:
        return make_once().copy()

    return copy_network


@cached_network
def network_of_three() -> Network:
    """Ana and Ben at one relay, and Cleo at the other; Ben and Cleo are contacts of Ana."""
    network = Network()
    ana, ben, cleo = (
        network.set_up_person("ana"),
        network.set_up_person("ben"),
        network.set_up_person("cleo", OTHER_RELAY_URL),
    )
    ana.add_contact(ben)
    cleo.add_contact(ana)
    return network
