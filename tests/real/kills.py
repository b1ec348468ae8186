"""Kill relays at random moments under load, and check that each acknowledged message arrives.

    python -m tests.real.kills --kills 50                 on SQLite
    python -m tests.real.kills --kills 50 --postgresql    two relays on one PostgreSQL

Devices send and fetch all the time. A message that a relay accepted must arrive. A message whose
deletion a relay confirmed must never arrive again.
"""

import argparse
import http.client
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from entrenous.base.identifiers import EnvelopeId, MailboxId
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import token_hash
from entrenous.wire.encodings import to_base64url
from entrenous.wire.relay_json import write_envelope
from entrenous.wire.relay_nouns import Envelope
from tests.real.trial import folder_and_database, read_first_line, run_and_kill_at_end

RELAY_PROGRAM = """
import sys
from pathlib import Path
from entrenous.serving.http_server import serve
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.open_relay import open_relay
from entrenous.carry.store import postgres as relay_postgres

relay_postgres._DATABASE_WAIT_S_MAX = float(*sys.argv[3:] or [relay_postgres._DATABASE_WAIT_S_MAX])
with open_relay(Path(sys.argv[1]), database=sys.argv[2] or None) as relay:
    serve(relay_app(relay), "127.0.0.1", 0, lambda url: print(url, flush=True))
"""


@dataclass
class Device:
    """A mailbox, the tokens of the owner and of one sender, and the results of requests."""

    rng: random.Random
    posted: dict[str, bytes] = field(default_factory=dict)  # bodies of the posts, by message name
    accepted: set[str] = field(default_factory=set)
    received: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    message_bytes: int = 4096

    def __post_init__(self) -> None:
        self.id = MailboxId(self.rng.randbytes(16))
        self.owner, self.sender = (Secret(self.rng.randbytes(32)) for _ in range(2))
        self.path = f"/v1/mailboxes/{to_base64url(self.id)}"

    def create_mailbox(self, connection: "RelayConnection") -> None:
        lock = {"owner_lock": to_base64url(token_hash(self.owner)), "close_lock": None}
        connection.request("PUT", self.path, None, json.dumps(lock).encode())
        granted = b'{"uses":null,"expires_at":null}'
        connection.request(
            "PUT",
            f"{self.path}/tokens/{to_base64url(token_hash(self.sender))}",
            self.owner,
            granted,
        )

    def send(self, connection: "RelayConnection") -> None:
        """Post a new message, or repeat the post of a message that may not have been accepted."""
        unanswered = [one for one in self.posted if one not in self.accepted]
        name = unanswered[0] if unanswered else self.create_message()
        status, _ = connection.request(
            "PUT", f"{self.path}/envelopes/{name}", self.sender, self.posted[name]
        )
        if status in (200, 201):
            self.accepted.add(name)
        elif status != 503:
            self.faults.append(f"a message was answered with {status}")

    def fetch(self, connection: "RelayConnection") -> bool:
        """Fetch and delete the waiting messages; return True if the relay listed no message."""
        status, body = connection.request("GET", f"{self.path}/envelopes", self.owner)
        page = json.loads(body)["envelopes"] if status == 200 else []
        names = [one["envelope"] for one in page]
        if len(set(names)) < len(names) or {one["sequence"] for one in page} == {0}:
            self.faults.append("a message is twice in a list")
        for name in names:
            if name in self.deleted:
                self.faults.append("a message came again after it had been deleted")
            self.received.add(name)
            status, _ = connection.request("DELETE", f"{self.path}/envelopes/{name}", self.owner)
            if status == 204:
                self.deleted.add(name)
        return status == 200 and not names

    def finish(self, connection: "RelayConnection") -> None:
        """Repeat the posts that were not acknowledged, then fetch until no message waits.

        A relay may delete a message without answering, so ``deleted`` may lack messages that
        arrived; ``received`` has all of them.
        """
        while len(self.accepted) < len(self.posted):
            self.send(connection)
        while not self.fetch(connection):
            pass

    def create_message(self) -> str:
        envelope = Envelope(
            *(EnvelopeId(self.rng.randbytes(16)), self.id, self.rng.randbytes(self.message_bytes)),
            *(datetime.now(UTC) + timedelta(days=3), self.rng.randbytes(32)),
        )
        name = to_base64url(envelope.id)
        self.posted[name] = write_envelope(envelope)
        return name


class RelayConnection:
    """A connection to a relay. It raises OSError or HTTPException if the relay is killed."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._web = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)

    def request(
        self, method: str, path: str, token: Secret | None, body: bytes | None = None
    ) -> tuple[int, bytes]:
        headers = {"Entrenous-Protocol": "2"}
        if token is not None:
            headers["Authorization"] = f"Bearer {to_base64url(token.reveal())}"
        self._web.request(method, path, body, headers)
        answer = self._web.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        self._web.close()


@contextmanager
def run_relay(
    folder: Path, database: str = "", *database_wait_s: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a relay; yield its process and its URL. If ``database_wait_s`` is given, the relay waits
    at most this many seconds for an unreachable database.
    """
    command = [sys.executable, "-c", RELAY_PROGRAM, str(folder), database, *database_wait_s]
    with run_and_kill_at_end(command) as process:
        yield process, read_first_line(process).strip()


def send_and_fetch(device: Device, url: str, stop_requested: threading.Event) -> None:
    """Send and fetch until the relay dies, or ``stop_requested`` is set."""
    connection = RelayConnection(url)
    with suppress(OSError, http.client.HTTPException):
        while not stop_requested.is_set():
            device.send(connection)
            if device.rng.random() < 0.5:
                device.fetch(connection)
    connection.close()


def kill_round(
    devices: list[Device], folder: Path, database: str, rng: random.Random, relay_count: int = 1
) -> None:
    """Start relays, let all devices use them, and kill the relays one after the other."""
    stop_requested = threading.Event()
    with ExitStack() as stack:
        relays = [stack.enter_context(run_relay(folder, database)) for _ in range(relay_count)]
        threads = [
            threading.Thread(
                target=send_and_fetch, args=(device, relays[n % relay_count][1], stop_requested)
            )
            for n, device in enumerate(devices)
        ]
        for thread in threads:
            thread.start()
        for process, _ in relays:
            time.sleep(rng.uniform(0.05, 0.6))
            process.send_signal(signal.SIGKILL)
        stop_requested.set()
        for thread in threads:
            thread.join()


def run_trial(
    kill_count: int, folder: Path, database: str, seed: int, device_count: int
) -> dict[str, Any]:
    """Kill relays at least ``kill_count`` times: two relays in each round with PostgreSQL, one with
    SQLite. Return the number of kills, the numbers of acknowledged, lost and invented messages, and
    the faults.
    """
    rng, relay_count = random.Random(seed), 2 if database else 1
    devices = [Device(random.Random(f"{seed} {n}")) for n in range(device_count)]
    with run_relay(folder, database) as (_, url):
        connection = RelayConnection(url)
        for device in devices:
            device.create_mailbox(connection)
        connection.close()
    for _ in range(-(-kill_count // relay_count)):
        kill_round(devices, folder, database, rng, relay_count)
    acknowledged = sum(len(device.accepted) for device in devices)
    with run_relay(folder, database) as (_, url):
        connection = RelayConnection(url)
        for device in devices:
            device.finish(connection)
        connection.close()
    return {
        "kills": -(-kill_count // relay_count) * relay_count,
        "acknowledged": acknowledged,
        "lost": sum(len(device.accepted - device.received) for device in devices),
        "invented": sum(len(device.received - set(device.posted)) for device in devices),
        "faults": sorted({fault for device in devices for fault in device.faults}),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--devices", type=int, default=64)
    parser.add_argument("--postgresql", action="store_true")
    arguments = parser.parse_args()
    with folder_and_database(postgresql=arguments.postgresql) as (folder, database):
        done = run_trial(arguments.kills, folder, database, arguments.seed, arguments.devices)
        print(json.dumps(done))  # noqa: T201


if __name__ == "__main__":
    main()
