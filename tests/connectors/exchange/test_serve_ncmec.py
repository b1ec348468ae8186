"""The exchange's NCMEC API, as a partner's client uses it."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.connectors.exchange.exchange_access import PartnerAuth
from entrenous.connectors.exchange.exchange_app import exchange_app
from entrenous.connectors.exchange.serve_ncmec import STANCE_BY_REASON_GUID
from entrenous.connectors.exchange.untrusted_pages import XmlElement, read_xml
from entrenous.stop.exchange_serving import update_exchange_state
from entrenous.stop.nouns import RELEASED_BANK
from entrenous.stop.registration import Claim, ClaimState, Registration, Stance
from tests.connectors.exchange.conftest import URL, AsgiTransport
from tests.deterministic import SettableClock
from tests.stop.exchange.exchange_for_tests import PEOPLE_BANK, ExchangeSetup, fake_hash

EPOCH = "1970-01-01T00:00:00Z"


def iso_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def get_xml(web: httpx.Client, partner_key: str, path: str, **query: str) -> XmlElement:
    answer = web.get(f"/ncmec{path}", params=query or None, auth=("friends", partner_key))
    assert answer.status_code == 200, answer.text
    return read_xml(answer.content, 10_000_000)


def read_range(
    web: httpx.Client, partner_key: str, start: str, to: str, size: int | None = None
) -> list[XmlElement]:
    """Return the entries of a time range, from all pages."""
    entries, page = (
        list[XmlElement](),
        get_xml(web, partner_key, "/v2/entries", **{"from": start, "to": to}),
    )
    while True:
        images = page.descendant("images")
        entries.extend(images.children if images is not None else ())
        next_page = page.descendant("paging", "next")
        if next_page is None:
            return entries
        assert next_page.text.startswith("/v2/")
        path = (
            next_page.text if size is None else next_page.text.replace("size=1000", f"size={size}")
        )
        page = get_xml(web, partner_key, path)


def kinds_and_ids(entries: list[XmlElement]) -> list[tuple[str, str]]:
    return [(one.name, one.descendant("id").text) for one in entries]  # type: ignore[union-attr]


@pytest.fixture
def partner_key(exchange_setup: ExchangeSetup) -> str:
    return exchange_setup.add_partner()[1]


def test_pages_contain_every_entry_once(
    exchange_setup: ExchangeSetup, web: httpx.Client, partner_key: str
) -> None:
    for number in range(1010):
        exchange_setup.feed.put_claim(f"c{number}", fake_hash(number))
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=10)
    entries = read_range(web, partner_key, EPOCH, iso_time(exchange_setup.clock.now()), size=3)
    assert kinds_and_ids(entries) == [("image", f"c{number}") for number in range(1010)]
    hash_elements = {one.descendant("fingerprints", "pdq").text for one in entries}  # type: ignore[union-attr]
    assert hash_elements == {fake_hash(number).hex() for number in range(1010)}


def test_adjacent_ranges_neither_miss_nor_repeat_entries(
    exchange_setup: ExchangeSetup, web: httpx.Client, partner_key: str
) -> None:
    edges = [iso_time(exchange_setup.clock.now())]
    for number in range(9):
        exchange_setup.feed.put_claim(f"c{number}", fake_hash(number))
        update_exchange_state(exchange_setup.exchange)
        exchange_setup.clock.advance(seconds=number % 3)
        edges.append(iso_time(exchange_setup.clock.now()))
    exchange_setup.clock.advance(seconds=5)
    update_exchange_state(exchange_setup.exchange)
    edges.append(iso_time(exchange_setup.clock.now()))
    entries = [
        name
        for a, b in pairwise(edges)
        for name in kinds_and_ids(read_range(web, partner_key, a, b))
    ]
    assert sorted(entries) == [("image", f"c{number}") for number in range(9)]


def test_hash_that_a_reviewer_added_never_comes_last(exchange_setup: ExchangeSetup) -> None:
    """The public client keeps only the last hash of an entry."""
    registered, added, bank = fake_hash(1), fake_hash(2), exchange_setup.bank
    for name, bits in (("other", added), ("hers", registered)):
        now = exchange_setup.clock.now()
        claim = Claim(ClaimId(name), PEOPLE_BANK, ClaimState.WAITING, "pdq", 100, now)
        bank.register(Registration(claim, (bits,)))
    bank.add_upload_hashes([ClaimId("hers")], added, confirmed=True)
    exchange = replace(exchange_setup.exchange, feed=bank)
    _, key = exchange_setup.add_partner()
    update_exchange_state(exchange)
    exchange_setup.clock.advance(seconds=10)
    app = exchange_app(PartnerAuth(exchange))
    with httpx.Client(transport=AsgiTransport(app), base_url=URL) as web:
        entries = read_range(web, key, EPOCH, iso_time(exchange_setup.clock.now()))
    [entry] = [one for one in entries if one.descendant("id").text == "hers"]  # type: ignore[union-attr]
    hashes = entry.descendant("fingerprints").children_named("pdq")  # type: ignore[union-attr]
    assert [one.text for one in hashes] == [added.hex(), registered.hex()]


def test_released_uploads_are_never_served(
    exchange_setup: ExchangeSetup, web: httpx.Client, partner_key: str
) -> None:
    partners = exchange_setup.exchange.partners
    partners.remove("friends")
    key_sha256 = hashlib.sha256(partner_key.encode()).digest()
    banks = [PEOPLE_BANK, RELEASED_BANK]
    partners.add("friends", banks, submits=False, key_sha256=key_sha256)
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    exchange_setup.feed.put_claim("allowed", fake_hash(2), bank=RELEASED_BANK)
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=10)
    entries = read_range(web, partner_key, EPOCH, iso_time(exchange_setup.clock.now()))
    assert kinds_and_ids(entries) == [("image", "hers")]


def test_withdrawn_or_suspended_claim_is_served_as_a_deleted_image(
    exchange_setup: ExchangeSetup, web: httpx.Client, partner_key: str
) -> None:
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    exchange_setup.feed.put_claim("disputed", fake_hash(2))
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=10)
    since = iso_time(exchange_setup.clock.now())
    assert len(read_range(web, partner_key, EPOCH, since)) == 2
    exchange_setup.feed.withdraw("hers")
    exchange_setup.feed.set_state("disputed", ClaimState.SUSPENDED)
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=10)
    entries = read_range(web, partner_key, since, iso_time(exchange_setup.clock.now()))
    assert kinds_and_ids(entries) == [("deletedImage", "hers"), ("deletedImage", "disputed")]
    assert not exchange_setup.is_on_disk(fake_hash(1))


def test_ncmec_serves_only_banks_of_the_partner(
    exchange_setup: ExchangeSetup, web: httpx.Client, partner_key: str
) -> None:
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    exchange_setup.feed.put_claim("listed", fake_hash(2), bank=BankName("other"))
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=10)
    assert kinds_and_ids(
        read_range(web, partner_key, EPOCH, iso_time(exchange_setup.clock.now()))
    ) == [("image", "hers")]


def test_registered_hash_is_the_last_of_an_entry(
    exchange_setup: ExchangeSetup, web: httpx.Client, partner_key: str
) -> None:
    exchange_setup.feed.put_claim("hers", fake_hash(1), fake_hash(2), state=ClaimState.CONFIRMED)
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=10)
    [entry] = read_range(web, partner_key, EPOCH, iso_time(exchange_setup.clock.now()))
    hash_elements = entry.descendant("fingerprints")
    assert hash_elements is not None
    assert [one.text for one in hash_elements.children_named("pdq")] == [
        fake_hash(2).hex(),
        fake_hash(1).hex(),
    ]


def test_range_in_the_future_is_refused(
    exchange_setup: ExchangeSetup, web: httpx.Client, partner_key: str
) -> None:
    exchange_setup.clock.advance(hours=9)
    ahead = iso_time(exchange_setup.clock.now())
    exchange_setup.clock.advance(hours=-9)
    answer = web.get(
        "/ncmec/v2/entries", params={"from": EPOCH, "to": ahead}, auth=("friends", partner_key)
    )
    assert answer.status_code == 400
    assert "Set TZ=UTC" in answer.text


@pytest.mark.threat("withdrawal-ignored")
def test_range_slightly_ahead_waits_and_misses_nothing(
    exchange_setup: ExchangeSetup, web: httpx.Client, partner_key: str
) -> None:
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=10)
    to = iso_time(exchange_setup.clock.now() + timedelta(seconds=65))
    query = {"from": EPOCH, "to": to}
    answer = web.get("/ncmec/v2/entries", params=query, auth=("friends", partner_key))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "65")
    exchange_setup.clock.advance(seconds=30)
    exchange_setup.feed.withdraw("hers")
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=35)
    entries = read_range(web, partner_key, EPOCH, to)
    exchange_setup.clock.advance(minutes=10)
    entries += read_range(web, partner_key, to, iso_time(exchange_setup.clock.now()))
    assert ("deletedImage", "hers") in kinds_and_ids(entries)


@pytest.mark.threat("withdrawal-ignored")
def test_slow_clock_adds_nothing_to_a_served_range(
    exchange_setup: ExchangeSetup, web: httpx.Client, partner_key: str
) -> None:
    """Two processes serve partners. The process whose clock is behind applies the withdrawal."""
    ahead = replace(
        exchange_setup.exchange,
        clock=SettableClock(exchange_setup.clock.now() + timedelta(seconds=64)),
    )
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=2)
    to = iso_time(ahead.clock.now())
    with httpx.Client(
        transport=AsgiTransport(exchange_app(PartnerAuth(ahead))), base_url=URL
    ) as other:
        assert kinds_and_ids(read_range(other, partner_key, EPOCH, to)) == [("image", "hers")]
    exchange_setup.feed.withdraw("hers")
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(minutes=10)
    assert kinds_and_ids(
        read_range(web, partner_key, to, iso_time(exchange_setup.clock.now()))
    ) == [("deletedImage", "hers")]


@pytest.mark.parametrize(("behind_s", "warned"), [(5, False), (5 * 3600 + 4, True), (4000, False)])
def test_range_end_behind_by_a_time_zone_offset_warns_of_local_time(
    exchange_setup: ExchangeSetup,
    web: httpx.Client,
    partner_key: str,
    behind_s: int,
    *,
    warned: bool,
) -> None:
    exchange_setup.clock.advance(seconds=-behind_s)
    to = iso_time(exchange_setup.clock.now())
    exchange_setup.clock.advance(seconds=behind_s)
    answer = web.get(
        "/ncmec/v2/entries", params={"from": EPOCH, "to": to}, auth=("friends", partner_key)
    )
    assert ("warning" in answer.headers) is warned


def test_ncmec_needs_name_and_key(
    exchange_setup: ExchangeSetup, web: httpx.Client, partner_key: str
) -> None:
    exchange_setup.add_partner("others")
    for auth in (None, ("friends", "guess"), ("others", partner_key), ("", partner_key)):
        answer = web.get("/ncmec/v2/status", auth=auth)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic")
    assert web.get("/ncmec/v2/status", headers={"Authorization": "Basic ?"}).status_code == 401


def test_members_are_the_partners_known_to_the_caller(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    giver, _ = exchange_setup.add_partner("giver", submits=True)
    exchange_setup.add_partner("stranger")
    _, partner_key = exchange_setup.add_partner("friends", PEOPLE_BANK, giver.submission_bank)
    known = {one.text for one in get_xml(web, partner_key, "/v2/members").children}
    assert known == {"our-gate", "giver", "friends"}
    exchange_setup.feed.put_claim("brought", fake_hash(1), bank=giver.submission_bank)
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=10)
    [entry] = read_range(web, partner_key, EPOCH, iso_time(exchange_setup.clock.now()))
    member = entry.descendant("member")
    assert member is not None
    assert (member.text, member.attributes) == ("giver", {"id": str(giver.number)})


def put_feedback(web: httpx.Client, partner_key: str, claim: str, body: bytes) -> int:
    path = f"/ncmec/v2/entries/1/{claim}/PDQ/feedback"
    return web.put(path, content=body, auth=("friends", partner_key)).status_code


def test_feedback_becomes_an_opinion(
    exchange_setup: ExchangeSetup, web: httpx.Client, partner_key: str
) -> None:
    claim_id = ClaimId("hers")
    made = Claim(claim_id, PEOPLE_BANK, ClaimState.WAITING, "pdq", 90, exchange_setup.clock.now())
    exchange_setup.bank.register(Registration(made, (fake_hash(1),)))
    guid = next(
        guid for guid, stance in STANCE_BY_REASON_GUID.items() if stance is Stance.NOT_INTIMATE
    )
    against = f"<negative><reasonIds><guid>{guid}</guid></reasonIds></negative>"
    for inside, stance in (("<affirmative/>", Stance.CONFIRMED), (against, Stance.NOT_INTIMATE)):
        body = f"<feedbackSubmission xmlns='urn:x'>{inside}</feedbackSubmission>".encode()
        assert put_feedback(web, partner_key, "hers", body) == 200
        assert [one.stance for one in exchange_setup.exchange.partners.opinions_on([claim_id])] == [
            stance
        ]


def test_feedback_that_is_malformed_or_about_an_unknown_claim_is_refused(
    web: httpx.Client, partner_key: str
) -> None:
    valid_feedback = b"<feedbackSubmission><affirmative/></feedbackSubmission>"
    assert put_feedback(web, partner_key, "nobody", valid_feedback) == 404
    entity = b'<!DOCTYPE f [<!ENTITY a "aaaa">]>' + valid_feedback
    for malformed_feedback in (b"", b"<", b"<other/>", b"<feedbackSubmission/>", entity):
        assert put_feedback(web, partner_key, "hers", malformed_feedback) == 400
    assert put_feedback(web, partner_key, "hers", b" " * 16_001) == 413


def test_ncmec_accepts_no_submissions(exchange_setup: ExchangeSetup, web: httpx.Client) -> None:
    _, partner_key = exchange_setup.add_partner("friends", submits=True)
    pdq = f"<pdq>{fake_hash(1).hex()}</pdq>"
    entry = f"<images><image><fingerprints>{pdq}</fingerprints></image></images>"
    for method, path, status in (("POST", "/v2/entries", 405), ("PUT", "/v2/entries/2/x", 404)):
        answer = web.request(method, f"/ncmec{path}", content=entry, auth=("friends", partner_key))
        assert answer.status_code == status
    assert exchange_setup.bank.entries(0) == ()


def test_feedback_on_other_banks_is_refused(
    exchange_setup: ExchangeSetup, web: httpx.Client, partner_key: str
) -> None:
    other = BankName("other")
    from entrenous.stop.nouns import Bank

    exchange_setup.bank.set_bank(Bank(other))
    made = Claim(
        ClaimId("secret"), other, ClaimState.WAITING, "pdq", 90, exchange_setup.clock.now()
    )
    exchange_setup.bank.register(Registration(made, (fake_hash(1),)))
    assert (
        put_feedback(
            web, partner_key, "secret", b"<feedbackSubmission><affirmative/></feedbackSubmission>"
        )
        == 404
    )


@pytest.mark.slow
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["from", "to", "start", "size", "max"]), st.text(max_size=30))
)
def test_malformed_ranges_are_refused(
    web: httpx.Client, partner_key: str, query: dict[str, str]
) -> None:
    answer = web.get("/ncmec/v2/entries", params=query, auth=("friends", partner_key))
    assert answer.status_code in (400, 429)
    read_xml(answer.content, 100_000)
