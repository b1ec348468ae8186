"""People at several relays that can become unresponsive, and couriers that can be tampered with."""

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
from tests.village.relay import copied_relay, village_relay
from tests.village.world import Villager, strip

HERE = "http://127.0.0.1:7001"
THERE = "http://127.0.0.1:7002"
SMALL = strip()


@dataclass
class Person(Villager):
    """A villager whose courier can be tampered with."""

    courier: MaliciousCourier

    @property
    def id(self) -> PersonId:
        return own_device(self.device).person.id

    @property
    def home(self) -> tuple[str, MailboxId, Secret]:
        """The person's mailbox: the relay's address, the mailbox id and its owner token."""
        home = own_device(self.device).home
        return home.relay_url, home.mailbox, home.owner

    def opens_newest(self) -> OpenedContent:
        fetch_messages(self.device)
        return open_message(received_messages(self.device)[-1].name, self.device)

    def received(self) -> int:
        """The number of messages received."""
        fetch_messages(self.device)
        return len(received_messages(self.device))


@dataclass
class Room:
    """Two relays, and the people at each of them."""

    clock: SettableClock = field(default_factory=SettableClock)
    people: dict[str, Person] = field(default_factory=dict)
    apps: dict[str, App] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._unreachable_apps: dict[str, App] = {}
        self.relays: dict[str, Relay] = {}
        for url in (HERE, THERE):
            self.opens(url)
        self.honest = memory_courier(self.apps)

    def __getitem__(self, name: str) -> Person:
        return self.people[name]

    def opens(self, url: str) -> None:
        """Open a relay at this address."""
        self._serve(url, village_relay(url, self.clock, SeededRandomSource(url))[0])

    def _serve(self, url: str, relay: Relay) -> None:
        self.relays[url] = relay
        self.apps[url] = relay_app(relay)

    def copied(self) -> "Room":
        """Return an independent copy of the room, with copies of its people and relays.

        Setting people up takes a thousand times as long.
        """
        assert not self._unreachable_apps
        room = Room(replace(self.clock))
        for url, relay in self.relays.items():
            room._serve(
                url, copied_relay(relay, room.clock, _copied_random_source(relay.random_source))
            )
        for name, person in self.people.items():
            room.people[name] = room._copied_person(person)
        return room

    def _copied_person(self, person: Person) -> Person:
        vault, courier = person.vault.copied(), MaliciousCourier(self.honest)
        courier.calls += person.courier.calls
        device = replace(
            person.device,
            clock=self.clock,
            random_source=_copied_random_source(person.device.random_source),
            vault=vault,
            ledger=VaultLedger(vault),
            courier=courier,
        )
        return Person(person.name, device, vault, courier)

    def set_up_person(self, name: str, url: str = HERE) -> Person:
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

    def silence(self, url: str) -> None:
        self._unreachable_apps[url] = self.apps.pop(url)

    def back(self, url: str) -> None:
        self.apps[url] = self._unreachable_apps.pop(url)


def _copied_random_source(random_source: RandomSource) -> SeededRandomSource:
    assert isinstance(random_source, SeededRandomSource)
    return replace(random_source)


def made_once(make: Callable[[], Room]) -> Callable[[], Room]:
    """Return a function that makes a room once, and returns a copy of it at each call."""
    made = cache(make)

    @wraps(make)
    def copied() -> Room:
        return made().copied()

    return copied


@made_once
def town_of_three() -> Room:
    """Ana and Ben at one relay, Cleo at the other; both are contacts of Ana."""
    room = Room()
    ana, ben, cleo = (
        room.set_up_person("ana"),
        room.set_up_person("ben"),
        room.set_up_person("cleo", THERE),
    )
    ana.add_contact(ben)
    cleo.add_contact(ana)
    return room
