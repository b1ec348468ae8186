"""People at several relays that can become unresponsive, and couriers that can be tampered with."""

from dataclasses import dataclass, field

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
from entrenous.send.letter.letter_nouns import Content
from entrenous.send.open import open_message
from entrenous.send.set_up import set_up
from tests.in_memory.courier import App, memory_courier
from tests.in_memory.vault import MemoryVault
from tests.village.malicious_relay import MaliciousCourier
from tests.village.relay import village_relay
from tests.village.world import LoadedDice, Villager, WoundClock, strip

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
        """Her mailbox: the relay's address, the mailbox and its owner token."""
        home = own_device(self.device).home
        return home.relay_url, home.mailbox, home.owner

    def opens_newest(self) -> Content:
        fetch_messages(self.device)
        return open_message(received_messages(self.device)[-1].name, self.device)

    def received(self) -> int:
        """The number of messages received."""
        fetch_messages(self.device)
        return len(received_messages(self.device))


@dataclass
class Room:
    """Two relays, and the people at each of them."""

    clock: WoundClock = field(default_factory=WoundClock)
    people: dict[str, Person] = field(default_factory=dict)
    apps: dict[str, App] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._away: dict[str, App] = {}
        self.relays: dict[str, Relay] = {}
        for url in (HERE, THERE):
            relay, _ = village_relay(url, self.clock, LoadedDice(url))
            self.relays[url] = relay
            self.apps[url] = relay_app(relay)
        self.honest = memory_courier(self.apps)

    def __getitem__(self, name: str) -> Person:
        return self.people[name]

    def settles(self, name: str, url: str = HERE) -> Person:
        vault, courier = MemoryVault(), MaliciousCourier(self.honest)
        ledger = VaultLedger(vault)
        device = Device(
            self.clock,
            LoadedDice(f"{name} {len(self.people)}"),
            vault,
            ledger,
            courier,
            read_picture,
        )
        set_up(name, url, device)
        self.people[name] = Person(name, device, vault, courier)
        return self.people[name]

    def silence(self, url: str) -> None:
        self._away[url] = self.apps.pop(url)

    def back(self, url: str) -> None:
        self.apps[url] = self._away.pop(url)


def town_of_three() -> Room:
    """Ana and Ben at one relay, Cleo at the other; both are contacts of Ana."""
    room = Room()
    ana, ben, cleo = room.settles("ana"), room.settles("ben"), room.settles("cleo", THERE)
    ana.adds(ben)
    cleo.adds(ana)
    return room
