"""Five people at two relays that an adversary controls, set up once and copied for each seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from entrenous.base.secret import Secret
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.relay import Relay
from entrenous.device.device import Courier, Device
from entrenous.device.identities import own_device
from entrenous.device.store.ledger import VaultLedger
from entrenous.media.picture_reader import read_picture
from entrenous.send.set_up import set_up
from entrenous.wire.relay_nouns import RelayLock
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.blobs import MemoryBlobs
from tests.in_memory.courier import memory_courier
from tests.in_memory.mail import MemoryRowStore
from tests.in_memory.vault import MemoryVault
from tests.village.adversary import Adversary
from tests.village.world import Participant, photo

RELAY_BY_PERSON = {
    "ana": "http://127.0.0.1:7001",
    "ben": "http://127.0.0.1:7002",
    "caro": "http://127.0.0.1:7001",
    "dan": "http://127.0.0.1:7002",
    "mallory": "http://127.0.0.1:7001",  # a person who works with the adversary
}
CONTACT_PAIRS = (
    ("ana", "ben"),
    ("ana", "caro"),
    ("ben", "caro"),
    ("mallory", "ben"),
    ("ana", "mallory"),
)
PICTURE = photo(width_px=96)
CLOSE_TOKEN = Secret(b"c" * 32)
PASSPHRASE = Secret(b"stretched already, by argon2id..")


@dataclass(frozen=True)
class InitialState:
    """The contents of all vaults and relays, and the adversary's memory, before a siege."""

    vaults: Mapping[str, tuple[dict[str, dict[str, bytes]], dict[Any, bytes]]]
    rows: Mapping[str, dict[type, dict[Any, Any]]]
    adversary: Adversary


class AttackedNetwork:
    """People, their relays, and the adversary between them; ``seed`` determines all randomness."""

    def __init__(self, seed: int, initial: InitialState | None = None) -> None:
        self.seed, self.clock = seed, SettableClock()
        self.mails = {url: MemoryRowStore() for url in sorted(set(RELAY_BY_PERSON.values()))}
        self.honest = _make_courier(self.mails, self.clock, seed)
        self.adversary = Adversary(self.honest, seed)
        self.people = {name: self.make_person(name) for name in RELAY_BY_PERSON}
        if initial is not None:
            self._restore(initial)

    def make_person(self, name: str, seed: str = "") -> Participant:
        """Return a person whose device is not set up."""
        vault = MemoryVault()
        device = Device(
            self.clock,
            SeededRandomSource(f"{name} {seed} {self.seed}"),
            vault,
            VaultLedger(vault),
            self.adversary.courier_for(name),  # type: ignore[arg-type]
            read_picture,
        )
        return Participant(name, device, vault)

    def _restore(self, initial: InitialState) -> None:
        for name, (tables, files) in initial.vaults.items():
            _fill_vault(self.people[name].vault, tables, files)
        self.adversary.copy_memory_of(initial.adversary)
        for url, rows in initial.rows.items():
            self.mails[url]._transaction._rows = {
                kind: dict(stored) for kind, stored in rows.items()
            }

    def copy_device(self, name: str, number: int) -> Participant:
        """Return a second device of a person. Its vault is a copy of the first device's vault."""
        copied = self.make_person(name, f"copy {number}")
        vault = self.people[name].vault
        _fill_vault(copied.vault, vault._tables, vault._files)
        return copied


def lock_of_device(person: Participant) -> RelayLock:
    """Return the lock that the relay keeps for a person's device."""
    home = own_device(person.device).home
    return RelayLock(home.relay_url, home.mailbox, Secret(b"u" * 32))


def delete_mailbox(person: Participant) -> None:
    """Set a new close token for a person's mailbox, and delete the mailbox with it."""
    home, courier = own_device(person.device).home, person.device.courier
    courier.set_close_token(home.relay_url, home.mailbox, home.owner, CLOSE_TOKEN)
    courier.close_mailbox(home.relay_url, home.mailbox, CLOSE_TOKEN)


def manage_lock(person: Participant) -> None:
    """Make every request with which a device or its recovery sheet manages the relay's lock."""
    home, courier = own_device(person.device).home, person.device.courier
    courier.create_lock(lock_of_device(person), home.owner)
    courier.replace_unlock_token(lock_of_device(person), home.owner)
    courier.set_close_token(home.relay_url, home.mailbox, home.owner, CLOSE_TOKEN)
    courier.allow_more_tries(home.relay_url, home.mailbox, CLOSE_TOKEN)


@cache
def initial_state() -> InitialState:
    """Set up all people, let contacts add each other, create locks, and return the stored state."""
    network = AttackedNetwork(0)
    for name, url in RELAY_BY_PERSON.items():
        set_up(name, url, network.people[name].device)
    for one, other in CONTACT_PAIRS:
        network.people[one].add_contact(network.people[other])
    for person in network.people.values():
        home = own_device(person.device).home
        person.device.courier.create_lock(lock_of_device(person), home.owner)
    vaults = {
        name: (person.vault._tables, person.vault._files) for name, person in network.people.items()
    }
    rows = {url: mail._transaction._rows for url, mail in network.mails.items()}
    return InitialState(vaults, rows, network.adversary)


def _make_courier(mails: Mapping[str, MemoryRowStore], clock: SettableClock, seed: int) -> Courier:
    return memory_courier(
        {
            url: relay_app(Relay(mail, MemoryBlobs(), clock, SeededRandomSource(f"{url} {seed}")))
            for url, mail in mails.items()
        }
    )


def _fill_vault(vault: MemoryVault, tables: dict[str, dict[str, bytes]], files: Any) -> None:
    vault._tables = {name: dict(stored) for name, stored in tables.items()}
    vault._files = dict(files)
