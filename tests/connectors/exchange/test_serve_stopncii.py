"""The exchange's StopNCII API, as a partner's client uses it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import anyio
import httpx
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrenous.base.identifiers import BankName, ClaimId
from entrenous.connectors.exchange.exchange_access import PartnerAuth
from entrenous.connectors.exchange.exchange_app import exchange_app
from entrenous.stop.banks import create_built_in_banks
from entrenous.stop.exchange_serving import (
    PartnerHashRegistrar,
    unix_seconds,
    update_exchange_state,
)
from entrenous.stop.registration import ClaimChange, ClaimEvent, ClaimState, NoSuchClaim, Stance
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import exclusive_write
from entrenous.stop.store.exchange_served import SERVED_TO_TABLE
from tests.connectors.exchange.conftest import URL, AsgiTransport
from tests.deterministic import SettableClock
from tests.stop.exchange.exchange_for_tests import PEOPLE_BANK, ExchangeSetup, fake_hash

pytestmark = pytest.mark.slow

FETCH_PATH = "/stopncii/v1/FetchHashes"
OTHER_BANK = BankName("other")


def auth_headers(key: str) -> dict[str, str]:
    return {"x-functions-key": key, "Ocp-Apim-Subscription-Key": key}


def fetch_page(web: httpx.Client, key: str, **query: object) -> dict[str, Any]:
    answer = web.get(
        FETCH_PATH, params={k: str(v) for k, v in query.items()}, headers=auth_headers(key)
    )
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def fetch_all(
    web: httpx.Client, key: str, start: int = 10, size: int = 7
) -> tuple[dict[str, str], int]:
    """Read all pages; return the status of each hash and the next start time."""
    found, token, more = dict[str, str](), "", True
    while more:
        page = fetch_page(web, key, startTimestamp=start, pageSize=size, nextPageToken=token)
        assert page["count"] == len(page["hashRecords"])
        found |= {one["hashValue"]: one["hashStatus"] for one in page["hashRecords"]}
        more, token = page["hasMoreRecords"], page["nextPageToken"] or ""
    return found, page["nextSetTimestamp"]


def test_pages_contain_every_hash(exchange_setup: ExchangeSetup, web: httpx.Client) -> None:
    _, key = exchange_setup.add_partner()
    for number in range(25):
        exchange_setup.feed.put_claim(f"c{number}", fake_hash(number))
    found, next_start = fetch_all(web, key)
    assert found == {fake_hash(number).hex(): "Active" for number in range(25)}
    assert next_start >= unix_seconds(exchange_setup.clock.now())
    assert fetch_all(web, key, next_start)[0] == {}


def test_next_start_time_misses_nothing(exchange_setup: ExchangeSetup, web: httpx.Client) -> None:
    _, key = exchange_setup.add_partner()
    start, found = 10, dict[str, str]()
    for number in range(12):
        exchange_setup.feed.put_claim(f"c{number}", fake_hash(number))
        exchange_setup.clock.advance(seconds=number % 3 * 0.4)  # several changes per second
        more, start = fetch_all(web, key, start)
        found |= more
    exchange_setup.clock.advance(seconds=2)
    found |= fetch_all(web, key, start)[0]
    assert set(found) == {fake_hash(number).hex() for number in range(12)}


def test_client_killed_after_a_page_resumes_from_its_start_time(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner()
    for number in range(20):
        exchange_setup.feed.put_claim(f"c{number}", fake_hash(number))
        update_exchange_state(exchange_setup.exchange)
        exchange_setup.clock.advance(seconds=1)
    page = fetch_page(web, key, startTimestamp=10, pageSize=6)
    first = {one["hashValue"] for one in page["hashRecords"]}
    rest, _ = fetch_all(web, key, page["nextSetTimestamp"])
    assert first | set(rest) == {fake_hash(number).hex() for number in range(20)}


@pytest.mark.threat("withdrawal-ignored")
def test_withdrawal_is_served_until_the_partner_reads_on_and_then_deleted(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner()
    _, latecomer_key = exchange_setup.add_partner("latecomer")
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    _, start = fetch_all(web, key)
    assert exchange_setup.is_on_disk(fake_hash(1))
    exchange_setup.clock.advance(seconds=5)
    exchange_setup.feed.withdraw("hers")
    assert fetch_all(web, latecomer_key)[0] == {}  # this partner never received the hash
    page = fetch_page(web, key, startTimestamp=start)
    record = page["hashRecords"][0]
    assert (record["hashValue"], record["hashStatus"]) == (fake_hash(1).hex(), "Withdrawn")
    assert record["CSPFeedbacks"] == [
        {"feedbackValue": "NotBlocked", "tags": ["withdrawn"], "source": "our-gate"}
    ]
    exchange_setup.clock.advance(seconds=5)
    # The client repeats the request.
    assert fetch_all(web, key, start)[0] == {fake_hash(1).hex(): "Withdrawn"}
    assert fetch_all(web, key, page["nextSetTimestamp"])[0] == {}
    assert not exchange_setup.is_on_disk(fake_hash(1))


@pytest.mark.threat("withdrawal-ignored")
def test_killed_client_still_gets_the_withdrawal(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner()
    for number in range(3):
        exchange_setup.feed.put_claim(f"c{number}", fake_hash(number))
    _, start = fetch_all(web, key)
    exchange_setup.clock.advance(minutes=10)
    exchange_setup.feed.withdraw("c1")
    for number in range(3, 6):
        exchange_setup.feed.put_claim(f"c{number}", fake_hash(number))
    exchange_setup.clock.advance(minutes=10)
    page = fetch_page(web, key, startTimestamp=start, pageSize=1)
    for _ in range(2):  # the client is killed before it stores any page
        token = page["nextPageToken"]
        page = fetch_page(web, key, startTimestamp=start, pageSize=1, nextPageToken=token)
    again, next_start = fetch_all(web, key, start, 1)
    assert again[fake_hash(1).hex()] == "Withdrawn"
    fetch_all(web, key, next_start)
    assert not exchange_setup.is_on_disk(fake_hash(1))


@pytest.mark.threat("withdrawal-ignored")
def test_clock_ahead_hides_no_withdrawal(exchange_setup: ExchangeSetup) -> None:
    """The client gets the next start time from a process whose clock is ahead."""
    _, key = exchange_setup.add_partner()
    ahead = replace(
        exchange_setup.exchange,
        clock=SettableClock(exchange_setup.clock.now() + timedelta(seconds=64)),
    )
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=60)
    with httpx.Client(
        transport=AsgiTransport(exchange_app(PartnerAuth(ahead))), base_url=URL
    ) as other:
        _, start = fetch_all(other, key)
    exchange_setup.clock.advance(seconds=2)
    exchange_setup.feed.withdraw("hers")
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(minutes=10)
    with httpx.Client(
        transport=AsgiTransport(exchange_app(PartnerAuth(exchange_setup.exchange))), base_url=URL
    ) as web:
        assert fetch_all(web, key, start)[0] == {fake_hash(1).hex(): "Withdrawn"}


@pytest.mark.threat("withdrawal-ignored")
def test_unfetched_hash_leaves_no_tombstone(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner()
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    exchange_setup.feed.withdraw("hers")
    assert fetch_all(web, key)[0] == {}
    assert not exchange_setup.is_on_disk(fake_hash(1))


def test_tombstones_expire_after_35_days(exchange_setup: ExchangeSetup, web: httpx.Client) -> None:
    _, key = exchange_setup.add_partner()
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    fetch_all(web, key)
    exchange_setup.clock.advance(seconds=5)
    exchange_setup.feed.withdraw("hers")
    exchange_setup.clock.advance(days=34)
    update_exchange_state(exchange_setup.exchange)
    assert exchange_setup.is_on_disk(fake_hash(1))
    exchange_setup.clock.advance(days=2)
    update_exchange_state(exchange_setup.exchange)
    assert not exchange_setup.is_on_disk(fake_hash(1))


@pytest.mark.threat("withdrawal-ignored")
def test_other_partners_requests_expire_tombstones(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner()
    _, other = exchange_setup.add_partner("others")
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    fetch_all(web, key)
    exchange_setup.clock.advance(seconds=5)
    exchange_setup.feed.withdraw("hers")
    fetch_all(web, other)
    exchange_setup.clock.advance(days=36)
    fetch_all(web, other)
    assert not exchange_setup.is_on_disk(fake_hash(1))


@pytest.mark.threat("withdrawal-ignored")
def test_hashes_are_deleted_once_all_partners_that_got_them_are_removed(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner()
    _, other = exchange_setup.add_partner("others")
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    exchange_setup.feed.put_claim("shared", fake_hash(2))
    fetch_all(web, key)
    fetch_all(web, other, 10)
    exchange_setup.exchange.partners.remove("friends")
    exchange_setup.feed.put_claim("only theirs", fake_hash(3), bank=OTHER_BANK)
    assert exchange_setup.is_on_disk(fake_hash(2))
    exchange_setup.exchange.partners.remove("others")
    assert not exchange_setup.is_on_disk(fake_hash(1))
    assert not exchange_setup.is_on_disk(fake_hash(2))


def test_withdrawal_deletes_a_hash_at_once_if_no_record_says_it_was_served(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner()
    exchange_setup.add_partner("others")
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    fetch_all(web, key)
    with exclusive_write(exchange_setup.exchange.served.engine) as db:  # type: ignore[attr-defined]
        db.execute(SERVED_TO_TABLE.delete())
    exchange_setup.clock.advance(seconds=5)
    exchange_setup.feed.withdraw("hers")
    update_exchange_state(exchange_setup.exchange)
    assert not exchange_setup.is_on_disk(fake_hash(1))


def test_record_names_at_most_a_hundred_cases(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner()
    for number in range(150):
        exchange_setup.feed.put_claim(f"c{number}", fake_hash(1))
    [record] = fetch_page(web, key, startTimestamp=10)["hashRecords"]
    assert (len(record["caseNumbers"]), record["hashStatus"]) == (100, "Active")


def test_removed_partner_delays_no_deletion(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner()
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    fetch_all(web, key)
    exchange_setup.clock.advance(seconds=5)
    exchange_setup.feed.withdraw("hers")
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.exchange.partners.remove("friends")
    assert not exchange_setup.is_on_disk(fake_hash(1))
    assert web.get(FETCH_PATH, headers=auth_headers(key)).status_code == 401


def test_hash_stays_active_while_a_claim_remains(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner()
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    exchange_setup.feed.put_claim("also hers", fake_hash(1))
    assert fetch_all(web, key)[0] == {fake_hash(1).hex(): "Active"}
    for claim, status in (("hers", "Active"), ("also hers", "Withdrawn")):
        exchange_setup.clock.advance(seconds=5)
        exchange_setup.feed.withdraw(claim)
        assert fetch_all(web, key)[0] == {fake_hash(1).hex(): status}


def test_withdrawal_during_a_page_is_still_served(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    """A withdrawal is applied after a process reads a page and before it records the page."""
    partner, key = exchange_setup.add_partner()
    other, _ = exchange_setup.add_partner("others")
    exchange_setup.feed.put_claim("another", fake_hash(2))
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    seen = update_exchange_state(exchange_setup.exchange)
    page = exchange_setup.feed.changes(0, 10)
    exchange_setup.exchange.served.record_served(other, page[:1], seen.number)
    exchange_setup.clock.advance(seconds=5)
    exchange_setup.feed.withdraw("hers")
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.exchange.served.record_served(partner, page[1:], seen.number)
    exchange_setup.clock.advance(seconds=5)
    assert fetch_all(web, key)[0][fake_hash(1).hex()] == "Withdrawn"


def test_tombstone_of_another_partner_is_hidden(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, other = exchange_setup.add_partner("others")
    _, key = exchange_setup.add_partner()
    exchange_setup.feed.put_claim("theirs to forget", fake_hash(1))
    fetch_all(web, other)
    exchange_setup.clock.advance(seconds=5)
    exchange_setup.feed.withdraw("theirs to forget")
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    [record] = fetch_page(web, key, startTimestamp=10)["hashRecords"]
    assert record["caseNumbers"] == {"hers": "Active"}


def test_no_withdrawal_is_missed_if_a_page_is_recorded_while_changes_are_applied(
    exchange_setup: ExchangeSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.stop.store.exchange_served._CHANGES_PER_READ", 1)
    partner, _ = exchange_setup.add_partner()
    served, changes = exchange_setup.exchange.served, exchange_setup.feed.changes
    her_claim, filler_claim = (
        exchange_setup.feed.put_claim("hers", fake_hash(1)),
        exchange_setup.feed.put_claim("filler", fake_hash(2)),
    )
    page = changes(0, 9)
    served.record_served(partner, [one for one in page if one.claim == filler_claim], 2)
    exchange_setup.feed.withdraw("hers")
    exchange_setup.feed.put_claim("more", fake_hash(3))

    def changes_while_serving(after: int, limit: int) -> tuple[ClaimChange, ...]:
        if after == 3:  # change 3, the withdrawal, is already applied
            served.record_served(partner, [one for one in page if one.claim == her_claim], 2)
        return changes(after, limit)

    monkeypatch.setattr(exchange_setup.feed, "changes", changes_while_serving)
    served.apply_next_changes(exchange_setup.feed, 4)
    monkeypatch.setattr(exchange_setup.feed, "changes", changes)
    served.apply_next_changes(exchange_setup.feed, 4)
    assert served.served_to(partner, [her_claim])[her_claim].state is ClaimState.WITHDRAWN


def test_suspended_hash_is_served_as_deleted_and_as_active_once_confirmed(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner()
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    fetch_all(web, key)
    for state, status in ((ClaimState.SUSPENDED, "Deleted"), (ClaimState.CONFIRMED, "Active")):
        exchange_setup.clock.advance(seconds=5)
        exchange_setup.feed.set_state("hers", state)
        assert fetch_all(web, key)[0] == {fake_hash(1).hex(): status}


def test_stopncii_serves_only_pictures_in_banks_of_the_partner(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner("friends", OTHER_BANK)
    exchange_setup.feed.put_claim("hers", fake_hash(1), bank=PEOPLE_BANK)
    exchange_setup.feed.put_claim("listed", fake_hash(2), bank=OTHER_BANK)
    exchange_setup.feed.put_claim("clip", fake_hash(3), bank=OTHER_BANK, kind="pdq-video")
    assert fetch_all(web, key)[0] == {fake_hash(2).hex(): "Active"}


def test_stopncii_needs_the_key_in_both_headers(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner()
    exchange_setup.feed.put_claim("hers", fake_hash(1))
    wrong = (
        {},
        auth_headers("guess"),
        {"x-functions-key": key},
        {"Ocp-Apim-Subscription-Key": key},
        auth_headers(key) | {"x-functions-key": "guess"},
    )
    for headers in wrong:
        answer = web.get(FETCH_PATH, headers=headers)
        assert answer.status_code == 401
        assert set(answer.json()) == {"statusCode", "message"}
    assert fake_hash(1).hex() not in answer.text


def test_key_of_a_partner_is_not_stored_in_plain_text(exchange_setup: ExchangeSetup) -> None:
    _, key = exchange_setup.add_partner()
    assert not exchange_setup.is_on_disk(key.encode())


def test_key_guessing_is_limited_without_blocking_partners(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner()
    statuses = [
        web.get(FETCH_PATH, headers=auth_headers(f"guess {n}")).status_code for n in range(12)
    ]
    assert statuses == [401] * 10 + [429] * 2
    assert web.get(FETCH_PATH, headers=auth_headers(key)).status_code == 200


def test_request_is_allowed_again_after_the_stated_seconds(exchange_setup: ExchangeSetup) -> None:
    from entrenous.connectors.exchange.exchange_access import TokenBuckets
    from entrenous.stop.exchange_nouns import TooManyRequests

    allowed = TokenBuckets(3, 0.5)
    for _ in range(3):
        allowed.take("friends", exchange_setup.clock.now())
    with pytest.raises(TooManyRequests) as caught:
        allowed.take("friends", exchange_setup.clock.now())
    exchange_setup.clock.advance(seconds=caught.value.facts["seconds"])  # type: ignore[arg-type]
    allowed.take("friends", exchange_setup.clock.now())


def test_only_buckets_that_are_full_again_are_forgotten(exchange_setup: ExchangeSetup) -> None:
    from entrenous.connectors.exchange.exchange_access import TokenBuckets

    now, allowed = exchange_setup.clock.now(), TokenBuckets(3, 0.5)
    allowed.take("192.0.2.1", now)
    allowed.take("192.0.2.2", now + timedelta(seconds=1))
    allowed.forget_full_buckets(now + timedelta(seconds=6))
    assert list(allowed.buckets) == ["192.0.2.2"]


def test_wrong_keys_from_ipv4_addresses_written_as_ipv6_are_counted_apart(
    exchange_setup: ExchangeSetup,
) -> None:
    auth = PartnerAuth(exchange_setup.exchange)

    async def guess_from(address: str) -> None:
        transport = httpx.ASGITransport(exchange_app(auth), client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
            await client.get(FETCH_PATH, headers=auth_headers("guess"))

    for address in ("::ffff:192.0.2.1", "::ffff:192.0.2.2", "2001:db8:1:2::7"):
        anyio.run(guess_from, address)
    assert set(auth.wrong_keys.buckets) == {"192.0.2.1", "192.0.2.2", "2001:db8:1:2::/64"}


@pytest.mark.parametrize(
    "query",
    [
        {"startTimestamp": "soon"},
        {"startTimestamp": "-1"},
        {"pageSize": "0"},
        {"startTimestamp": "9" * 40},
        {"nextPageToken": "elsewhere"},
        {"nextPageToken": "1.x"},
        {"startTimestamp": "\u0661"},
    ],
)
def test_malformed_queries_are_refused(
    exchange_setup: ExchangeSetup, web: httpx.Client, query: dict[str, str]
) -> None:
    _, key = exchange_setup.add_partner()
    assert web.get(FETCH_PATH, params=query, headers=auth_headers(key)).status_code == 400


def post_json(web: httpx.Client, route: str, key: str, body: object) -> httpx.Response:
    return web.post(f"/stopncii/v1/{route}", json=body, headers=auth_headers(key))


def test_feedback_becomes_an_opinion_and_is_shown_to_others(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner()
    _, other = exchange_setup.add_partner("others")
    register(exchange_setup, "hers", fake_hash(1))
    for who in (key, other):
        fetch_all(web, who)
    body = {
        "count": 2,
        "hashFeedbacks": [
            {"hashValue": fake_hash(1).hex(), "feedbackValue": "Blocked", "tags": ["seen"]},
            {"hashValue": fake_hash(9).hex(), "feedbackValue": "Blocked", "tags": []},
        ],
    }
    assert post_json(web, "SubmitFeedback", key, body).json() == {"count": 1, "unknown": 1}
    record = fetch_page(web, other, startTimestamp=10)["hashRecords"][0]
    assert record["CSPFeedbacks"] == [{"feedbackValue": "Blocked", "tags": [], "source": "friends"}]


def test_feedback_on_unserved_hashes_is_ignored(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner()
    _, other = exchange_setup.add_partner("others")
    register(exchange_setup, "hers", fake_hash(1))
    fetch_all(web, key)
    body = {"hashFeedbacks": [{"hashValue": fake_hash(1).hex(), "feedbackValue": "NotBlocked"}]}
    assert post_json(web, "SubmitFeedback", other, body).json() == {"count": 0, "unknown": 1}


def test_three_opposing_partners_suspend_a_claim(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    claim = register(exchange_setup, "hers", fake_hash(1))
    body = {"hashFeedbacks": [{"hashValue": fake_hash(1).hex(), "feedbackValue": "NotBlocked"}]}
    states = []
    for name in ("one", "two", "two", "three"):
        known = {partner.name for partner in exchange_setup.exchange.partners.partners()}
        key = exchange_setup.keys[name] if name in known else exchange_setup.add_partner(name)[1]
        exchange_setup.keys[name] = key
        fetch_all(web, key)
        post_json(web, "SubmitFeedback", key, body)
        states.append(exchange_setup.bank.claim(claim).state)
    assert states == ["waiting", "waiting", "waiting", "suspended"]


def test_old_opinions_do_not_undo_a_later_confirmation(exchange_setup: ExchangeSetup) -> None:
    partners = [
        exchange_setup.add_partner(name)[0] for name in ("one", "two", "three", "four", "five")
    ]
    claim, opinions = (
        register(exchange_setup, "hers", fake_hash(1)),
        exchange_setup.exchange.opinions,
    )
    for partner in partners[:3]:
        opinions.record(partner, {claim: Stance.DISPUTED})
    exchange_setup.bank.apply_event(claim, ClaimEvent.CONFIRM)
    opinions.record(partners[3], {claim: Stance.CONFIRMED})
    # This partner already opposed the claim.
    opinions.record(partners[0], {claim: Stance.NOT_INTIMATE})
    assert exchange_setup.bank.claim(claim).state is ClaimState.CONFIRMED
    opinions.record(partners[4], {claim: Stance.DISPUTED})
    assert exchange_setup.bank.claim(claim).state is ClaimState.SUSPENDED


def test_opinion_and_suspension_are_written_in_one_transaction(
    exchange_setup: ExchangeSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If only the opinion were stored, repeating the request would not suspend the claim."""
    partners = [exchange_setup.add_partner(name)[0] for name in ("one", "two", "three")]
    claim, opinions = (
        register(exchange_setup, "hers", fake_hash(1)),
        exchange_setup.exchange.opinions,
    )
    exchange_setup.bank.apply_event(claim, ClaimEvent.CONFIRM)
    for partner in partners[:2]:
        opinions.record(partner, {claim: Stance.DISPUTED})
    with monkeypatch.context() as patched:
        patched.delattr(BankStore, "apply_event_to_all")
        with pytest.raises(AttributeError):
            opinions.record(partners[2], {claim: Stance.DISPUTED})
    assert len(exchange_setup.exchange.partners.opinions_on([claim])) == 2
    opinions.record(partners[2], {claim: Stance.DISPUTED})  # the partner repeats the failed request
    assert exchange_setup.bank.claim(claim).state is ClaimState.SUSPENDED


def test_opinions_of_one_request_are_written_in_one_transaction(
    exchange_setup: ExchangeSetup,
) -> None:
    partners = [exchange_setup.add_partner(name)[0] for name in ("one", "two", "three")]
    claims = [
        register(exchange_setup, name, fake_hash(n))
        for n, name in enumerate(("hers", "his", "theirs"))
    ]
    stances = dict.fromkeys(claims, Stance.DISPUTED)
    engine, statements = exchange_setup.exchange.partners.engine, list[str]()  # type: ignore[attr-defined]
    sa.event.listen(engine, "before_cursor_execute", lambda *event: statements.append(event[2]))
    sa.event.listen(engine, "commit", lambda _: statements.append("COMMIT"))
    for partner in partners:
        exchange_setup.exchange.opinions.record(partner, stances)
    each = "\n".join(statements).split("COMMIT")
    assert sum("INSERT INTO" in one for one in each) == 3  # one transaction for each of 3 partners
    assert {exchange_setup.bank.claim(claim).state for claim in claims} == {ClaimState.SUSPENDED}
    more = {register(exchange_setup, "hers too", fake_hash(9)): Stance.DISPUTED}
    with pytest.raises(NoSuchClaim):
        exchange_setup.exchange.opinions.record(
            partners[0], {**more, ClaimId("none"): Stance.DISPUTED}
        )
    assert exchange_setup.exchange.partners.opinions_on(list(more)) == ()


def test_concurrent_submissions_of_the_same_hashes_succeed(exchange_setup: ExchangeSetup) -> None:
    bank = BankStore(exchange_setup.exchange.served.engine)  # type: ignore[attr-defined]
    create_built_in_banks(bank)
    partner, _ = exchange_setup.add_partner("friends", submits=True)
    submissions = PartnerHashRegistrar(replace(exchange_setup.platform, bank=bank))
    submissions.submit(partner, [fake_hash(0)])
    barrier = Barrier(4)

    def submit_hundred(first_number: int) -> None:
        barrier.wait()
        submissions.submit(partner, [fake_hash(first_number + number) for number in range(100)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(submit_hundred, (0, 10, 20, 0)))
    assert bank.count_claims_and_hashes().claims == 120


def test_submitted_hashes_are_waiting_claims_of_that_partner(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    partner, key = exchange_setup.add_partner("friends", submits=True)
    record = {
        "lastModtimestamp": 1,
        "signalType": "StopNCIISignalType.ImagePDQ",  # as PyPI's threatexchange writes it
        "hashValue": fake_hash(1).hex().upper(),
        "CSPFeedbacks": [{"feedbackValue": "Blocked", "tags": []}],
    }
    for _ in range(2):
        body = {"count": 1, "hashRecords": [record]}
        assert post_json(web, "SubmitHashes", key, body).json() == {"count": 1}
    [entry] = exchange_setup.bank.entries(0)
    [(_, claim)] = exchange_setup.bank.claims_on_pictures([entry.number])
    assert (entry.bits, claim.bank, claim.state) == (
        fake_hash(1),
        partner.submission_bank,
        "waiting",
    )


def test_invalid_or_long_submission_stores_nothing(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner("friends", submits=True)
    valid_record = {"signalType": "ImagePDQ", "hashValue": fake_hash(1).hex()}
    for invalid_record in (
        {"signalType": "ImagePDQ", "hashValue": "12"},
        {"signalType": "VideoMD5", "hashValue": "0" * 32},
        {"hashValue": fake_hash(2).hex()},
        7,
    ):
        assert (
            post_json(
                web, "SubmitHashes", key, {"hashRecords": [valid_record, invalid_record]}
            ).status_code
            == 400
        )
    long_submission = {"hashRecords": [valid_record] * 1001}
    assert post_json(web, "SubmitHashes", key, long_submission).status_code == 400
    assert exchange_setup.bank.entries(0) == ()


def test_submission_without_permission_is_refused(
    exchange_setup: ExchangeSetup, web: httpx.Client
) -> None:
    _, key = exchange_setup.add_partner()
    body = {"hashRecords": [{"signalType": "ImagePDQ", "hashValue": fake_hash(1).hex()}]}
    assert post_json(web, "SubmitHashes", key, body).status_code == 403


def test_long_body_is_refused(exchange_setup: ExchangeSetup, web: httpx.Client) -> None:
    _, key = exchange_setup.add_partner("friends", submits=True)
    answer = web.post(
        "/stopncii/v1/SubmitHashes", content=b" " * 1_000_001, headers=auth_headers(key)
    )
    assert answer.status_code == 413


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from(["SubmitHashes", "SubmitFeedback"]))
def test_random_bytes_are_refused(
    exchange_setup: ExchangeSetup, web: httpx.Client, random_bytes: bytes, route: str
) -> None:
    key = exchange_setup.keys.get("noisy") or exchange_setup.add_partner("noisy", submits=True)[1]
    exchange_setup.keys["noisy"] = key
    answer = web.post(f"/stopncii/v1/{route}", content=random_bytes, headers=auth_headers(key))
    assert answer.status_code in (400, 429)


def register(exchange_setup: ExchangeSetup, claim_name: str, hash_bytes: bytes) -> Any:
    """Register a claim and put it into the feed; return its id."""
    from entrenous.base.identifiers import ClaimId
    from entrenous.stop.registration import Claim, Registration

    claim = ClaimId(claim_name)
    made = Claim(claim, PEOPLE_BANK, ClaimState.WAITING, "pdq", 90, exchange_setup.clock.now())
    exchange_setup.bank.register(Registration(made, (hash_bytes,)))
    exchange_setup.feed.put_claim(claim_name, hash_bytes)
    return claim
