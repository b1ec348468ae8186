"""Tests of relays over HTTP: a kill, SIGTERM, a full disk, a large blob, and refused servers."""

import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from entrenous.base.errors import DiskFull, NotARelay, RelayFull, RelayUnreachable
from entrenous.carry.http.relay_app import relay_app
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.wire.relay_nouns import Envelope, EnvelopeState, WaitingEnvelope
from tests.carry.relays import SampleMessage, disk_relay, download_bytes, in_three_days, serve_app
from tests.deterministic import SeededRandomSource, SettableClock
from tests.ready import start_program

pytestmark = pytest.mark.real

RELAY_PROGRAM = """
import sys
from pathlib import Path
from entrenous.carry.store.file_blobs import FileBlobs
from entrenous.serving.http_server import serve
from entrenous.carry.store.sqlite_rows import open_sqlite
from entrenous.base.environment import SystemClock, SystemRandomSource
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.relay import Relay

folder = Path(sys.argv[1])
mail = open_sqlite(folder / "mail.db")
relay = Relay(mail, FileBlobs(folder / "blobs"), SystemClock(), SystemRandomSource())
serve(relay_app(relay), "127.0.0.1", 0, lambda url: print(url, flush=True))
mail.close()
print("closed", flush=True)
"""


@contextmanager
def relay_process(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a relay; yield its process and URL, and kill the process at the end."""
    command = [sys.executable, "-c", RELAY_PROGRAM, str(folder)]
    with start_program(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@dataclass
class Sender:
    """A client that posts envelopes until the relay is gone, and records the acknowledged ones."""

    url: str
    message: SampleMessage
    acknowledged: list[Envelope] = field(default_factory=list)
    unanswered: list[Envelope] = field(default_factory=list)

    def run(self) -> None:
        with new_relay_client() as web:
            courier = HttpCourier(web)
            while not self.unanswered:
                envelope = self.message.new_envelope()
                try:
                    courier.post(self.url, self.message.token, envelope)
                except RelayUnreachable:
                    self.unanswered.append(envelope)
                else:
                    self.acknowledged.append(envelope)


def all_waiting_envelopes(
    courier: HttpCourier, url: str, message: SampleMessage
) -> list[WaitingEnvelope]:
    found: list[WaitingEnvelope] = []
    while page := courier.waiting_envelopes(
        url, message.mailbox, message.owner, found[-1].sequence if found else 0
    ):
        found += page
    return found


@pytest.mark.threat("relay-killed")
def test_killed_relay_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    """The relay is killed three times while four senders post. Afterwards the relay has every
    acknowledged envelope exactly once.
    """
    message = SampleMessage(until=in_three_days(), sealed=SeededRandomSource().token(4096))
    senders: list[Sender] = []
    for round_number in range(3):
        with relay_process(tmp_path) as (process, url), new_relay_client() as web:
            courier = HttpCourier(web)
            courier.create_mailbox(url, message.mailbox, message.owner)
            courier.register_token(url, message.mailbox, message.owner, message.send_token())
            own_senders = [
                Sender(url, message_for_sender(message, 4 * round_number + number))
                for number in range(4)
            ]
            threads = [threading.Thread(target=sender.run) for sender in own_senders]
            for thread in threads:
                thread.start()
            # Kill the relay before the mailbox is full. A mailbox holds at most 2,000 messages.
            time.sleep(0.2 + 0.13 * round_number)
            process.send_signal(signal.SIGKILL)
            for thread in threads:
                thread.join()
            senders += own_senders
    with relay_process(tmp_path) as (_, url), new_relay_client() as web:
        courier = HttpCourier(web)
        found = [one.id for one in all_waiting_envelopes(courier, url, message)]
        acknowledged = [envelope.id for sender in senders for envelope in sender.acknowledged]
        assert len(acknowledged) > 30
        assert set(acknowledged) <= set(found)
        assert len(found) == len(set(found))
        resumed = [envelope for sender in senders for envelope in sender.unanswered]
        for envelope in resumed:
            courier.post(url, message.token, envelope)
        again = [one.id for one in all_waiting_envelopes(courier, url, message)]
        assert set(again) == set(acknowledged) | {envelope.id for envelope in resumed}
        assert len(again) == len(set(again))


def message_for_sender(message: SampleMessage, sender_number: int) -> SampleMessage:
    """Return a message that has the mailbox and token of ``message``, but makes other envelopes."""
    own_post = SampleMessage(until=message.until, sealed=message.sealed)
    own_post.mailbox, own_post.token = message.mailbox, message.token
    own_post.random_source = SeededRandomSource(calls=1_000_000 * (sender_number + 1))
    return own_post


def test_relay_stops_cleanly_at_sigterm(tmp_path: Path) -> None:
    with relay_process(tmp_path) as (process, url):
        assert url.startswith("http://127.0.0.1:")
        assert httpx.get(f"{url}/v1/status", trust_env=False).status_code == 200
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
        assert (out, process.returncode) == ("closed\n", 0)
    assert not (tmp_path / "mail.db-wal").exists()


def test_relay_with_a_full_disk_refuses_messages_and_still_deletes(tmp_path: Path) -> None:
    message = SampleMessage(sealed=bytes(100_000))
    with (
        disk_relay(tmp_path, SettableClock(), bytes_max=700_000) as relay,
        serve_app(relay_app(relay)) as url,
        new_relay_client() as web,
    ):
        courier = HttpCourier(web)
        courier.create_mailbox(url, message.mailbox, message.owner)
        courier.register_token(url, message.mailbox, message.owner, message.send_token())
        envelopes = [message.new_envelope() for _ in range(8)]
        with pytest.raises(DiskFull) as full:
            post_envelopes(courier, url, message, envelopes)
        assert isinstance(full.value, RelayFull)
        kept = all_waiting_envelopes(courier, url, message)
        assert [one.id for one in kept] == [envelope.id for envelope in envelopes[: len(kept)]]
        courier.acknowledge(url, message.mailbox, message.owner, kept[0].id)
        courier.post(url, message.token, envelopes[len(kept)])


def post_envelopes(
    courier: HttpCourier, url: str, message: SampleMessage, envelopes: list[Envelope]
) -> None:
    for envelope in envelopes:
        courier.post(url, message.token, envelope)


def test_server_that_is_no_relay_is_refused(tmp_path: Path) -> None:
    """The server answers 200 to every PUT request, as sign-in pages do."""
    script = "import http.server as h\n" + SIGN_IN_PAGE_PROGRAM
    with start_program(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        with new_relay_client() as web, pytest.raises(NotARelay, match="no Entrenous relay"):
            HttpCourier(web).post(url, SampleMessage().token, SampleMessage().new_envelope())
        process.kill()


SIGN_IN_PAGE_PROGRAM = """
class Page(h.BaseHTTPRequestHandler):
    def do_PUT(self):
        self.rfile.read(int(self.headers['content-length']))
        self.send_response(200); self.end_headers(); self.wfile.write(b'Welcome')
server = h.HTTPServer(('127.0.0.1', 0), Page)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@pytest.mark.threat("hostile-network")
def test_client_requires_tls_1_3_and_a_valid_certificate() -> None:
    with new_relay_client() as web:
        transport = web._transport._make(httpx.URL("https://relay.example"))  # type: ignore[attr-defined]
        context = transport._pool._ssl_context
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


def test_large_blob_is_transferred_unchanged(tmp_path: Path) -> None:
    """The relay stores the blob of ten megabytes outside the database, and deletes the blob after
    an opening.
    """
    message = SampleMessage()
    message.blob = SeededRandomSource().token(10_000_000)
    with (
        disk_relay(tmp_path, SettableClock()) as relay,
        serve_app(relay_app(relay)) as url,
        new_relay_client() as web,
    ):
        courier = HttpCourier(web)
        courier.create_mailbox(url, message.mailbox, message.owner)
        courier.register_token(url, message.mailbox, message.owner, message.send_token())
        courier.upload_blob(url, message.token, message.blob_deposit(), message.blob)
        courier.post(url, message.token, message.envelope(opens=1))
        assert download_bytes(courier, url, message.blob_id, message.fetch) == message.blob
        assert (tmp_path / "mail.db").stat().st_size < 1_000_000
        attempt = message.new_attempt()
        courier.open_share(url, message.id, message.open, attempt)
        courier.finish_opening(url, message.id, message.open, attempt)
        assert list((tmp_path / "blobs").iterdir()) == []
        assert (
            courier.envelope_status(url, message.id, message.withdraw).state is EnvelopeState.OPENED
        )
