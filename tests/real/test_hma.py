"""A real Hasher-Matcher-Actioner (HMA) fetches from our gate, and our gate fetches from HMA.

    ENTRENOUS_HMA=DIR ENTRENOUS_HMA_PYTHON=DIR/venv/bin/python pytest tests/real/test_hma.py

:mod:`bench.stopping.hma_server` says how to make DIR. The tests do what HMA's operator does: POST
the credentials to /c/exchanges/api/NAME and the exchange to /c/exchanges, then run HMA's commands
``flask fetch`` and ``flask build_indices``. StopNCII's base address is a part of the credentials.
The host of NCMEC is fixed: a proxy connects HMA to our gate, with a certificate of a
test authority that HMA trusts.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import typer
from starlette.applications import Starlette
from starlette.routing import Mount
from typer.testing import CliRunner

from bench.stopping.hma_server import Hma
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.connectors.exchange.commands import add_commands
from entrenous.connectors.exchange.exchange_access import PartnerAuth
from entrenous.connectors.exchange.exchange_app import exchange_app
from entrenous.connectors.exchange.serve_ncmec import ncmec_app
from entrenous.stop.banks import import_hashes
from entrenous.stop.exchange_nouns import ExchangeServices
from entrenous.stop.exchange_serving import add_exchange_partner, update_exchange_state
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.platform import Platform
from entrenous.stop.registration import ClaimEvent
from entrenous.stop.store.open_gate import open_exchange, open_platform
from tests.postgres import Cluster
from tests.real.exchange_server import DelayedClock, run_connect_proxy, serve_app
from tests.serving.certificates import write_authority_and_certificate
from tests.stop.exchange.exchange_for_tests import fake_hash

HMA_CHECKOUT, HMA_PYTHON = (
    os.environ.get(name) for name in ("ENTRENOUS_HMA", "ENTRENOUS_HMA_PYTHON")
)
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        not (HMA_CHECKOUT and HMA_PYTHON),
        reason="needs a checkout of facebook/ThreatExchange in ENTRENOUS_HMA, and in "
        "ENTRENOUS_HMA_PYTHON an interpreter that runs it: bench/stopping/hma_server.py",
    ),
]
NCMEC_HOST = "hashsharing-test.ncmec.org"
# An index of only a few hashes matches nothing after the index was saved (HMA's issue 1318).
CONFIRMED_COUNT, HASH_COUNT = 200, 300
OTHER_BANK_CONTENT_COUNT = 210  # contents that come before those of the fetched bank


@dataclass(frozen=True)
class RunningHma:
    """A running HMA, the URL, and an HTTP client."""

    hma: Hma
    url: str
    http: httpx.Client

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def fetch(self, exchange_name: str, **environment: str) -> Mapping[str, Any]:
        """Run HMA's fetcher and HMA's indexer; return the status of the exchange."""
        self.hma.flask("fetch", **environment)
        status = self.http.get(f"/c/exchange/{exchange_name}/status").json()
        assert status["last_fetch_succeeded"], (self.hma.folder / "flask.log").read_text()
        assert status["up_to_date"]
        self.hma.flask("build_indices")
        return dict(status)

    def contents(self, bank: str) -> dict[int, bytes]:
        """Return a bank's hashes by content number, for the numbers from 1 to HASH_COUNT."""
        found = dict[int, bytes]()
        for number in range(1, HASH_COUNT + 1):
            answer = self.http.get(
                f"/c/bank/{bank}/content/{number}", params={"include_signals": "true"}
            )
            if answer.is_success and answer.json()["bank"]["name"] == bank:
                found[number] = bytes.fromhex(answer.json()["signals"]["pdq"])
        return found

    def nearest_distance(self, bank: str, hash_bits: bytes) -> str | None:
        """Return the smallest distance that HMA finds in the bank, or None without a match."""
        answer = self.http.get(
            "/m/lookup", params={"signal": hash_bits.hex(), "signal_type": "pdq"}
        )
        assert answer.is_success, answer.text
        matches = answer.json().get(bank, [])
        return min((one["distance"] for one in matches), key=int, default=None)


@pytest.fixture
def hma_server(tmp_path: Path, postgres: Cluster) -> Iterator[RunningHma]:
    """Run an HMA with a new database, and without HMA's index cache, which delays matches."""
    name = f"hma{next(postgres.database_numbers)}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
    folder = tmp_path / "hma"
    folder.mkdir()
    settings = {"OMM_TASK_INDEX_CACHE": "false"}
    hma = Hma(
        Path(HMA_CHECKOUT or ""), Path(HMA_PYTHON or ""), postgres.url(name), folder, settings
    )
    assert hma.missing() is None
    hma.migrate()
    with hma.running(1) as (_, url), httpx.Client(base_url=url, timeout=60) as http:
        yield RunningHma(hma, url, http)


@dataclass(frozen=True)
class OurGate:
    """A gate with confirmed and waiting claims, and a partner's key."""

    platform: Platform
    exchange: ExchangeServices
    partner_key: str

    def withdraw(self, count: int) -> set[bytes]:
        """Withdraw ``count`` claims, and return the withdrawn hashes."""
        known = {entry.number: entry.bits for entry in self.platform.bank.entries(0)}
        withdrawn = dict[ClaimId, bytes]()
        for number, claim in self.platform.bank.claims_on_pictures(known):
            withdrawn[claim.id] = known[number]
        taken = dict(list(withdrawn.items())[:count])
        for claim_id in taken:
            self.platform.bank.apply_event(claim_id, ClaimEvent.WITHDRAW)
        update_exchange_state(self.exchange)
        time.sleep(2)  # timestamps are whole seconds
        return set(taken.values())


@pytest.fixture
def our_gate(tmp_path: Path) -> Iterator[OurGate]:
    with open_platform(tmp_path / "ours") as (opened, _):
        clock = DelayedClock(20)
        platform = replace(opened, clock=clock)
        exchange = open_exchange(platform)
        key = add_exchange_partner("friends", [PEOPLE_BANK], exchange).reveal().decode()
        for numbers, confirmed in (
            (range(CONFIRMED_COUNT), True),
            (range(CONFIRMED_COUNT, HASH_COUNT), False),
        ):
            lines = "\n".join(fake_hash(number).hex() for number in numbers)
            import_hashes(lines, PEOPLE_BANK, platform, confirmed=confirmed)
        update_exchange_state(exchange)
        # HMA's client requests only data that is at least five seconds old. Therefore this clock
        # stays five seconds behind.
        clock.advance(seconds=15)
        yield OurGate(platform, exchange, key)


def test_hma_imports_as_from_stopncii_and_keeps_withdrawn_hashes(
    our_gate: OurGate, hma_server: RunningHma
) -> None:
    with serve_app(exchange_app(PartnerAuth(our_gate.exchange))) as port:
        credentials = {
            "fetch_function_key": our_gate.partner_key,
            "subscription_key": our_gate.partner_key,
            "base_url_override": f"http://127.0.0.1:{port}/stopncii/v1",
        }
        credentials_answer = hma_server.post(
            "/c/exchanges/api/stop_ncii", {"credential_json": credentials}
        )
        assert credentials_answer["has_set_authentification"]
        hma_server.post("/c/exchanges", {"bank": "OUR_GATE", "api": "stop_ncii", "api_json": {}})
        assert hma_server.fetch("OUR_GATE")["fetched_items"] == HASH_COUNT
        assert set(hma_server.contents("OUR_GATE").values()) == all_hashes()
        # HMA does not distinguish confirmed hashes from those that wait for review.
        assert hma_server.nearest_distance("OUR_GATE", fake_hash(0)) == "0"
        assert hma_server.nearest_distance("OUR_GATE", fake_hash(CONFIRMED_COUNT)) == "0"
        [withdrawn] = our_gate.withdraw(1)
        assert hma_server.fetch("OUR_GATE")["fetched_items"] == HASH_COUNT
        # HMA's client compares the hash, not the status, with "Withdrawn", and keeps the hash.
        assert hma_server.nearest_distance("OUR_GATE", withdrawn) == "0"


def test_hma_imports_and_deletes_as_from_ncmec(
    our_gate: OurGate, hma_server: RunningHma, tmp_path: Path
) -> None:
    with serve_as_ncmec(our_gate, tmp_path) as environment:
        credentials = {"user": "friends", "password": our_gate.partner_key}
        hma_server.post("/c/exchanges/api/ncmec", {"credential_json": credentials})
        api_settings = {"environment": f"https://{NCMEC_HOST}/npo"}
        hma_server.post(
            "/c/exchanges", {"bank": "OUR_GATE", "api": "ncmec", "api_json": api_settings}
        )
        assert hma_server.fetch("OUR_GATE", **environment)["fetched_items"] == HASH_COUNT
        assert set(hma_server.contents("OUR_GATE").values()) == all_hashes()
        assert hma_server.nearest_distance("OUR_GATE", fake_hash(1)) == "0"
        withdrawn = our_gate.withdraw(10)
        assert hma_server.fetch("OUR_GATE", **environment)["fetched_items"] == HASH_COUNT - 10
        assert set(hma_server.contents("OUR_GATE").values()) == all_hashes() - withdrawn
        assert {hma_server.nearest_distance("OUR_GATE", one) for one in withdrawn} == {None}
        assert hma_server.nearest_distance("OUR_GATE", min(all_hashes() - withdrawn)) == "0"


def test_our_gate_fetches_a_bank_and_its_removals_from_hma(
    hma_server: RunningHma, tmp_path: Path
) -> None:
    data_folder = tmp_path / "ours"
    for bank in ("THEIRS", "OTHER"):
        hma_server.post("/c/banks", {"name": bank})
    for number in range(OTHER_BANK_CONTENT_COUNT + 20):
        bank = "OTHER" if number < OTHER_BANK_CONTENT_COUNT else "THEIRS"
        hma_server.post(f"/c/bank/{bank}/signal", {"pdq": fake_hash(number).hex()})
    listed = hma_server.contents("THEIRS")
    assert len(listed) == 20
    with open_platform(data_folder):
        pass  # opening the platform creates the gate
    run_exchange_command(data_folder, "add", "theirs", "--kind", "hma", "--from", hma_server.url)
    run_exchange_command(data_folder, "fetch")
    assert stored_hashes(data_folder) == set(listed.values())
    removed, disabled = list(listed)[:2]
    assert hma_server.http.delete(f"/c/bank/THEIRS/content/{removed}").json() == {"deleted": 1}
    disabled_answer = hma_server.http.put(
        f"/c/bank/THEIRS/content/{disabled}", json={"disable_until_ts": 0}
    )
    assert disabled_answer.is_success
    run_exchange_command(data_folder, "fetch")
    assert stored_hashes(data_folder) == set(listed.values()) - {listed[removed], listed[disabled]}


@contextmanager
def serve_as_ncmec(our_gate: OurGate, folder: Path) -> Iterator[dict[str, str]]:
    """Serve the exchange; yield the environment in which HMA uses it in place of NCMEC."""
    ca, pair = write_authority_and_certificate(folder, NCMEC_HOST)
    app = Starlette(routes=[Mount("/npo", ncmec_app(PartnerAuth(our_gate.exchange)))])
    with serve_app(app, pair) as port, run_connect_proxy(port) as proxy:
        yield {"HTTPS_PROXY": proxy, "REQUESTS_CA_BUNDLE": str(ca)}


def all_hashes() -> set[bytes]:
    """Return all hashes that our gate had at first."""
    return {fake_hash(number) for number in range(HASH_COUNT)}


def run_exchange_command(data_folder: Path, command: str, *words: str) -> None:
    """Run a command of ``gate exchange`` in this process."""
    app = typer.Typer()
    add_commands(app)
    more = ("--part", "THEIRS", "--bank", "got") if command == "add" else ()
    done = CliRunner().invoke(app, ["exchange", command, *words, *more, "--data", str(data_folder)])
    assert done.exit_code == 0, done.output


def stored_hashes(folder: Path) -> set[bytes]:
    """Return the hashes in the bank into which our gate fetches."""
    with open_platform(folder) as (platform, _):
        known = {entry.number: entry.bits for entry in platform.bank.entries(0)}
        found = platform.bank.claims_on_pictures(known)
        return {known[number] for number, claim in found if claim.bank == BankName("got")}
