"""Measure how fast the messages page and a conversation answer on a device with many messages.

    python -m bench.conversations [--runs 40] [--messages 5000]
    python -m bench.conversations --photo [--runs 5]

The benchmark fills a vault on disk. Fifty people are added by their invitation links. The newest
forty messages come through a real relay, and are opened; the earlier ones are stored directly, as
sending and fetching store them. Then the real program serves its pages, and each page is requested
repeatedly over HTTP, while the program fetches messages and queries the status of its copies, as it
always does. Each figure is the 95th percentile in milliseconds, and its ratio to that of a bare
page of the same framework, served by another process. With ``--photo``, only one figure is
measured, on a device with one person and no messages: how long it takes from pressing Send, with a
photograph of 12 megapixels, to the page that shows progress. The last line is JSON.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import httpx

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.send import new_device, photograph, run_relay
from entrenous.base.environment import read_settings
from entrenous.base.identifiers import ID_BYTES, EnvelopeId, MessageId, RecipientId
from entrenous.base.identity import Contact
from entrenous.base.secret import Secret
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.device.device import Device
from entrenous.device.identities import contacts, own_device
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, CopyDelivery, Message, SendState
from entrenous.send.clock_sanity import now_in_whole_seconds
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import (
    index_message_name,
    new_message_name,
    received_messages,
    store_message_state,
)
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.message.states import InboxState, ReceivedMessage
from entrenous.send.message_index import index_copy
from entrenous.send.open import open_message
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.send import send_message
from entrenous.send.set_up import set_up
from entrenous.wire.relay_nouns import EnvelopeState
from tests.app.served import PASSPHRASE, run_app
from tests.in_memory.vault import MemoryVault
from tests.real.processes import wait_until
from tests.vaults import create_device, open_device

SCHEMA: Final = "entrenous/bench-conversations/1"
PAGE_MS_MAX: Final = 100.0
PROGRESS_MS_MAX: Final = 200.0
_PEOPLE: Final = 50
_REAL: Final = 40  # messages that come through the relay
_SEALED_WITHIN_S: Final = 120
_BARE: Final = """
import sys, socket, uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
taken = socket.create_server(("127.0.0.1", 0))
print(taken.getsockname()[1], flush=True)
app = Starlette(routes=[Route("/", lambda _: HTMLResponse("<p>bare</p>" * 100))])
uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[taken])
"""


def fill(home: Path, url: str, messages: int, people: int = _PEOPLE) -> None:
    """Create a device with ``messages`` messages, about half of them sent by it.

    The first contact has more of them than any other; the newest messages with that contact come
    through the relay and are opened.
    """
    settings = read_settings({"ENTRENOUS_HOME": str(home)})
    secret = Secret(PASSPHRASE.encode())
    with create_device(settings, lambda: secret) as ana:
        set_up("Ana", url, ana)
    with open_device(settings, lambda: secret) as ana, closing(new_relay_client()) as client:
        friends = [new_device(MemoryVault(), HttpCourier(client, 20.0)) for _ in range(people)]
        for number, friend in enumerate(friends):
            set_up(f"Friend {number}", url, friend)
            add_person(make_invite_link(friend), f"Friend {number}", ana)
        fetch_messages(ana)
        if not messages:
            return
        _fill(messages - _REAL, ana)
        fetch_messages(friends[0])
        for number in range(_REAL):
            _text(friends[0], "Ana", number)
        fetch_messages(ana)
        for received in received_messages(ana)[-_REAL:]:
            open_message(received.name, ana)


def _fill(messages: int, ana: Device) -> None:
    """Store earlier messages as sending and fetching do, in one transaction."""
    known = contacts(ana)
    began = now_in_whole_seconds(ana) - timedelta(days=300)
    until = now_in_whole_seconds(ana) + timedelta(days=7)
    with ana.vault.transaction():
        for number in range(messages):
            contact = known[0 if number % 5 == 0 else number % len(known)]
            at = began + timedelta(minutes=number)
            (_sent if number % 2 else _received)(number, contact, at, until, ana)


def _sent(number: int, contact: Contact, at: datetime, until: datetime, ana: Device) -> None:
    message = MessageId(ana.random_source.token(ID_BYTES))
    text = f"what I wrote, number {number}"
    ana.ledger.store_message(Message(message, new_message_name(ana), at, (), text, until))
    copy = CopyDelivery(
        message,
        RecipientId(contact.name),
        contact.person.id,
        contact.person.devices[0].device,
        own_device(ana).home.relay_url,
        EnvelopeId(ana.random_source.token(ID_BYTES)),
        Secret(ana.random_source.token(32)),
        EnvelopeState.OPENED,
        SendState.ACKNOWLEDGED,
        opened=True,
    )
    COPY_DELIVERY_TABLE.store(copy, copy.envelope.hex(), ana.vault)
    index_copy(copy, at, ana.vault)


def _received(number: int, contact: Contact, at: datetime, until: datetime, ana: Device) -> None:
    received = ReceivedMessage(
        id=MessageId(ana.random_source.token(ID_BYTES)),
        name=new_message_name(ana),
        sender=contact.person.id,
        sender_name=contact.name,
        sent_at=at,
        envelope=EnvelopeId(ana.random_source.token(ID_BYTES)),
        relay_url=own_device(ana).home.relay_url,
        expires_at=until,
        opens=None,
        state=InboxState.OPENED if number % 10 else InboxState.WAITING,
        text=f"what they wrote, number {number}",
        sequence=number,
    )
    store_message_state(received, received.state, ana)
    index_message_name(received, ana)


def _text(device: Device, to: str, number: int) -> None:
    until = device.clock.now() + timedelta(days=7)
    words = f"message number {number}"
    send_message(
        Draft((), (RecipientId(to),), MessagePolicy(until), confirmed=frozenset({to}), text=words),
        device,
    )


@dataclass(frozen=True, slots=True)
class Page:
    """A page's 95th percentile of answer times in milliseconds, and its size in KiB."""

    name: str
    p95_ms: float
    kilobytes: float


def measure(runs: int, messages: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, run_relay(Path(folder) / "relay") as url:
        home = Path(folder) / "ana"
        began = time.perf_counter()
        fill(home, url, messages)
        built_s = time.perf_counter() - began
        with run_app(home) as app, httpx.Client(base_url=app.address, timeout=60) as browser:
            browser.get(app.link)
            _unlock(browser)
            addresses = _addresses(browser)
            time.sleep(20.0)  # until the first fetch is over, which no page shows
            pages = [_timed(name, browser, at, runs) for name, at in addresses.items()]
            progress_ms = _time_to_progress_ms(browser, photograph(12.0))
        with _bare() as bare:
            floor = _timed("bare", bare, "/", runs)
    return {
        "schema": SCHEMA,
        "messages": messages,
        "people": _PEOPLE,
        "built_s": round(built_s, 1),
        "photo_to_progress_ms": round(progress_ms),
        "bare_p95_ms": round(floor.p95_ms, 2),
        **{f"{one.name}_p95_ms": round(one.p95_ms, 1) for one in pages},
        **{f"{one.name}_over_bare": round(one.p95_ms / floor.p95_ms, 1) for one in pages},
        **{f"{one.name}_kb": round(one.kilobytes, 1) for one in pages},
    }


def measure_photo(runs: int) -> dict[str, Any]:
    """Measure how soon a photograph that is sent shows progress, on an otherwise empty device."""
    with tempfile.TemporaryDirectory() as folder, run_relay(Path(folder) / "relay") as url:
        home = Path(folder) / "ana"
        fill(home, url, messages=0, people=1)
        with run_app(home) as app, httpx.Client(base_url=app.address, timeout=60) as browser:
            browser.get(app.link)
            _unlock(browser)
            photo = photograph(12.0)
            took = [_time_to_progress_ms(browser, photo) for _ in range(runs)]
    return {
        "schema": SCHEMA,
        "photo_to_progress_ms": [round(one) for one in took],
        "photo_to_progress_ms_max": round(max(took)),
    }


def _unlock(browser: httpx.Client) -> None:
    here = {"sec-fetch-site": "same-origin"}
    form = {"passphrase": PASSPHRASE}
    browser.post("/1", data=form, headers=here, follow_redirects=True).raise_for_status()


def _addresses(browser: httpx.Client) -> dict[str, str]:
    """Return the addresses of the pages to measure; the conversation is the inbox's first."""
    inbox = browser.get("/40").text
    first = inbox.partition('href="/41/')[2].partition('"')[0]
    return {
        "first_page": "/",
        "messages": "/40",
        "conversation": f"/41/{first}",
        "older": f"/41/{first}/400",
        "write": "/10",
    }


def _time_to_progress_ms(browser: httpx.Client, photo: bytes) -> float:
    """Send a photograph, and return the time from pressing Send to the page that shows progress."""
    here = {"sec-fetch-site": "same-origin"}
    form = {"to": "Friend 0", "days": "7", "text": ""}
    kept = browser.post("/10", data=form, files={"file": ("a.jpg", photo)}, headers=here)
    if "location" not in kept.headers:
        raise RuntimeError(f"the photograph was not accepted: {kept.text}")
    review = kept.headers["location"]
    asked = re.findall(r"To confirm, type the name: ([^<\n]+)", browser.get(review).text)
    began = time.perf_counter()
    started = browser.post(review, data={"confirm": asked}, headers=here)
    shown = browser.get(started.headers["location"])
    took_ms = (time.perf_counter() - began) * 1000.0
    if "<progress" not in shown.text:
        raise RuntimeError("the page after Send shows no progress")
    # The next measurement starts only after this photograph is sealed.
    if not wait_until(
        lambda: browser.get(started.headers["location"]).has_redirect_location, _SEALED_WITHIN_S
    ):
        raise RuntimeError(f"the photograph was not sealed within {_SEALED_WITHIN_S} s")
    return took_ms


def _timed(name: str, browser: httpx.Client, address: str, runs: int) -> Page:
    took, size = list[float](), 0
    for _ in range(runs):
        began = time.perf_counter()
        answer = browser.get(address)
        took.append((time.perf_counter() - began) * 1000.0)
        answer.raise_for_status()
        size = len(answer.content)
    return Page(name, quantiles(took, n=20)[-1], size / 1024)


@contextmanager
def _bare() -> Iterator[httpx.Client]:
    with subprocess.Popen(  # noqa: S603 - our own program
        (sys.executable, "-c", _BARE), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            port = "" if process.stdout is None else process.stdout.readline().strip()
            with httpx.Client(base_url=f"http://127.0.0.1:{port}") as browser:
                yield browser
        finally:
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--messages", type=int, default=5_000)
    parser.add_argument("--photo", action="store_true", help="only how soon a send shows progress")
    chosen = parser.parse_args()
    if chosen.photo:
        found = measure_photo(min(chosen.runs, 5))
        slowest = found["photo_to_progress_ms_max"]
        line = f"photo to progress: {slowest} ms, at most {PROGRESS_MS_MAX:.0f}"
        sys.stdout.write(f"{line}\n{json.dumps(found)}\n")
        return
    found = measure(chosen.runs, chosen.messages)
    names = [key.removesuffix("_p95_ms") for key in found if key.endswith("_p95_ms")]
    lines = [
        f"{name}: {found[f'{name}_p95_ms']} ms, at most {PAGE_MS_MAX:.0f}; "
        f"{found[f'{name}_over_bare']} x a bare page; {found[f'{name}_kb']} KB"
        for name in names
        if name != "bare"
    ]
    sys.stdout.write("\n".join([*lines, json.dumps(found)]) + "\n")


if __name__ == "__main__":
    main()
