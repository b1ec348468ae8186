"""Measure what sending costs: sealing 60 different copies, and sending a picture to 256 people.

    python -m bench.send [--quick] [--photo FILE] [--people 256] [--copies 60] [--megabytes 5]

``crypto_s`` is the processor time for all that sending does with ``--copies`` copies of
``--megabytes`` megabytes, except marking, uploading and setting up sessions: each copy is hashed,
encrypted and written to disk, and a letter about it is sealed to its recipient. ``sealing_s`` is
the wall-clock time of the same work, with waits for the disk and for other programs.

The picture is then sent as ``entrenous send`` does, by a separate process, to people who each have
a mailbox at a real relay on this machine. ``rss_mb`` is the peak memory of that process, and
``leave_s`` the wall-clock time of sending. The picture has 12 megapixels, or one with ``--quick``.
The last line is JSON.
"""

import argparse
import io
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import skimage.data
from PIL import Image

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from entrenous.base.environment import SystemClock, SystemRandomSource
from entrenous.base.identifiers import ID_BYTES, MessageId, MessageName, RecipientId
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.device.device import Device, Vault
from entrenous.device.identities import contacts
from entrenous.device.store.ledger import VaultLedger
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.media.sandbox.decoders import decode_picture_untrusted
from entrenous.send.clock_sanity import now_in_whole_seconds
from entrenous.send.fetch import fetch_messages
from entrenous.send.letter.letter_nouns import ContentFile, PersonDeviceListHead
from entrenous.send.letter.sessions import ensure_session
from entrenous.send.letter.write import Addressee, addressees, seal_and_queue_letter
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.message.make import FileForDevice, SendingContext, seal_content
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.send import send_message
from entrenous.send.set_up import set_up
from tests.in_memory.vault import MemoryVault

SCHEMA: Final = "entrenous/bench-send/1"
_KEY: Final = Secret(bytes(32))


@dataclass(frozen=True, slots=True)
class Settings:
    """The numbers and sizes to measure with."""

    copies: int
    megabytes: float
    people: int
    photo: bytes


def measure(settings: Settings) -> dict[str, Any]:
    """Make both measurements, with the same people, and return the JSON line."""
    with tempfile.TemporaryDirectory() as place, run_relay(Path(place) / "relay") as url:
        home = Path(place) / "ana"
        home.mkdir()
        _prepare(home, url, max(settings.people, settings.copies))
        with _device(home) as ana:
            crypto_s, sealing_s = _seal(ana, settings)
        (Path(place) / "photo").write_bytes(settings.photo)
        asked = ("--send", str(home), "--file", str(Path(place) / "photo"))
        done = subprocess.run(  # noqa: S603 - this very program
            (sys.executable, "-m", "bench.send", *asked, "--people", str(settings.people)),
            check=True,
            stdout=subprocess.PIPE,
        )
        sent: dict[str, Any] = json.loads(done.stdout)
    return {
        "schema": SCHEMA,
        "copies": settings.copies,
        "copy_mb": settings.megabytes,
        "crypto_s": round(crypto_s, 2),
        "sealing_s": round(sealing_s, 2),
        "people": settings.people,
        "photo_mb": round(len(settings.photo) / 1e6, 2),
        **sent,
    }


def _seal(ana: Device, settings: Settings) -> tuple[float, float]:
    """Seal the copies and their letters, with sessions that already exist.

    Returns: the seconds of processor time and of wall-clock time.
    """
    to = _everybody(ana)[: settings.copies]
    for one in to:
        ensure_session(one, ana)
    sending = _sending(to, ana)
    data = secrets.token_bytes(round(settings.megabytes * 1e6))
    began = time.process_time(), time.perf_counter()
    with ana.vault.transaction():
        for one in to:
            own = FileForDevice(ContentFile("image/jpeg", data), sha256(data))
            sealed = seal_content((own,), None, one, sending, ana)
            seal_and_queue_letter(sealed.manifest, one, sealed.outer, ana)
    took = time.process_time() - began[0], time.perf_counter() - began[1]
    for key in ana.vault.keys("outbox"):
        ana.vault.drop("outbox", key)  # these letters must not be sent
    return took


def _sending(to: tuple[Addressee, ...], ana: Device) -> SendingContext:
    people = sorted({one.contact.person.id: one.contact.person for one in to}.items())
    return SendingContext(
        message=MessageId(ana.random_source.token(ID_BYTES)),
        name=MessageName("1-lunar-otter"),
        sent_at=now_in_whole_seconds(ana),
        policy=MessagePolicy(now_in_whole_seconds(ana) + timedelta(days=1)),
        audience=tuple(sorted((one.contact.person.id, one.key.device) for one in to)),
        heads=tuple(PersonDeviceListHead(who, person.epoch, person.head) for who, person in people),
        groups=Secret(ana.random_source.token(32)),
    )


def send(home: Path, file: Path, people: int) -> dict[str, Any]:
    """Send a file to the first ``people`` contacts; return devices, seconds and peak megabytes."""
    began = time.perf_counter()
    with _device(home) as ana:
        names = tuple(RecipientId(one.name) for one in contacts(ana))[:people]
        policy = MessagePolicy(ana.clock.now() + timedelta(days=1))
        draft = Draft((file.read_bytes(),), names, policy, confirmed=frozenset(map(str, names)))
        sent = send_message(draft, ana)
    return {
        "devices": sum(sent.devices.values()),
        "leave_s": round(time.perf_counter() - began, 1),
        "rss_mb": _peak_mb(),
    }


def _peak_mb() -> int:
    """Return this process's peak memory in MiB. getrusage would also count its parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


def _everybody(ana: Device) -> tuple[Addressee, ...]:
    return tuple(one for contact in contacts(ana) for one in addressees(contact, ana))


def _prepare(home: Path, url: str, people: int) -> None:
    """Set up a device with ``people`` contacts, added by invite, each with their own mailbox."""
    with _device(home) as ana, closing(new_relay_client()) as client:
        set_up("ana", url, ana)
        for number in range(people):
            friend = new_device(MemoryVault(), HttpCourier(client, 1.0))
            set_up(f"friend {number}", url, friend)
            add_person(make_invite_link(friend), f"friend {number}", ana)
        fetch_messages(ana)


@contextmanager
def _device(home: Path) -> Iterator[Device]:
    vault = SqlcipherVault(home, _KEY)
    with closing(vault), closing(new_relay_client()) as client:
        yield new_device(vault, HttpCourier(client, 20.0))


def new_device(vault: Vault, courier: HttpCourier) -> Device:
    clock, random_source = SystemClock(), SystemRandomSource()
    return Device(
        clock, random_source, vault, VaultLedger(vault), courier, decode_picture_untrusted
    )


@contextmanager
def run_relay(folder: Path) -> Iterator[str]:
    """Run a real relay in a separate process; yield its URL."""
    listen = ("--data", str(folder), "--listen", "127.0.0.1:0", "--json")
    command = (sys.executable, "-m", "entrenous", "relay", "run", *listen)
    with subprocess.Popen(  # noqa: S603 - our own program
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as relay:
        try:
            line = b"" if relay.stdout is None else relay.stdout.readline()
            yield str(json.loads(line)["url"])
        finally:
            relay.terminate()


def photograph(megapixels: float) -> bytes:
    """Return a JPEG of a photograph from scikit-image, enlarged, with noise like a camera's."""
    pixels = Image.fromarray(skimage.data.astronaut())
    side = round((megapixels * 1e6) ** 0.5)
    large = np.asarray(pixels.resize((side, side), Image.Resampling.LANCZOS), np.int16)
    noise = np.random.default_rng(7).normal(0, 3, large.shape)
    file = io.BytesIO()
    noisy = Image.fromarray(np.clip(large + noise, 0, 255).astype(np.uint8))
    noisy.save(file, "JPEG", quality=92, subsampling=0)
    return file.getvalue()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main() -> None:
    """Measure, and print a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--people", type=int, default=256)
    parser.add_argument("--copies", type=int, default=60)
    parser.add_argument("--megabytes", type=float, default=5.0)
    parser.add_argument("--send", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.send:
        _say(json.dumps(send(asked.send, asked.file, asked.people)))
        return
    large = photograph(1.0 if asked.quick else 12.0)
    photo = asked.photo.read_bytes() if asked.photo else large
    _say(json.dumps(measure(Settings(asked.copies, asked.megabytes, asked.people, photo))))


if __name__ == "__main__":
    main()
