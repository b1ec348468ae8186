"""The command ``tx`` and the client classes of PyPI's ``threatexchange`` work with our exchange in
place of StopNCII and NCMEC.

The client is configured, but not changed. StopNCII's base address is a part of the credentials. The
hosts of NCMEC are fixed: a proxy connects the client to our exchange, with a certificate of a test
authority that the client trusts. The home folder of ``tx`` is a temporary folder.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from entrenous.base.identifiers import ClaimId
from entrenous.connectors.exchange.exchange_access import PartnerAuth
from entrenous.connectors.exchange.exchange_app import exchange_app
from entrenous.connectors.exchange.serve_ncmec import STANCE_BY_REASON_GUID, ncmec_app
from entrenous.stop.exchange_serving import update_exchange_state
from entrenous.stop.registration import Claim, ClaimState, Registration, Stance
from tests.ready import run_program
from tests.real.exchange_server import DelayedClock, run_connect_proxy, serve_app
from tests.serving.certificates import write_authority_and_certificate
from tests.stop.exchange.exchange_for_tests import (
    PEOPLE_BANK,
    ExchangeSetup,
    fake_hash,
    open_exchange_setup,
)

pytest.importorskip("threatexchange", reason="PyPI's threatexchange is not installed")
pytestmark = pytest.mark.real

TX_PROGRAM = (
    "import sys; from threatexchange.cli.main import main; sys.argv[0] = 'tx'; sys.exit(main())"
)
NCMEC_HOST = "hashsharing-test.ncmec.org"
HASH_COUNT = 2500


@pytest.fixture
def exchange_setup(tmp_path: Path) -> Iterator[ExchangeSetup]:
    clock = DelayedClock(30)
    with open_exchange_setup(tmp_path, clock) as made:  # type: ignore[arg-type]
        yield made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def run_tx(home: Path, environment: Mapping[str, str], *words: str) -> str:
    clean = {"HOME": str(home), "PATH": os.environ["PATH"], "TZ": "UTC"}
    result = run_program(
        [sys.executable, "-c", TX_PROGRAM, *words], env=clean | environment, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return str(result.stdout)


def fill_feed(exchange_setup: ExchangeSetup) -> None:
    for number in range(HASH_COUNT):
        state = ClaimState.CONFIRMED if number % 2 else ClaimState.WAITING
        exchange_setup.feed.put_claim(f"c{number:04}", fake_hash(number), state=state)


def run_client_program(environment: Mapping[str, str], program: str, *words: str) -> list[str]:
    """Run a program that uses the client's own classes; return the lines that it prints."""
    clean = {"PATH": os.environ["PATH"], "TZ": "UTC"}
    command = [sys.executable, "-c", program, *words]
    result = run_program(command, env=clean | environment, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return list(result.stdout.splitlines())


@contextmanager
def serve_as_stopncii(exchange_setup: ExchangeSetup) -> Iterator[tuple[str, str]]:
    """Serve the exchange; yield the base address for StopNCII's clients and a partner's key."""
    _, key = exchange_setup.add_partner("friends", submits=True)
    with serve_app(exchange_app(PartnerAuth(exchange_setup.exchange))) as port:
        yield f"http://127.0.0.1:{port}/stopncii/v1", key


@contextmanager
def serve_as_ncmec(exchange_setup: ExchangeSetup, folder: Path) -> Iterator[dict[str, str]]:
    """Serve the exchange; yield the environment in which the client uses it in place of NCMEC."""
    _, key = exchange_setup.add_partner()
    ca, pair = write_authority_and_certificate(folder, NCMEC_HOST)
    app = Starlette(routes=[Mount("/npo", ncmec_app(PartnerAuth(exchange_setup.exchange)))])
    with serve_app(app, pair) as port, run_connect_proxy(port) as proxy:
        yield {
            "TX_NCMEC_CREDENTIALS": f"friends:{key}",
            "HTTPS_PROXY": proxy,
            "REQUESTS_CA_BUNDLE": str(ca),
        }


def test_tx_fetches_matches_and_sees_disputes_as_from_stopncii(
    exchange_setup: ExchangeSetup, home: Path, record_vectors: Callable[[str, int], None]
) -> None:
    fill_feed(exchange_setup)
    with serve_as_stopncii(exchange_setup) as (base, key):
        keys = {"TX_STOPNCII_KEYS": f"{key},{key},{base}"}
        run_tx(home, keys, "config", "collab", "edit", "stop_ncii", "-C", "SN")
        run_tx(home, keys, "fetch")
        assert "pdq: 2500" in run_tx(home, keys, "dataset")
        waiting, confirmed = match_with_tx(home, keys, 2), match_with_tx(home, keys, 1)
        assert waiting.startswith("pdq 0 (SN) INVESTIGATION_SEED")
        assert confirmed == "pdq 0 (SN) POSITIVE_CLASS +1 +our-gate"
        exchange_setup.feed.withdraw("c0001")
        exchange_setup.clock.advance(seconds=5)
        run_tx(home, keys, "fetch")
        # tx still matches the withdrawn hash, but shows our new, negative feedback.
        assert match_with_tx(home, keys, 1) == "pdq 0 (SN) DISPUTED -1 -our-gate"
    record_vectors("threatexchange as StopNCII", HASH_COUNT)


def test_tx_fetches_matches_and_sees_deletions_as_from_ncmec(
    exchange_setup: ExchangeSetup, home: Path, record_vectors: Callable[[str, int], None]
) -> None:
    fill_feed(exchange_setup)
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=25)  # the clock is now 5 s behind, as the client requires
    with serve_as_ncmec(exchange_setup, home) as environment:
        edit = ("config", "collab", "edit", "ncmec", "-C", "NC", "--environment", "test_NGO")
        run_tx(home, environment, *edit)
        run_tx(home, environment, "fetch")
        assert "pdq: 2500" in run_tx(home, environment, "dataset")
        waiting, confirmed = (
            match_with_tx(home, environment, 2),
            match_with_tx(home, environment, 11),
        )
        # tx labels every hash from NCMEC as positive, and shows our classification as a tag.
        assert waiting == "pdq 0 (NC) POSITIVE_CLASS unconfirmed"
        assert confirmed == "pdq 0 (NC) POSITIVE_CLASS confirmed"
        for number in range(10):
            exchange_setup.feed.withdraw(f"c{number:04}")
        update_exchange_state(exchange_setup.exchange)
        time.sleep(2)
        run_tx(home, environment, "fetch")
        assert "pdq: 2490" in run_tx(home, environment, "dataset")
        assert match_with_tx(home, environment, 2) == ""
        assert match_with_tx(home, environment, 11) == confirmed
    record_vectors("threatexchange as NCMEC", HASH_COUNT)


STOPNCII_OPINIONS_PROGRAM = """
import sys
from threatexchange.exchanges.clients.stopncii import api
base, key, seen, brought = sys.argv[1:]
keys = {endpoint: key for endpoint in api.StopNCIIEndpoint}
client = api.StopNCIIAPI(key, key, keys, base)
pages = list(client.fetch_hashes_iter())
image = api.StopNCIISignalType.ImagePDQ
client.submit_feedback(image, seen, api.StopNCIICSPFeedbackValue.NotBlocked, {"mistaken"})
client.submit_hash(image, brought)
print(sum(page.count for page in pages))
"""


def test_opinions_and_hashes_of_stopncii_client_arrive(exchange_setup: ExchangeSetup) -> None:
    register_claim(exchange_setup, "hers", fake_hash(1))
    with serve_as_stopncii(exchange_setup) as (base, key):
        assert run_client_program(
            {}, STOPNCII_OPINIONS_PROGRAM, base, key, fake_hash(1).hex(), fake_hash(2).hex()
        ) == ["1"]
    [opinion] = exchange_setup.exchange.partners.opinions_on([ClaimId("hers")])
    assert (opinion.partner, opinion.stance) == ("friends", Stance.DISPUTED)
    known = {entry.bits: entry.number for entry in exchange_setup.bank.entries(0)}
    [(_, submitted)] = exchange_setup.bank.claims_on_pictures([known[fake_hash(2)]])
    assert (submitted.bank, submitted.state) == ("from-friends", ClaimState.WAITING)


NCMEC_OPINIONS_PROGRAM = """
import os, sys, requests
from threatexchange.exchanges.clients.ncmec import hash_api as api
user, _, password = os.environ["TX_NCMEC_CREDENTIALS"].partition(":")
client = api.NCMECHashAPI(user, password, api.NCMECEnvironment.test_NGO)
print(client.status().esp_name, [member.esp_name for member in client.members()])
pdq = api.FingerprintType.pdq
entries = [entry for page in client.get_entries_iter() for entry in page.updates]
reasons = client.feedback_reasons(pdq)
against = next(guid for guid, name in reasons.items() if name == "not intimate")
for entry in entries:
    if entry.id == "hers":
        client.submit_upvote(entry.member_id, entry.id, pdq)
    else:
        client.submit_feedback(
            entry.member_id, entry.id, pdq, api.FeedbackType.downvote, against
        )
print(*(sorted({vote.feedback_type.value for vote in entry.feedback["pdq".upper()]})
        for page in client.get_entries_iter() for entry in page.updates))
os.environ["TZ"] = "Asia/Tokyo"
__import__("time").tzset()
try:
    client.get_entries()
except requests.HTTPError as refused:
    print(refused.response.status_code, "TZ=UTC" in refused.response.text)
"""


def test_opinions_of_ncmec_client_arrive_and_local_time_is_refused(
    exchange_setup: ExchangeSetup, home: Path
) -> None:
    for name, number in (("hers", 1), ("another", 2)):
        register_claim(exchange_setup, name, fake_hash(number))
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=25)
    with serve_as_ncmec(exchange_setup, home) as environment:
        printed = run_client_program(environment, NCMEC_OPINIONS_PROGRAM)
    assert printed == [
        "friends ['our-gate', 'friends']",
        "['upvote'] ['downvote']",
        "400 True",
    ]
    opinions = exchange_setup.exchange.partners.opinions_on([ClaimId("hers"), ClaimId("another")])
    stances = {one.claim: one.stance for one in opinions}
    assert stances == {"hers": Stance.CONFIRMED, "another": Stance.NOT_INTIMATE}
    assert len(STANCE_BY_REASON_GUID) == 2


def match_with_tx(home: Path, environment: Mapping[str, str], number: int) -> str:
    return run_tx(home, environment, "match", "-H", "photo", "--", fake_hash(number).hex()).strip()


def register_claim(exchange_setup: ExchangeSetup, claim_id: str, hash_bits: bytes) -> None:
    """Register a claim in the bank and in the feed."""
    claim = ClaimId(claim_id)
    made = Claim(claim, PEOPLE_BANK, ClaimState.WAITING, "pdq", 90, exchange_setup.clock.now())
    exchange_setup.bank.register(Registration(made, (hash_bits,)))
    exchange_setup.feed.put_claim(claim_id, hash_bits)
