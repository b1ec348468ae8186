"""Measure how fast the app's pages answer on a large vault, and how soon a browser paints them.

    python -m bench.app [--messages 5000] [--cases 500] [--runs 40]

The benchmark starts a relay, creates a device for Ana and one for Ben, and fills them through the
product's own rules: texts in both directions, and cases with sightings in Ana's vault. Then the
real app opens Ana's vault. Every page that its links lead to is requested ``runs`` times, in turns
with a bare Starlette page on the same HTTP server. ``p95`` is the 95th percentile of the times: one
answer in 20 takes longer. The ratio is ``p95`` divided by the bare page's median. Chromium shows
each page three times in a window of a phone's size, to measure the median time to the first paint
and the bytes that a page loads apart from pictures. The last line is JSON.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import httpx
from playwright.sync_api import Page

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.cases import fill as open_cases
from entrenous.base.environment import read_settings
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.identities import contacts
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.send import send_message
from entrenous.send.set_up import set_up
from tests.app.client import Client, open_client
from tests.app.page_walker import route_of
from tests.app.served import PASSPHRASE, PHONE, run_app, run_chromium
from tests.real.processes import Server
from tests.vaults import create_device

SCHEMA: Final = "entrenous/bench-app/1"
P95_MS_MAX: Final = 100.0
PAINT_MS_MAX: Final = 300.0
BYTES_MAX: Final = 120_000
_TEXTS_PER_FETCH: Final = 20  # messages between two fetches
_PAINT_RUNS: Final = 3
_BARE: Final = """
import sys
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from entrenous.serving.http_server import serve

page = HTMLResponse("<!doctype html><title>Page</title><p>" + "bare " * 500)
app = Starlette(routes=[Route("/", lambda _: page)])
serve(app, "127.0.0.1", 0, lambda url: print(url, flush=True))
"""
_PAINT: Final = """() => {
  const files = performance.getEntriesByType("resource").filter(
    (one) => one.initiatorType !== "img" && !one.name.endsWith(".svg"));
  const all = [...performance.getEntriesByType("navigation"), ...files];
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return [paint ? paint.startTime : 0, all.reduce((sum, one) => sum + one.transferSize, 0)];
}"""


def fill(ana: Device, ben: Device, messages: int) -> None:
    """Let Ana and Ben exchange ``messages`` texts, nine of ten from Ben."""
    add_person(make_invite_link(ben), "Ben", ana)
    flush_outbox(ana)
    for device in (ben, ana, ben):
        fetch_messages(device)
        flush_outbox(device)
    for start in range(0, messages, _TEXTS_PER_FETCH):
        for number in range(start, min(start + _TEXTS_PER_FETCH, messages)):
            _write(f"Text number {number}, about the weekend", ana if number % 10 == 0 else ben)
        for device in (ana, ben):
            fetch_messages(device)
            flush_outbox(device)


def _write(text: str, device: Device) -> None:
    to = (contacts(device)[0].name,)
    until = device.clock.now() + timedelta(days=20)
    send_message(Draft((), to, MessagePolicy(until), text=text, confirmed=frozenset(to)), device)


def crawl(ana: Client, first: str) -> dict[str, str]:
    """Follow links from ``first`` to every page, and return one address for each route's name."""
    found, queue = dict[str, str](), [first]
    while queue:
        path = queue.pop(0)
        answer = ana.get(path)
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        found[route_of(path)] = path
        for link in re.findall(r'href="(/[^"#?]*)', answer.text):
            name = route_of(link)
            if name and name not in found and name not in map(route_of, queue):
                queue.append(link)
    return found


def elapsed_ms(ask: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    ask()
    return (time.perf_counter() - began_s) * 1000


@contextmanager
def bare_page() -> Iterator[httpx.Client]:
    """Serve a bare page with the app's HTTP server but none of the app's own code."""
    command = [sys.executable, "-c", _BARE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        if process.stdout is None:
            raise RuntimeError
        try:
            with httpx.Client(base_url=process.stdout.readline().strip(), trust_env=False) as web:
                yield web
        finally:
            process.terminate()


def measure_pages(ana: Client, pages: dict[str, str], runs: int) -> tuple[dict[str, float], float]:
    """Return each page's p95 in milliseconds, and the bare page's median."""
    bare, p95 = list[float](), dict[str, float]()
    with bare_page() as other:
        other.get("/")
        for name, path in pages.items():
            ana.get(path)
            took = list[float]()
            for _ in range(runs):
                took.append(elapsed_ms(lambda path=path: ana.get(path)))  # type: ignore[misc]
                bare.append(elapsed_ms(lambda: other.get("/")))
            p95[name] = round(quantiles(took, n=20)[-1], 1)
    return p95, round(median(bare), 2)


def measure_paint(
    address: str, cookies: dict[str, str], pages: dict[str, str]
) -> dict[str, tuple[float, int]]:
    """Return each page's median time to the first paint in ms, and its bytes without pictures."""
    found = {}
    with run_chromium(whole=True) as browser, browser.new_context(viewport=PHONE) as context:
        context.add_cookies(
            [{"name": name, "value": value, "url": address} for name, value in cookies.items()]
        )
        page = context.new_page()
        page.goto(address)
        for name, path in pages.items():
            paints = [_paint_and_size(page, address + path) for _ in range(_PAINT_RUNS)]
            paint, size = median(paint for paint, _ in paints), paints[0][1]
            found[name] = (round(paint, 1), int(size))
    return found


def _paint_and_size(page: Page, address: str) -> tuple[float, float]:
    page.goto(address)
    page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
    paint, size = page.evaluate(_PAINT)
    return paint, size


def measure(messages: int, cases: int, runs: int) -> dict[str, Any]:
    words = Secret(PASSPHRASE.encode())
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        relay = Server(folder / "relay", ("relay", "run"))
        relay.start()
        stack.callback(relay.stop)
        began_s = time.perf_counter()
        with ExitStack() as devices:
            ana, ben = (
                devices.enter_context(create_device(_settings(folder / name), lambda: words))
                for name in ("ana", "ben")
            )
            for name, device in (("Ana", ana), ("Ben", ben)):
                set_up(name, relay.url, device)
            open_cases(ana, cases)
            fill(ana, ben, messages)
        built_s = time.perf_counter() - began_s
        app = stack.enter_context(run_app(folder / "ana", ENTRENOUS_PAUSE="0"))
        with open_client(app) as client:
            unlock_ms = elapsed_ms(client.unlock)
            pages = crawl(client, "/")
            p95, bare = measure_pages(client, pages, runs)
            painted = measure_paint(app.address, dict(client.web.cookies), pages)
    return {
        "schema": SCHEMA,
        "messages": messages,
        "cases": cases,
        "runs": runs,
        "built_s": round(built_s, 1),
        "unlock_ms": round(unlock_ms),
        "bare_ms": bare,
        "pages": {
            name: {
                "p95_ms": took,
                "over_bare": round(took / bare, 1),
                "paint_ms": painted[name][0],
                "bytes": painted[name][1],
            }
            for name, took in p95.items()
        },
    }


def _settings(home: Path) -> Any:
    return read_settings({"ENTRENOUS_HOME": str(home), "ENTRENOUS_PAUSE": "0"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5_000)
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--runs", type=int, default=40)
    chosen = parser.parse_args()
    found = measure(chosen.messages, chosen.cases, chosen.runs)
    lines = [
        f"{name}: p95 {one['p95_ms']} ms (at most {P95_MS_MAX:.0f}), {one['over_bare']} x a bare "
        f"page; first paint {one['paint_ms']} ms (at most {PAINT_MS_MAX:.0f}), "
        f"{one['bytes'] // 1000} KB (at most {BYTES_MAX // 1000})"
        for name, one in found["pages"].items()
    ]
    sys.stdout.write("\n".join([*lines, json.dumps(found)]) + "\n")


if __name__ == "__main__":
    main()
