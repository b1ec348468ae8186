"""The simulated world: devices and relays, whose processes can crash, and a network."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import httpx

from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.relay import Relay
from entrenous.device.client.http_courier import HttpCourier
from entrenous.device.device import Device
from entrenous.device.identities import OwnIdentity, own_device
from entrenous.device.store.ledger import VaultLedger
from entrenous.media.picture_reader import read_picture
from entrenous.send.fetch import fetch_messages
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import mark_keys_compared
from entrenous.send.set_up import set_up
from tests.carry.minute_sweep import expire
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.courier import InProcessTransport, run_sync
from tests.village.crashes import Crash, CrashCountdown, CrashingCourier
from tests.village.households import link_devices
from tests.village.sim.disk import Location, SimDisk, endless_countdown
from tests.village.sim.faults import NO_FAULTS, Faults
from tests.village.sim.network import DeviceTransport, SimNetwork
from tests.village.sim.rng import rng_for
from tests.village.sim.schedule import Schedule
from tests.village.sim.stores import SimBlobs, SimRowStore, SimVault

DiskContents = Mapping[str, dict[Location, Any]]  # the durable contents by the name of the disk
AnswerCallback = Callable[[httpx.Request, httpx.Response], None]
RELAY_URLS: Final = ("http://127.0.0.1:7001", "http://127.0.0.1:7002")
PEOPLE: Final = ("ana", "ben", "caro", "dan", "eva")
ANAS_PHONE: Final = "ana's phone"  # Ana's second device


@dataclass
class Host:
    """One device; only the contents of its disks survive a crash of its process."""

    name: str
    seed: int
    schedule: Schedule
    network: SimNetwork
    countdown: CrashCountdown = field(default_factory=endless_countdown)
    busy: bool = False
    boots: int = 0
    device: Device = field(init=False)
    me: OwnIdentity = field(init=False)

    def __post_init__(self) -> None:
        rng = rng_for(f"disks of {self.name}", self.seed)
        self.records, self.files = SimDisk(self.countdown, rng), SimDisk(self.countdown, rng)
        self._tokens = SeededRandomSource(f"{self.name} {self.seed}")  # kept across restarts
        self.boot()

    @property
    def disks(self) -> Mapping[str, SimDisk]:
        return {f"{self.name} records": self.records, f"{self.name} files": self.files}

    @property
    def vault(self) -> SimVault:
        return self.device.vault  # type: ignore[return-value]

    def boot(self) -> None:
        """Start a new process with the contents of the disks."""
        self.boots += 1
        vault: Any = SimVault(self.records, self.files)
        client = httpx.Client(transport=DeviceTransport(self.network), trust_env=False)
        http_courier = HttpCourier(client, now_s=lambda: self.schedule.clock.now().timestamp())
        courier: Any = CrashingCourier(http_courier, self.countdown)
        self.device = Device(
            *(self.schedule.clock, self._tokens, vault, VaultLedger(vault), courier, read_picture)
        )

    def load_identity(self) -> None:
        """Load the device's own identity, which exists after the set-up."""
        self.me = own_device(self.device)

    def crash(self) -> None:
        """Lose a random part of the unsynced writes, and start again."""
        self.records.crash()
        self.files.crash()
        self.countdown.remaining = -1
        self.boot()


@dataclass
class RelayHost:
    """One relay; only the contents of its disks survive a crash of its process."""

    url: str
    seed: int
    clock: SettableClock
    countdown: CrashCountdown = field(default_factory=endless_countdown)
    down: bool = False
    boots: int = 0

    def __post_init__(self) -> None:
        rng = rng_for(f"disks of {self.url}", self.seed)
        self.rows, self.blobs = SimDisk(self.countdown, rng), SimDisk(self.countdown, rng)
        self._tokens = SeededRandomSource(f"{self.url} {self.seed}")
        self.boot()

    @property
    def disks(self) -> Mapping[str, SimDisk]:
        return {f"{self.url} rows": self.rows, f"{self.url} blobs": self.blobs}

    def boot(self) -> None:
        """Start a new process with the contents of the disks."""
        self.boots += 1
        self.down = False
        mail, blobs = SimRowStore(self.rows), SimBlobs(self.blobs)
        self.relay = Relay(mail, blobs, self.clock, self._tokens)
        self._wire = InProcessTransport({self.url: relay_app(self.relay)})

    def answer(self, request: httpx.Request) -> httpx.Response | None:
        """Answer a request; return None if the relay crashes."""
        return self._run_until_crash(lambda: self._wire.handle_request(request))

    def sweep(self) -> None:
        """Delete expired rows, unless the relay is down."""
        if not self.down:
            self._run_until_crash(lambda: run_sync(expire(self.relay)))

    def _run_until_crash(self, work: Callable[[], Any]) -> Any:
        try:
            answer = work()
        except Crash:
            self.crash()
            return None
        self.countdown.remaining = -1
        return answer

    def crash(self) -> None:
        """Lose a random part of the unsynced writes, and stay down until the next boot."""
        self.rows.crash()
        self.blobs.crash()
        self.countdown.remaining, self.down = -1, True


class Simulation:
    """All devices, their relays and the network; ``faults`` are the probabilities of faults."""

    def __init__(
        self, names: tuple[str, ...], seed: int, disks: DiskContents | None = None
    ) -> None:
        self.schedule = Schedule(SettableClock(), rng_for("schedule", seed))
        self.relays = {url: RelayHost(url, seed, self.schedule.clock) for url in RELAY_URLS}
        self.network = SimNetwork(self.schedule, rng_for("network", seed), self.answer)
        self.faults: Faults = NO_FAULTS
        self._rng = rng_for("relays", seed)
        self.on_answer: AnswerCallback = lambda _request, _answer: None
        self.on_relay_crash: Callable[[RelayHost], None] = lambda _relay: None
        self.hosts = {name: Host(name, seed, self.schedule, self.network) for name in names}
        if disks is not None:
            self._restore(disks)

    def answer(self, request: httpx.Request) -> httpx.Response | None:
        """Pass a request to its relay, call ``on_answer``, and return the relay's answer.

        If the relay crashes, call ``on_relay_crash``.
        """
        relay = self.relays[relay_url_of(request)]
        if relay.down:
            return None
        relay.countdown.remaining = self.faults.relay_crash_point(self._rng)
        answer = relay.answer(request)
        if answer is not None:
            self.on_answer(request, answer)
        if relay.down:
            self.on_relay_crash(relay)
        return answer

    def disks(self) -> dict[str, SimDisk]:
        """Return all disks by name."""
        every: dict[str, SimDisk] = {}
        for one in (*self.hosts.values(), *self.relays.values()):
            every.update(one.disks)
        return every

    def _restore(self, disks: DiskContents) -> None:
        for name, disk in self.disks().items():
            disk.durable.update(disks[name])
        for relay in self.relays.values():
            relay.boot()
        for host in self.hosts.values():
            host.boot()
            host.load_identity()


def relay_url_of(request: httpx.Request) -> str:
    """Return the URL of the relay to which a request is addressed."""
    return f"http://{request.url.netloc.decode()}"


@cache
def disk_contents_after_setup(people: int, *, phone: bool) -> DiskContents:
    """Return the contents of all disks after ``people`` people have added each other.

    With ``phone``, Ana has two devices.
    """
    names = PEOPLE[:people] + ((ANAS_PHONE,) if phone else ())
    simulation = Simulation(names, -1)
    for place, name in enumerate(PEOPLE[:people]):
        set_up(name, RELAY_URLS[place % 2], simulation.hosts[name].device)
    for one in PEOPLE[:people]:
        for other in PEOPLE[:people]:
            if one < other:
                _add_contact(simulation.hosts[one].device, simulation.hosts[other].device, other)
    if phone:
        link_devices(simulation.hosts["ana"].device, simulation.hosts[ANAS_PHONE].device, "phone")
    for _ in range(4):
        for host in simulation.hosts.values():
            fetch_messages(host.device)
    return {name: deepcopy(disk.durable) for name, disk in simulation.disks().items()}


def _add_contact(one: Device, other: Device, name: str) -> None:
    add_person(make_invite_link(other), name, one)
    fetch_messages(other)
    fetch_messages(one)
    mark_keys_compared(name, one)
