"""After killed fetches from another gate, the next fetch gets all claims.

A later fetch gets the withdrawals too.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from threading import Event

import pytest
import typer
from starlette.types import ASGIApp, Receive, Scope, Send
from typer.testing import CliRunner

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.connectors.exchange.commands import add_commands
from entrenous.connectors.exchange.exchange_access import PartnerAuth
from entrenous.connectors.exchange.exchange_app import exchange_app
from entrenous.stop.banks import import_hashes
from entrenous.stop.exchange_nouns import ExchangeServices
from entrenous.stop.exchange_serving import add_exchange_partner, update_exchange_state
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.platform import Platform
from entrenous.stop.registration import ClaimEvent
from entrenous.stop.store.open_gate import open_exchange, open_platform
from tests.ready import start_program
from tests.real.exchange_server import DelayedClock, serve_app
from tests.stop.exchange.exchange_for_tests import fake_hash

pytestmark = pytest.mark.real

HASH_COUNT = 2500
EXCHANGE_COMMAND_PROGRAM = """
import sys
import typer
from entrenous.connectors.exchange.commands import add_commands
from entrenous.stop.store.open_gate import open_exchange
app = typer.Typer()
add_commands(app)
app(sys.argv[1:])
"""


def run_exchange_command(data_folder: Path, *words: str) -> None:
    """Run a command of ``gate exchange`` in this process."""
    app = typer.Typer()
    add_commands(app)
    done = CliRunner().invoke(app, ["exchange", *words, "--data", str(data_folder)])
    assert done.exit_code == 0, done.output


@contextmanager
def run_fetch(data_folder: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a fetch in its own process, and kill it at the end."""
    program = [
        sys.executable,
        "-c",
        EXCHANGE_COMMAND_PROGRAM,
        "exchange",
        "fetch",
        "--data",
        str(data_folder),
    ]
    with start_program(program) as process:
        try:
            yield process
        finally:
            process.kill()


class PageCounter:
    """An ASGI application that sets ``pages_reached`` at the ``page_count``-th request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.pages_left, self.pages_reached = app, 0, Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.pages_left -= 1
        if self.pages_left == 0:
            self.pages_reached.set()
        await self.app(scope, receive, send)

    def start_counting(self, page_count: int) -> None:
        self.pages_left = page_count
        self.pages_reached.clear()


@dataclass(frozen=True)
class ServingGate:
    """A gate that serves claims to a partner. The gate's clock is five seconds behind, since a
    partner asks the NCMEC interface only for changes that are at least five seconds old.
    """

    platform: Platform
    exchange: ExchangeServices
    page_counter: PageCounter
    partner_key: str
    port: int


@contextmanager
def run_serving_gate(folder: Path) -> Iterator[ServingGate]:
    with open_platform(folder) as (opened, _):
        platform = replace(opened, clock=DelayedClock(20))
        exchange = open_exchange(platform)
        key = add_exchange_partner("friends", [PEOPLE_BANK], exchange).reveal().decode()
        lines = "\n".join(fake_hash(number).hex() for number in range(HASH_COUNT))
        import_hashes(lines, PEOPLE_BANK, platform)
        update_exchange_state(exchange)
        platform.clock.advance(seconds=15)  # type: ignore[attr-defined]
        pages = PageCounter(exchange_app(PartnerAuth(exchange)))
        with serve_app(pages) as port:
            yield ServingGate(platform, exchange, pages, key, port)


def stored_hashes(folder: Path, bank: str) -> set[bytes]:
    with open_platform(folder) as (platform, _):
        known = {entry.number: entry.bits for entry in platform.bank.entries(0)}
        found = platform.bank.claims_on_pictures(known)
        assert len(found) == len({claim.id for _, claim in found})
        return {known[number] for number, claim in found if claim.bank == BankName(bank)}


def withdraw(platform: Platform, count: int) -> set[bytes]:
    """Withdraw ``count`` claims, and return the remaining hashes."""
    known = {entry.number: entry.bits for entry in platform.bank.entries(0)}
    claims = dict[ClaimId, bytes]()
    for number, claim in platform.bank.claims_on_pictures(known):
        claims[claim.id] = known[number]
    for claim_id in list(claims)[:count]:
        platform.bank.apply_event(claim_id, ClaimEvent.WITHDRAW)
        del claims[claim_id]
    return set(claims.values())


@pytest.mark.parametrize(
    ("exchange_kind", "url_path", "key_format"),
    [("stopncii", "stopncii/v1", "{key},{key}"), ("ncmec", "ncmec", "friends:{key}")],
)
def test_claims_and_withdrawals_are_fetched_and_kills_lose_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exchange_kind: str,
    url_path: str,
    key_format: str,
) -> None:
    rng, data_folder = Random(exchange_kind), tmp_path / "ours"
    with run_serving_gate(tmp_path / "theirs") as their_gate:
        monkeypatch.setenv(
            "ENTRENOUS_EXCHANGE_THEIRS", key_format.format(key=their_gate.partner_key)
        )
        url = f"http://127.0.0.1:{their_gate.port}/{url_path}"
        with open_platform(data_folder):
            pass  # opening the folder creates our gate
        options = ("--kind", exchange_kind, "--from", url, "--bank", "got")
        run_exchange_command(data_folder, "add", "theirs", *options)
        for page_count in (1, 2, 2):
            their_gate.page_counter.start_counting(page_count)
            with run_fetch(data_folder):
                assert their_gate.page_counter.pages_reached.wait(120)
                time.sleep(rng.random() / 10)  # kill the fetch during this page or after it
        run_exchange_command(data_folder, "fetch")
        assert stored_hashes(data_folder, "got") == {
            fake_hash(number) for number in range(HASH_COUNT)
        }
        remaining_hashes = withdraw(their_gate.platform, 10)
        update_exchange_state(their_gate.exchange)
        time.sleep(2)
        run_exchange_command(data_folder, "fetch")
        assert stored_hashes(data_folder, "got") == remaining_hashes
