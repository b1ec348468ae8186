"""Measure how much longer sending takes with a separate connection for each token.

    python -m bench.transport --against DIR [--pairs 15] [--megapixels 12] [--people 1]

One vault sends the same photograph over TLS 1.3 through a relay on this machine, alternately with
the client of the tree in ``DIR`` (``git worktree add --detach DIR COMMIT``) and with that of this
tree. Each time a new process fetches messages and then sends; both are timed. Neither client makes
random pauses (relay.md section 14), since their length is a setting. ``ratio`` is the median of the
ratios of all pairs; the limit is 1.5. With ``--text`` a text is sent, whose time is nearly all
transport. The last line is JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import entrenous
from bench.send import photograph
from entrenous.base.environment import SystemClock, SystemRandomSource
from entrenous.base.secret import Secret
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.device.device import Device, Vault
from entrenous.device.identities import contacts
from entrenous.device.store.ledger import VaultLedger
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.media.sandbox.decoders import decode_picture_untrusted
from entrenous.send.fetch import fetch_messages
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.send import send_message
from entrenous.send.set_up import set_up
from tests.in_memory.vault import MemoryVault

SCHEMA: Final = "entrenous/bench-transport/1"
ROOT: Final = Path(__file__).parents[1]
_KEY: Final = Secret(bytes(32))


def measure(against: Path, photo: bytes | None, people: int, pairs: int) -> dict[str, Any]:
    """Measure sends with both trees alternately; return median seconds and the median ratio."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if photo is not None:
            (folder / "photo").write_bytes(photo)
        cert = _certificate(folder)
        with _relay(folder, cert) as url:
            _prepare(folder, url, people)
            seconds = [
                (_send_seconds(against, folder), _send_seconds(ROOT, folder))
                for _ in range(pairs + 1)
            ]
    seconds = seconds[1:]  # the first pair loads both trees from the disk
    return {
        "schema": SCHEMA,
        "people": people,
        "photo_mb": round(len(photo or b"") / 1e6, 2),
        "against_s": round(statistics.median(before for before, _ in seconds), 4),
        "ours_s": round(statistics.median(ours for _, ours in seconds), 4),
        "ratio": round(statistics.median(ours / before for before, ours in seconds), 4),
    }


def _send_seconds(tree: Path, folder: Path) -> float:
    """Return the seconds that one run of :func:`send` takes with the program of that tree."""
    done = subprocess.run(  # noqa: S603 - this very program, over that tree's
        (sys.executable, "-m", "bench.transport", "--send", str(folder)),
        env={**os.environ, "PYTHONPATH": f"{tree / 'src'}{os.pathsep}{ROOT}"},
        check=True,
        stdout=subprocess.PIPE,
    )
    result = json.loads(done.stdout)
    assert result["tree"] == str(tree / "src"), result  # noqa: S101
    return float(result["seconds"])


def send(folder: Path) -> dict[str, Any]:
    """Fetch messages, then send the photograph, or a text if there is none.

    Return the tree that was imported, and the seconds that both steps took.
    """
    photo = folder / "photo"
    with _device(SqlcipherVault(folder / "ana", _KEY), folder / "cert.pem") as ana:
        names = tuple(one.name for one in contacts(ana))
        policy = MessagePolicy(ana.clock.now() + timedelta(days=1))
        typed = frozenset(map(str, names))
        what: dict[str, Any] = (
            {"files": (photo.read_bytes(),)}
            if photo.exists()
            else {
                "files": (),
                "text": "hello",
            }
        )
        began = time.perf_counter()
        fetch_messages(ana)
        send_message(Draft(to=names, policy=policy, confirmed=typed, **what), ana)
        seconds = time.perf_counter() - began
    return {"tree": str(Path(entrenous.__file__).parents[1]), "seconds": seconds}


def _prepare(folder: Path, url: str, people: int) -> None:
    """Create Ana's vault with ``people`` contacts, each of whom has fetched her hello."""
    (folder / "ana").mkdir()
    cert = folder / "cert.pem"
    with _device(SqlcipherVault(folder / "ana", _KEY), cert) as ana:
        set_up("ana", url, ana)
        for number in range(people):
            with _device(MemoryVault(), cert) as friend:
                set_up(f"friend {number}", url, friend)
                add_person(make_invite_link(friend), f"friend {number}", ana)
                fetch_messages(friend)
        fetch_messages(ana)


@contextmanager
def _device(vault: Vault, cert: Path) -> Iterator[Device]:
    with new_relay_client(cert) as client:
        clock, random_source, courier = (
            SystemClock(),
            SystemRandomSource(),
            HttpCourier(client, 20.0),
        )
        device = Device(
            clock, random_source, vault, VaultLedger(vault), courier, decode_picture_untrusted
        )
        if isinstance(vault, SqlcipherVault):
            with closing(vault):
                yield device
        else:
            yield device


def _certificate(folder: Path) -> Path:
    """Create a self-signed certificate for 127.0.0.1 with openssl, and return its path."""
    subprocess.run(  # noqa: S603 - openssl, with fixed arguments
        (
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2"),
            *("-subj", "/CN=relay", "-addext", "subjectAltName=IP:127.0.0.1"),
        ),
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder / "cert.pem"


@contextmanager
def _relay(folder: Path, cert: Path) -> Iterator[str]:
    """Run a real relay with this certificate in a separate process, and yield its URL."""
    settings = folder / "relay.toml"
    settings.write_text(
        f'listen = "127.0.0.1:0"\nfree_mb_min = 0\ntls_cert = "{cert.name}"\ntls_key = "key.pem"\n'
    )
    command = (sys.executable, "-m", "entrenous", "relay", "run", "--settings", str(settings))
    with subprocess.Popen(  # noqa: S603 - our own program
        (*command, "--json"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as relay:
        try:
            line = b"" if relay.stdout is None else relay.stdout.readline()
            yield str(json.loads(line)["url"])
        finally:
            relay.terminate()


def main() -> None:
    """Measure, and print a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", type=Path)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--people", type=int, default=1)
    parser.add_argument("--text", action="store_true")
    parser.add_argument("--send", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.send:
        sys.stdout.write(json.dumps(send(asked.send)) + "\n")
        return
    if asked.against is None:
        parser.error("--against DIR is needed: the tree to compare with")
    photo = None if asked.text else photograph(asked.megapixels)
    result = measure(asked.against.resolve(), photo, asked.people, asked.pairs)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
