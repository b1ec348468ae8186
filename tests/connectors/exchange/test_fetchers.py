"""Tests of the fetchers with our own exchange, with scripted servers and with files."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from entrenous.base.identifiers import BankName
from entrenous.connectors.exchange.exchange_access import PartnerAuth
from entrenous.connectors.exchange.exchange_app import exchange_app
from entrenous.connectors.exchange.exchange_client import REQUEST_ATTEMPTS_MAX, ExchangeHttp
from entrenous.connectors.exchange.fetch_ncmec import NcmecFetcher
from entrenous.connectors.exchange.fetchers import (
    HashFileFetcher,
    HmaFetcher,
    StopNciiFetcher,
    ThreatExchangeFetcher,
    parse_hash_line,
    parse_stopncii_record,
    parse_threatexchange_update,
)
from entrenous.connectors.exchange.untrusted_pages import BadSourceRecord
from entrenous.stop.exchange_fetch import fetch_source
from entrenous.stop.exchange_nouns import (
    BadPage,
    Fetcher,
    Source,
    SourceKind,
    SourceRecord,
    SourceRefused,
    SourceUnreachable,
)
from entrenous.stop.exchange_serving import update_exchange_state
from tests.deterministic import SettableClock
from tests.stop.exchange.exchange_for_tests import ExchangeSetup, fake_hash

pytestmark = pytest.mark.slow

SOURCE_BANK = BankName("theirs")
BASE_URL = "https://charity.example"
AnswerFunction = Callable[[httpx.Request], httpx.Response]


class RecordedSleeps(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def exchange_http(
    answer: AnswerFunction, base_url: str = BASE_URL, headers: dict[str, str] | None = None
) -> ExchangeHttp:
    client = httpx.Client(transport=httpx.MockTransport(answer))
    return ExchangeHttp("charity", base_url, client, headers or {}, RecordedSleeps(), lambda: 1.0)


def answer_by_app(app: Starlette) -> AnswerFunction:
    """Return a mock transport's function that passes each request to the application."""

    def answer(request: httpx.Request) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
                return await client.request(request.method, request.url, headers=request.headers)

        got = anyio.run(ask)
        return httpx.Response(got.status_code, headers=got.headers, content=got.content)

    return answer


def fail_after_first_answer(
    answer: AnswerFunction, *failures: Callable[[], httpx.Response]
) -> AnswerFunction:
    """Return a function that answers once, then calls each failure once, then answers again."""
    count = iter(range(1000))
    left = list(failures)

    def flaky_answer(request: httpx.Request) -> httpx.Response:
        if next(count) and left:
            return left.pop(0)()
        return answer(request)

    return flaky_answer


def raise_read_error() -> httpx.Response:
    raise httpx.ReadError("the connection was closed")


def fetch_records(fetcher: Fetcher, token: str = "") -> list[SourceRecord]:
    return [record for page in fetcher.pages(token) for record in page.records]


@pytest.fixture(params=["stopncii", "ncmec"])
def own_server_and_fetcher(
    request: pytest.FixtureRequest, exchange_setup: ExchangeSetup
) -> Iterator[tuple[ExchangeSetup, Fetcher]]:
    """Yield an exchange and a fetcher whose requests fail three times after the first answer."""
    _, key = exchange_setup.add_partner()
    app = answer_by_app(exchange_app(PartnerAuth(exchange_setup.exchange)))
    flaky_answer = fail_after_first_answer(
        app, raise_read_error, lambda: httpx.Response(503), raise_read_error
    )
    if request.param == "stopncii":
        headers = {"x-functions-key": key, "Ocp-Apim-Subscription-Key": key}
        yield (
            exchange_setup,
            StopNciiFetcher(exchange_http(flaky_answer, f"{BASE_URL}/stopncii/v1", headers)),
        )
    else:
        import base64

        basic = base64.b64encode(f"friends:{key}".encode()).decode()
        web = exchange_http(flaky_answer, f"{BASE_URL}/ncmec", {"Authorization": f"Basic {basic}"})
        yield exchange_setup, NcmecFetcher(web, exchange_setup.clock)


def registered_hashes(exchange_setup: ExchangeSetup) -> set[bytes]:
    known = {entry.number: entry.bits for entry in exchange_setup.bank.entries(0)}
    return {known[number] for number, _ in exchange_setup.bank.claims_on_pictures(known)}


@pytest.mark.slow
def test_round_trip_with_withdrawals_over_a_bad_connection(
    own_server_and_fetcher: tuple[ExchangeSetup, Fetcher],
) -> None:
    exchange_setup, fetcher = own_server_and_fetcher
    source = Source("charity", SourceKind.NCMEC, BASE_URL, SOURCE_BANK)
    exchange_setup.exchange.sources.add(source)
    for number in range(2100):
        exchange_setup.feed.put_claim(f"c{number}", fake_hash(number))
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=20)
    done = fetch_source(source, fetcher, exchange_setup.exchange, exchange_setup.platform)
    assert (done.made, done.refused) == (2100, 0)
    for number in range(10):
        exchange_setup.feed.withdraw(f"c{number}")
    exchange_setup.feed.put_claim("new", fake_hash(5000))
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=20)
    done = fetch_source(source, fetcher, exchange_setup.exchange, exchange_setup.platform)
    assert (done.made, done.withdrawn) == (1, 10)
    assert registered_hashes(exchange_setup) == {
        fake_hash(number) for number in range(10, 2100)
    } | {fake_hash(5000)}


def test_fetch_resumes_after_its_first_page(
    own_server_and_fetcher: tuple[ExchangeSetup, Fetcher],
) -> None:
    exchange_setup, fetcher = own_server_and_fetcher
    for number in range(2100):
        exchange_setup.feed.put_claim(f"c{number}", fake_hash(number))
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=20)
    pages = fetcher.pages("")
    first = next(pages)
    pages.close()  # type: ignore[attr-defined]
    rest = fetch_records(fetcher, first.checkpoint)
    assert {one.hashes[0] for one in (*first.records, *rest)} == {fake_hash(n) for n in range(2100)}
    assert len(rest) == 2100 - len(first.records)


# --- HTTP requests --------------------------------------------------------------------------------


def test_retries_back_off_and_obey_retry_after() -> None:
    answers = [httpx.Response(503), httpx.Response(429, headers={"Retry-After": "7"})]
    answers += [httpx.Response(500), httpx.Response(200, content=b"{}")]
    web = exchange_http(lambda _: answers.pop(0))
    assert web.get("/a") == b"{}"
    assert web.sleep_s == [0.5, 7.0, 2.0]


def test_retry_after_is_limited_to_a_minute() -> None:
    for said in ("Fri, 31 Dec 2100 23:59:59 GMT", "9" * 30):
        answers = [httpx.Response(429, headers={"Retry-After": said}), httpx.Response(200)]
        web = exchange_http(lambda _, answers=answers: answers.pop(0))
        web.get("/a")
        assert web.sleep_s == [60.0]


@pytest.mark.parametrize("said", ["soon", f"Mon, 01 Jan 2024 00:00:00 +{'9' * 20}"])
def test_invalid_retry_after_is_ignored(said: str) -> None:
    answers = [httpx.Response(429, headers={"Retry-After": said}), httpx.Response(200)]
    web = exchange_http(lambda _: answers.pop(0))
    web.get("/a")
    assert web.sleep_s == [0.5]


def test_redirect_to_an_invalid_host_name_is_a_failed_request() -> None:
    redirect = httpx.Response(302, headers={"Location": "https://xn--a/"})
    with pytest.raises(SourceUnreachable):
        exchange_http(lambda _: redirect).get("/a")


def test_request_fails_after_the_last_attempt() -> None:
    requested = list[httpx.Request]()
    web = exchange_http(lambda request: requested.append(request) or httpx.Response(503))  # type: ignore[func-returns-value]
    with pytest.raises(SourceUnreachable):
        web.get("/a")
    assert len(requested) == REQUEST_ATTEMPTS_MAX


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404])
def test_redirects_and_refusals_end_the_fetch_at_once(status: int) -> None:
    requested = list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        requested.append(request.url.host)
        return httpx.Response(status, headers={"Location": "https://elsewhere.example/"})

    with pytest.raises(SourceRefused) as caught:
        exchange_http(answer).get("/a")
    assert requested == ["charity.example"]
    assert str(status) in str(caught.value)


def test_long_page_is_refused_while_streaming() -> None:
    def endless_body() -> Iterator[bytes]:
        while True:
            yield b" " * 1_000_000

    with pytest.raises(BadPage):
        exchange_http(lambda _: httpx.Response(200, content=endless_body())).get("/a")


def test_errors_and_reprs_contain_no_credentials() -> None:
    web = exchange_http(lambda _: httpx.Response(401), headers={"Authorization": "Bearer hush"})
    with pytest.raises(SourceRefused) as caught:
        web.get("/a")
    assert "hush" not in f"{web!r} {caught.value} {caught.value.facts}"


# --- StopNCII -------------------------------------------------------------------------------------

STOPNCII_RECORD = {
    "lastModtimestamp": 5,
    "signalType": "ImagePDQ",
    "hashValue": fake_hash(1).hex(),
    "hashStatus": "Active",
    "caseNumbers": [],
    "CSPFeedbacks": [],
}


def stopncii_page(
    *records: Any, more: bool = False, token: str | None = None, **changed_members: Any
) -> bytes:
    page = {
        "count": len(records),
        "nextPageToken": token,
        "nextSetTimestamp": 99,
        "hasMoreRecords": more,
        "hashRecords": list(records),
    }
    return json.dumps(page | changed_members).encode()


def test_bad_record_does_not_stop_a_fetch() -> None:
    records = (
        STOPNCII_RECORD,
        STOPNCII_RECORD | {"hashValue": "xyz"},
        7,
        {},
        STOPNCII_RECORD | {"hashStatus": "Elsewhere"},
        STOPNCII_RECORD | {"hashStatus": ["Active"]},
        STOPNCII_RECORD | {"hashStatus": {}},
        STOPNCII_RECORD | {"lastModtimestamp": -1},
        STOPNCII_RECORD | {"lastModtimestamp": True},
        STOPNCII_RECORD | {"signalType": "VideoMD5", "hashValue": "0" * 32},
        STOPNCII_RECORD | {"hashValue": fake_hash(2).hex(), "hashStatus": "Withdrawn"},
    )
    web = exchange_http(lambda _: httpx.Response(200, content=stopncii_page(*records)))
    [page] = StopNciiFetcher(web).pages("")
    assert page.records == (
        SourceRecord(fake_hash(1).hex(), 5, (fake_hash(1),)),
        SourceRecord(fake_hash(2).hex(), 5),
    )
    assert len(page.refused) == 8
    assert "xyz" not in str(page.refused)
    assert page.checkpoint == "99"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 5000,
        stopncii_page(more=True, token=None),
        stopncii_page(nextSetTimestamp="soon"),
        stopncii_page(hashRecords={}),
        stopncii_page(hasMoreRecords=1),
        stopncii_page(nextPageToken=["a"]),
    ],
)
def test_malformed_stopncii_page_ends_the_fetch(body: bytes) -> None:
    with pytest.raises(BadPage):
        list(StopNciiFetcher(exchange_http(lambda _: httpx.Response(200, content=body))).pages(""))


@pytest.mark.parametrize("status", [400, 404])
def test_refused_page_token_restarts_the_fetch(status: int) -> None:
    page = {"hashRecords": [], "hasMoreRecords": False, "nextSetTimestamp": 50}
    requested = list[dict[str, str]]()

    def answer(request: httpx.Request) -> httpx.Response:
        requested.append(dict(request.url.params))
        refused = "nextPageToken" in requested[-1]
        return httpx.Response(status) if refused else httpx.Response(200, json=page)

    [got] = StopNciiFetcher(exchange_http(answer)).pages("20 T1")
    assert got.checkpoint == "50"
    assert [(one["startTimestamp"], one.get("nextPageToken")) for one in requested] == [
        ("20", "T1"),
        ("20", None),
    ]
    with pytest.raises(SourceRefused):
        list(StopNciiFetcher(exchange_http(lambda _: httpx.Response(401))).pages("20 T1"))


def test_repeated_page_token_ends_the_fetch() -> None:
    page = {"hashRecords": [], "hasMoreRecords": True, "nextPageToken": "T1"}
    answer = httpx.Response(200, json=page | {"nextSetTimestamp": 50})
    with pytest.raises(BadPage):
        list(StopNciiFetcher(exchange_http(lambda _: answer)).pages(""))


# --- records of StopNCII and ThreatExchange -------------------------------------------------------


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists))
def test_any_record_is_parsed_or_refused(random_value: object) -> None:
    for read in (parse_stopncii_record, parse_threatexchange_update):
        for one in (
            random_value,
            dict.fromkeys((*STOPNCII_RECORD, "id", "type", "last_updated"), random_value),
        ):
            with suppress(BadSourceRecord):
                read(one)


# --- NCMEC ----------------------------------------------------------------------------------------


def ncmec_entry(
    entry_id: str,
    timestamp: str,
    *pdq_hashes: str,
    element_name: str = "image",
    member_id: str = "7",
) -> str:
    inside = "".join(f"<pdq>{one}</pdq>" for one in pdq_hashes)
    return (
        f"<{element_name}><member id='{member_id}'>m</member><timestamp>{timestamp}</timestamp>"
        f"<id>{entry_id}</id><fingerprints>{inside}</fingerprints></{element_name}>"
    )


def ncmec_page(*entries: str, next_page_address: str = "") -> bytes:
    paging = f"<paging><next>{next_page_address}</next></paging>" if next_page_address else ""
    images = f"<images maxTimestamp='2026-01-01T00:00:00Z'>{''.join(entries)}</images>"
    return f"<queryResult xmlns='urn:x'>{images}{paging}</queryResult>".encode()


ENTRY_TIME = "2026-01-01T00:00:00Z"


def test_ncmec_entries_are_parsed() -> None:
    records = (
        ncmec_entry("a", ENTRY_TIME, fake_hash(1).hex(), fake_hash(2).hex()),
        ncmec_entry("b", ENTRY_TIME, "no hash"),
        ncmec_entry("c", "yesterday", fake_hash(3).hex()),
        ncmec_entry("", ENTRY_TIME, fake_hash(3).hex()),
        ncmec_entry("d", "2026-01-01T00:00:00.123Z", element_name="deletedImage"),
        ncmec_entry("e", ENTRY_TIME, element_name="video"),
        ncmec_entry("f", ENTRY_TIME),
    )
    web = exchange_http(lambda _: httpx.Response(200, content=ncmec_page(*records)))
    [page] = NcmecFetcher(web, SettableClock()).pages("")
    at_s = 1767225600
    assert page.records == (
        SourceRecord("7-a", at_s, (fake_hash(1), fake_hash(2))),
        SourceRecord("7-d", at_s),
    )
    assert len(page.refused) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"<html/>",
        b"<queryResult>",
        b"<!DOCTYPE q [<!ENTITY x 'y'>]><queryResult>&x;</queryResult>",
        ncmec_page(next_page_address="https://elsewhere.example/v2/entries"),
        ncmec_page(next_page_address="@elsewhere.example/v2/"),
    ],
)
def test_ncmec_page_that_is_malformed_or_leads_elsewhere_is_refused(body: bytes) -> None:
    with pytest.raises(BadPage):
        list(
            NcmecFetcher(
                exchange_http(lambda _: httpx.Response(200, content=body)), SettableClock()
            ).pages("")
        )


def test_ncmec_next_page_address_expires_after_twelve_hours() -> None:
    clock, requested = SettableClock(), list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        requested.append(request.url.raw_path.decode())
        again = "" if "start" in str(request.url) else "/v2/entries?start=5&amp;size=1&amp;max=9"
        return httpx.Response(200, content=ncmec_page(next_page_address=again))

    fetcher = NcmecFetcher(exchange_http(answer), clock)
    first = next(fetcher.pages(""))
    clock.advance(hours=11)
    list(fetcher.pages(first.checkpoint))
    assert requested[-1] == "/v2/entries?start=5&size=1&max=9"
    clock.advance(hours=2)
    list(fetcher.pages(first.checkpoint))
    assert requested[-2].startswith("/v2/entries?from=1970-01-01T00")


@pytest.mark.parametrize("next_page_address", ["", "/v2/entries?start=5"])
def test_ncmec_fetch_after_one_with_a_clock_that_was_ahead_starts_over(
    next_page_address: str,
) -> None:
    clock, requested = SettableClock(), list[dict[str, str]]()

    def answer(request: httpx.Request) -> httpx.Response:
        requested.append(dict(request.url.params))
        again = next_page_address if len(requested) == 1 else ""
        return httpx.Response(200, content=ncmec_page(next_page_address=again))

    fetcher = NcmecFetcher(exchange_http(answer), clock)
    clock.advance(days=1)
    first = next(fetcher.pages(""))
    clock.advance(days=-1)
    list(fetcher.pages(first.checkpoint))
    assert requested[1:] == [{"from": "1970-01-01T00:00:00Z", "to": "2026-11-25T11:59:55Z"}]


def test_refused_next_page_address_of_ncmec_restarts_the_range() -> None:
    clock, requested = SettableClock(), list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        requested.append(request.url.params.get("from", "next page"))
        if requested[-1] == "next page":
            return httpx.Response(410)
        return httpx.Response(200, content=ncmec_page(next_page_address="/v2/entries?start=5"))

    fetcher = NcmecFetcher(exchange_http(answer), clock)
    pages = fetcher.pages(next(fetcher.pages("")).checkpoint)
    next(pages)
    assert requested == ["1970-01-01T00:00:00Z", "next page", "1970-01-01T00:00:00Z"]
    with pytest.raises(SourceRefused):  # the address is of this fetch
        next(pages)


# --- ThreatExchange -------------------------------------------------------------------------------


def threat_update(number: int, updated_at_s: int, **changed_members: Any) -> dict[str, Any]:
    known = {"id": str(number), "indicator": fake_hash(number).hex(), "type": "HASH_PDQ"}
    return (
        known
        | {"last_updated": updated_at_s, "should_delete": False, "descriptors": {}}
        | changed_members
    )


def test_updates_dated_in_the_future_are_refused() -> None:
    clock = SettableClock()
    broken = threat_update("2", 9 * 10**14, indicator="broken")
    future_update = threat_update("3", int(clock.now().timestamp()) + 10 * 24 * 3600)
    page = {"data": [threat_update("1", 100), broken, future_update]}
    web = exchange_http(lambda _: httpx.Response(200, json=page))
    [got] = ThreatExchangeFetcher(web, "9", clock).pages("7")
    assert ([record.key for record in got.records], got.checkpoint) == (["1"], "100")
    assert len(got.refused) == 2


def test_threat_updates_follow_their_cursor_and_honour_deletes() -> None:
    requested = list[httpx.Request]()
    next_page_address = f"{BASE_URL}/v26.0/9/threat_updates/?after=x&access_token=hush"
    pages = [
        {
            "data": [threat_update(1, 10), threat_update(2, 11)],
            "paging": {"next": next_page_address},
        },
        {
            "data": [
                threat_update(1, 12, should_delete=True),
                {"id": 3},
                threat_update(4, 13, type="HASH_MD5"),
            ]
        },
    ]
    update_without_descriptors = threat_update(5, 14)
    del update_without_descriptors["descriptors"]
    pages[1]["data"].append(update_without_descriptors)  # type: ignore[attr-defined]

    def answer(request: httpx.Request) -> httpx.Response:
        requested.append(request)
        return httpx.Response(200, json=pages[len(requested) - 1])

    web = exchange_http(answer, f"{BASE_URL}/v26.0", {"Authorization": "Bearer app|secret"})
    got = list(ThreatExchangeFetcher(web, "9").pages("7"))
    assert dict(requested[0].url.params)["start_time"] == "7"
    assert all(one.headers["authorization"] == "Bearer app|secret" for one in requested)
    assert "app" not in str(requested[0].url)
    assert [one.checkpoint for one in got] == ["11", "14"]
    assert got[0].records == (
        SourceRecord("1", 10, (fake_hash(1),)),
        SourceRecord("2", 11, (fake_hash(2),)),
    )
    assert got[1].records == (SourceRecord("1", 12), SourceRecord("5", 14))
    assert len(got[1].refused) == 1
    assert "hush" not in "".join(one.checkpoint for one in got)


@pytest.mark.parametrize(
    "next_page_address",
    [
        "https://elsewhere.example/",
        "http://charity.example/",
        "//x",
        "https://xn--a/",
        7,
        f"https://u@{BASE_URL[8:]}/",
    ],
)
def test_a_cursor_that_leads_elsewhere_is_not_followed(next_page_address: object) -> None:
    requested = list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        requested.append(request.url.host)
        return httpx.Response(200, json={"data": [], "paging": {"next": next_page_address}})

    with pytest.raises(BadPage):
        list(ThreatExchangeFetcher(exchange_http(answer), "9").pages(""))
    assert requested == ["charity.example"]


def test_loop_of_threat_update_cursors_ends() -> None:
    page = {"data": [], "paging": {"next": f"{BASE_URL}/again"}}
    pages = list(
        ThreatExchangeFetcher(exchange_http(lambda _: httpx.Response(200, json=page)), "9").pages(
            ""
        )
    )
    assert len(pages) == 2


# --- HMA ------------------------------------------------------------------------------------------


def hma_server(contents: dict[int, Any], bank_name: str = "B") -> AnswerFunction:
    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.split("/")
        if len(path) == 4:
            return httpx.Response(200, json={"name": bank_name, "matching_enabled_ratio": 1.0})
        content = contents.get(int(path[-1]))
        return httpx.Response(404) if content is None else httpx.Response(200, json=content)

    return answer


def hma_content(number: int, **changed_members: Any) -> dict[str, Any]:
    bank = {"name": "B", "matching_enabled_ratio": 1.0}
    known = {"id": number, "bank": bank, "disable_until_ts": 1}
    return known | {"signals": {"pdq": fake_hash(number).hex()}} | changed_members


def test_hma_bank_is_read_by_number_across_gaps() -> None:
    now_s = int(SettableClock().now().timestamp())
    contents = {
        1: hma_content(1),
        150: hma_content(150),
        151: hma_content(151, bank={"name": "C", "matching_enabled_ratio": 1.0}),
        152: hma_content(152, disable_until_ts=0),
        153: hma_content(153, disable_until_ts=now_s + 60),
        154: hma_content(154, disable_until_ts=now_s - 60),
        155: hma_content(155, signals={"pdq": "12"}),
        156: hma_content(156, signals={}),
        157: hma_content(157, bank="B"),
        1300: hma_content(1300),
    }
    pages = list(HmaFetcher(exchange_http(hma_server(contents)), "B", SettableClock()).pages(""))
    records = [record for page in pages for record in page.records]
    active_keys = {record.key for record in records if not record.is_withdrawal}
    # The fetch ends after 1,000 missing numbers, before it reaches content 1300.
    assert active_keys == {"1", "150", "154"}
    assert {record.key for record in records if record.is_withdrawal} == {"152", "153"}
    assert [why for page in pages for why in page.refused] == [
        "content 155: its hash is not 64 hexadecimal digits",
        "content 157: it is not an object",
    ]


def test_contents_of_other_banks_do_not_count_as_a_gap() -> None:
    other = {"name": "C", "matching_enabled_ratio": 1.0}
    contents = {number: hma_content(number, bank=other) for number in range(1, 1_500)}
    contents[1_500] = hma_content(1_500)
    assert [
        one.key
        for one in fetch_records(
            HmaFetcher(exchange_http(hma_server(contents)), "B", SettableClock())
        )
    ] == ["1500"]


def test_hinted_next_number_is_used() -> None:
    contents = {5_000: hma_content(5_000), 9_000: hma_content(9_000)}
    requested: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.split("/")
        if len(path) == 4:
            return httpx.Response(200, json={"name": "B"})
        requested.append(int(path[-1]))
        if requested[-1] in contents:
            return httpx.Response(200, json=contents[requested[-1]])
        after = min((one for one in contents if one > requested[-1]), default=None)
        return httpx.Response(404, json={"message": "none", "next": after})

    fetcher = HmaFetcher(exchange_http(answer), "B", SettableClock())
    (page,) = fetcher.pages("")
    assert [one.key for one in page.records] == ["5000", "9000"]
    assert requested == [1, 5_000, 5_001, 9_000, 9_001]
    assert list(fetcher.pages(page.checkpoint)) == []


@pytest.mark.parametrize(
    "answer_body", ['{"next": 1}', '{"next": "7"}', '{"next": -1}', "[", '{"a": 1}']
)
def test_invalid_next_number_is_ignored(answer_body: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.count("/") == 3:
            return httpx.Response(200, json={"name": "B"})
        return httpx.Response(404, text=answer_body)

    pages = list(HmaFetcher(exchange_http(answer), "B", SettableClock()).pages(""))
    assert pages[-1].checkpoint == "1001 1000"


def test_wrong_or_missing_hma_bank_is_an_error() -> None:
    with pytest.raises(BadPage):
        list(
            HmaFetcher(exchange_http(hma_server({}, bank_name="C")), "B", SettableClock()).pages("")
        )
    with pytest.raises(SourceRefused):
        list(
            HmaFetcher(exchange_http(lambda _: httpx.Response(404)), "B", SettableClock()).pages("")
        )


def test_hma_fetch_resumes() -> None:
    contents = {number: hma_content(number) for number in range(1, 251)}
    fetcher = HmaFetcher(exchange_http(hma_server(contents)), "B", SettableClock())
    first = next(fetcher.pages(""))
    assert len(fetch_records(fetcher, first.checkpoint)) == 150


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        fake_hash(1).hex(),
        fake_hash(1).hex().upper(),
        f"{fake_hash(1).hex()},98,beach",
        f'"{fake_hash(1).hex()}",x',
        f"pdq {fake_hash(1).hex()}",
        f"  {fake_hash(1).hex()}  ",
    ],
)
def test_file_lines_with_a_hash_are_parsed(line: str) -> None:
    assert parse_hash_line(line) == SourceRecord(fake_hash(1).hex(), 0, (fake_hash(1),))


@pytest.mark.parametrize("line", ["", "# a comment", "hash", "PDQ,quality", "video_md5 0123", " "])
def test_file_lines_without_a_hash_are_skipped(line: str) -> None:
    assert parse_hash_line(line) is None


def test_file_is_read_in_pages_and_invalid_lines_are_reported(tmp_path: Path) -> None:
    lines = [fake_hash(number).hex() for number in range(1500)]
    lines[7] = "no hash at all"
    file = tmp_path / "list.csv"
    file.write_text("\ufeffhash\r\n" + "\r\n".join(lines), encoding="utf-8")
    pages = list(HashFileFetcher("list", file).pages(""))
    assert [len(page.records) for page in pages] == [998, 501]
    assert [why for page in pages for why in page.refused] == [
        "record 9: its hash is not 64 hexadecimal digits"
    ]


def test_missing_or_binary_file_ends_the_fetch(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable):
        list(HashFileFetcher("list", tmp_path / "none").pages(""))
    (tmp_path / "blob").write_bytes(b"\0" * 100_000)
    with pytest.raises(BadPage):
        list(HashFileFetcher("list", tmp_path / "blob").pages(""))


TEST_VECTOR_FOLDER = Path(__file__).parents[4] / "shared" / "judges"
META_NEEDLES_FILE = TEST_VECTOR_FOLDER / "pdq" / "reg-test-input" / "needles.txt"


@pytest.mark.skipif(not META_NEEDLES_FILE.exists(), reason="Meta's PDQ test data are not here")
def test_meta_needle_hashes_are_read(
    exchange_setup: ExchangeSetup, record_vectors: Callable[[str, int], None]
) -> None:
    source = Source("needles", SourceKind.FILE, str(META_NEEDLES_FILE), SOURCE_BANK)
    exchange_setup.exchange.sources.add(source)
    fetcher = HashFileFetcher("needles", META_NEEDLES_FILE)
    done = fetch_source(source, fetcher, exchange_setup.exchange, exchange_setup.platform)
    wanted = {bytes.fromhex(line) for line in META_NEEDLES_FILE.read_text().split()}
    assert (done.refused, registered_hashes(exchange_setup)) == (0, wanted)
    again = fetch_source(source, fetcher, exchange_setup.exchange, exchange_setup.platform)
    assert (again.made, again.withdrawn) == (0, 0)
    record_vectors("PDQ needles", len(wanted))
