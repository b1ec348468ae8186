"""The fetchers, with our own servers and with scripted ones that misbehave."""

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

THEIRS = BankName("theirs")
BASE = "https://charity.example"
Answer = Callable[[httpx.Request], httpx.Response]


class RecordedSleeps(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def http_of(
    answer: Answer, base: str = BASE, headers: dict[str, str] | None = None
) -> ExchangeHttp:
    client = httpx.Client(transport=httpx.MockTransport(answer))
    return ExchangeHttp("charity", base, client, headers or {}, RecordedSleeps(), lambda: 1.0)


def answer_of(app: Starlette) -> Answer:
    """Return a function for a mock transport that answers as the application does."""

    def answer(request: httpx.Request) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
                return await client.request(request.method, request.url, headers=request.headers)

        got = anyio.run(ask)
        return httpx.Response(got.status_code, headers=got.headers, content=got.content)

    return answer


def after_one_failure(answer: Answer, *bad: Callable[[], httpx.Response]) -> Answer:
    """Answer the first request, then fail once in each way of ``bad``, then answer again."""
    count = iter(range(1000))
    left = list(bad)

    def flaky(request: httpx.Request) -> httpx.Response:
        if next(count) and left:
            return left.pop(0)()
        return answer(request)

    return flaky


def broken_off() -> httpx.Response:
    raise httpx.ReadError("the connection was closed")


def records(fetcher: Fetcher, token: str = "") -> list[SourceRecord]:
    return [record for page in fetcher.pages(token) for record in page.records]


@pytest.fixture(params=["stopncii", "ncmec"])
def ours(
    request: pytest.FixtureRequest, exchange_setup: ExchangeSetup
) -> Iterator[tuple[ExchangeSetup, Fetcher]]:
    """A fetcher of each kind that queries our own server over a failing connection."""
    _, key = exchange_setup.add_partner()
    app = answer_of(exchange_app(exchange_setup.exchange))
    flaky = after_one_failure(app, broken_off, lambda: httpx.Response(503), broken_off)
    if request.param == "stopncii":
        headers = {"x-functions-key": key, "Ocp-Apim-Subscription-Key": key}
        yield exchange_setup, StopNciiFetcher(http_of(flaky, f"{BASE}/stopncii/v1", headers))
    else:
        import base64

        basic = base64.b64encode(f"friends:{key}".encode()).decode()
        web = http_of(flaky, f"{BASE}/ncmec", {"Authorization": f"Basic {basic}"})
        yield exchange_setup, NcmecFetcher(web, exchange_setup.clock)


def registered_hashes(exchange_setup: ExchangeSetup) -> set[bytes]:
    known = {entry.number: entry.bits for entry in exchange_setup.bank.entries(0)}
    return {known[number] for number, _ in exchange_setup.bank.claims_on_pictures(known)}


@pytest.mark.slow
def test_round_trip_with_withdrawals_over_a_bad_connection(
    ours: tuple[ExchangeSetup, Fetcher],
) -> None:
    exchange_setup, fetcher = ours
    source = Source("charity", SourceKind.NCMEC, BASE, THEIRS)
    exchange_setup.exchange.sources.add(source)
    for number in range(2100):
        exchange_setup.feed.put(f"c{number}", fake_hash(number))
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=20)
    done = fetch_source(source, fetcher, exchange_setup.exchange, exchange_setup.platform)
    assert (done.made, done.refused) == (2100, 0)
    for number in range(10):
        exchange_setup.feed.withdraw(f"c{number}")
    exchange_setup.feed.put("new", fake_hash(5000))
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=20)
    done = fetch_source(source, fetcher, exchange_setup.exchange, exchange_setup.platform)
    assert (done.made, done.withdrawn) == (1, 10)
    assert registered_hashes(exchange_setup) == {
        fake_hash(number) for number in range(10, 2100)
    } | {fake_hash(5000)}


def test_fetch_resumes_within_a_page_sequence(ours: tuple[ExchangeSetup, Fetcher]) -> None:
    exchange_setup, fetcher = ours
    for number in range(2100):
        exchange_setup.feed.put(f"c{number}", fake_hash(number))
    update_exchange_state(exchange_setup.exchange)
    exchange_setup.clock.advance(seconds=20)
    pages = fetcher.pages("")
    first = next(pages)
    pages.close()  # type: ignore[attr-defined]
    rest = records(fetcher, first.checkpoint)
    assert {one.hashes[0] for one in (*first.records, *rest)} == {fake_hash(n) for n in range(2100)}
    assert len(rest) == 2100 - len(first.records)


# --- HTTP requests --------------------------------------------------------------------------------


def test_retries_back_off_and_obey_retry_after() -> None:
    answers = [httpx.Response(503), httpx.Response(429, headers={"Retry-After": "7"})]
    answers += [httpx.Response(500), httpx.Response(200, content=b"{}")]
    web = http_of(lambda _: answers.pop(0))
    assert web.get("/a") == b"{}"
    assert web.sleep_s == [0.5, 7.0, 2.0]


def test_retry_after_date_is_limited_to_a_minute() -> None:
    for said in ("Fri, 31 Dec 2100 23:59:59 GMT", "9" * 30):
        answers = [httpx.Response(429, headers={"Retry-After": said}), httpx.Response(200)]
        web = http_of(lambda _, answers=answers: answers.pop(0))
        web.get("/a")
        assert web.sleep_s == [60.0]


def test_fetch_gives_up_with_an_error() -> None:
    asked = list[httpx.Request]()
    web = http_of(lambda request: asked.append(request) or httpx.Response(503))  # type: ignore[func-returns-value]
    with pytest.raises(SourceUnreachable):
        web.get("/a")
    assert len(asked) == REQUEST_ATTEMPTS_MAX


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404])
def test_redirects_and_refusals_end_the_fetch_at_once(status: int) -> None:
    asked = list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(status, headers={"Location": "https://elsewhere.example/"})

    with pytest.raises(SourceRefused) as caught:
        http_of(answer).get("/a")
    assert asked == ["charity.example"]
    assert str(status) in str(caught.value)


def test_long_page_is_refused_while_streaming() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b" " * 1_000_000

    with pytest.raises(BadPage):
        http_of(lambda _: httpx.Response(200, content=endless())).get("/a")


def test_errors_and_reprs_contain_no_credentials() -> None:
    web = http_of(lambda _: httpx.Response(401), headers={"Authorization": "Bearer hush"})
    with pytest.raises(SourceRefused) as caught:
        web.get("/a")
    assert "hush" not in f"{web!r} {caught.value} {caught.value.facts}"


# --- StopNCII -------------------------------------------------------------------------------------

GOOD = {
    "lastModtimestamp": 5,
    "signalType": "ImagePDQ",
    "hashValue": fake_hash(1).hex(),
    "hashStatus": "Active",
    "caseNumbers": [],
    "CSPFeedbacks": [],
}


def stop_page(*found: Any, more: bool = False, token: str | None = None, **other: Any) -> bytes:
    page = {
        "count": len(found),
        "nextPageToken": token,
        "nextSetTimestamp": 99,
        "hasMoreRecords": more,
        "hashRecords": list(found),
    }
    return json.dumps(page | other).encode()


def test_bad_record_does_not_stop_a_fetch() -> None:
    found = (
        GOOD,
        GOOD | {"hashValue": "xyz"},
        7,
        {},
        GOOD | {"hashStatus": "Elsewhere"},
        GOOD | {"lastModtimestamp": -1},
        GOOD | {"lastModtimestamp": True},
        GOOD | {"signalType": "VideoMD5", "hashValue": "0" * 32},
        GOOD | {"hashValue": fake_hash(2).hex(), "hashStatus": "Withdrawn"},
    )
    web = http_of(lambda _: httpx.Response(200, content=stop_page(*found)))
    [page] = StopNciiFetcher(web).pages("")
    assert page.records == (
        SourceRecord(fake_hash(1).hex(), 5, (fake_hash(1),)),
        SourceRecord(fake_hash(2).hex(), 5),
    )
    assert len(page.refused) == 6
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
        stop_page(more=True, token=None),
        stop_page(nextSetTimestamp="soon"),
        stop_page(hashRecords={}),
        stop_page(hasMoreRecords=1),
        stop_page(nextPageToken=["a"]),
    ],
)
def test_malformed_page_ends_the_fetch(body: bytes) -> None:
    with pytest.raises(BadPage):
        list(StopNciiFetcher(http_of(lambda _: httpx.Response(200, content=body))).pages(""))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists))
def test_any_record_is_parsed_or_refused(noise: object) -> None:
    for read in (parse_stopncii_record, parse_threatexchange_update):
        for one in (noise, dict.fromkeys((*GOOD, "id", "type", "last_updated"), noise)):
            with suppress(BadSourceRecord):
                read(one)


# --- NCMEC ----------------------------------------------------------------------------------------


def entry(name: str, timestamp: str, *prints: str, kind: str = "image", member: str = "7") -> str:
    inside = "".join(f"<pdq>{one}</pdq>" for one in prints)
    return (
        f"<{kind}><member id='{member}'>m</member><timestamp>{timestamp}</timestamp>"
        f"<id>{name}</id><fingerprints>{inside}</fingerprints></{kind}>"
    )


def ncmec_page(*entries: str, following: str = "") -> bytes:
    paging = f"<paging><next>{following}</next></paging>" if following else ""
    images = f"<images maxTimestamp='2026-01-01T00:00:00Z'>{''.join(entries)}</images>"
    return f"<queryResult xmlns='urn:x'>{images}{paging}</queryResult>".encode()


AT = "2026-01-01T00:00:00Z"


def test_ncmec_entries_are_parsed() -> None:
    found = (
        entry("a", AT, fake_hash(1).hex(), fake_hash(2).hex()),
        entry("b", AT, "no hash"),
        entry("c", "yesterday", fake_hash(3).hex()),
        entry("", AT, fake_hash(3).hex()),
        entry("d", "2026-01-01T00:00:00.123Z", kind="deletedImage"),
        entry("e", AT, kind="video"),
        entry("f", AT),
    )
    web = http_of(lambda _: httpx.Response(200, content=ncmec_page(*found)))
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
        ncmec_page(following="https://elsewhere.example/v2/entries"),
        ncmec_page(following="@elsewhere.example/v2/"),
    ],
)
def test_malformed_ncmec_pages_are_refused(body: bytes) -> None:
    with pytest.raises(BadPage):
        list(
            NcmecFetcher(
                http_of(lambda _: httpx.Response(200, content=body)), SettableClock()
            ).pages("")
        )


def test_ncmec_next_page_expires_after_twelve_hours() -> None:
    clock, asked = SettableClock(), list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        again = "" if "start" in str(request.url) else "/v2/entries?start=5&amp;size=1&amp;max=9"
        return httpx.Response(200, content=ncmec_page(following=again))

    fetcher = NcmecFetcher(http_of(answer), clock)
    first = next(fetcher.pages(""))
    clock.advance(hours=11)
    list(fetcher.pages(first.checkpoint))
    assert asked[-1] == "/v2/entries?start=5&size=1&max=9"
    clock.advance(hours=2)
    list(fetcher.pages(first.checkpoint))
    assert asked[-2].startswith("/v2/entries?from=1970-01-01T00")


# --- ThreatExchange -------------------------------------------------------------------------------


def update(number: int, at: int, **other: Any) -> dict[str, Any]:
    known = {"id": str(number), "indicator": fake_hash(number).hex(), "type": "HASH_PDQ"}
    return known | {"last_updated": at, "should_delete": False, "descriptors": {}} | other


def test_update_dated_ahead_hides_nothing() -> None:
    clock = SettableClock()
    broken = update("2", 9 * 10**14, indicator="broken")
    ahead = update("3", int(clock.now().timestamp()) + 10 * 24 * 3600)
    page = {"data": [update("1", 100), broken, ahead]}
    web = http_of(lambda _: httpx.Response(200, json=page))
    [got] = ThreatExchangeFetcher(web, "9", clock).pages("7")
    assert ([record.key for record in got.records], got.checkpoint) == (["1"], "100")
    assert len(got.refused) == 2


@pytest.mark.parametrize("status", [400, 404])
def test_refused_page_token_restarts_the_fetch(status: int) -> None:
    page = {"hashRecords": [], "hasMoreRecords": False, "nextSetTimestamp": 50}
    asked = list[dict[str, str]]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        refused = "nextPageToken" in asked[-1]
        return httpx.Response(status) if refused else httpx.Response(200, json=page)

    [got] = StopNciiFetcher(http_of(answer)).pages("20 T1")
    assert got.checkpoint == "50"
    assert [(one["startTimestamp"], one.get("nextPageToken")) for one in asked] == [
        ("20", "T1"),
        ("20", None),
    ]
    with pytest.raises(SourceRefused):
        list(StopNciiFetcher(http_of(lambda _: httpx.Response(401))).pages("20 T1"))


def test_repeated_page_token_ends_the_fetch() -> None:
    page = {"hashRecords": [], "hasMoreRecords": True, "nextPageToken": "T1"}
    answer = httpx.Response(200, json=page | {"nextSetTimestamp": 50})
    with pytest.raises(BadPage):
        list(StopNciiFetcher(http_of(lambda _: answer)).pages(""))


def test_threat_updates_follow_their_cursor_and_honour_deletes() -> None:
    asked = list[httpx.Request]()
    following = f"{BASE}/v26.0/9/threat_updates/?after=x&access_token=hush"
    pages = [
        {"data": [update(1, 10), update(2, 11)], "paging": {"next": following}},
        {"data": [update(1, 12, should_delete=True), {"id": 3}, update(4, 13, type="HASH_MD5")]},
    ]
    gone = update(5, 14)
    del gone["descriptors"]
    pages[1]["data"].append(gone)  # type: ignore[attr-defined]

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=pages[len(asked) - 1])

    web = http_of(answer, f"{BASE}/v26.0", {"Authorization": "Bearer app|secret"})
    got = list(ThreatExchangeFetcher(web, "9").pages("7"))
    assert dict(asked[0].url.params)["start_time"] == "7"
    assert all(one.headers["authorization"] == "Bearer app|secret" for one in asked)
    assert "app" not in str(asked[0].url)
    assert [one.checkpoint for one in got] == ["11", "14"]
    assert got[0].records == (
        SourceRecord("1", 10, (fake_hash(1),)),
        SourceRecord("2", 11, (fake_hash(2),)),
    )
    assert got[1].records == (SourceRecord("1", 12), SourceRecord("5", 14))
    assert len(got[1].refused) == 1
    assert "hush" not in "".join(one.checkpoint for one in got)


@pytest.mark.parametrize(
    "following",
    ["https://elsewhere.example/", "http://charity.example/", "//x", 7, f"https://u@{BASE[8:]}/"],
)
def test_a_cursor_that_leads_elsewhere_is_not_followed(following: object) -> None:
    asked = list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(200, json={"data": [], "paging": {"next": following}})

    with pytest.raises(BadPage):
        list(ThreatExchangeFetcher(http_of(answer), "9").pages(""))
    assert asked == ["charity.example"]


def test_cursor_loop_ends() -> None:
    page = {"data": [], "paging": {"next": f"{BASE}/again"}}
    pages = list(
        ThreatExchangeFetcher(http_of(lambda _: httpx.Response(200, json=page)), "9").pages("")
    )
    assert len(pages) == 2


# --- HMA ------------------------------------------------------------------------------------------


def hma(contents: dict[int, Any], name: str = "B") -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.split("/")
        if len(path) == 4:
            return httpx.Response(200, json={"name": name, "matching_enabled_ratio": 1.0})
        found = contents.get(int(path[-1]))
        return httpx.Response(404) if found is None else httpx.Response(200, json=found)

    return answer


def content(number: int, **other: Any) -> dict[str, Any]:
    bank = {"name": "B", "matching_enabled_ratio": 1.0}
    known = {"id": number, "bank": bank, "disable_until_ts": 1}
    return known | {"signals": {"pdq": fake_hash(number).hex()}} | other


def test_hma_bank_is_read_by_number_across_gaps() -> None:
    now_s = int(SettableClock().now().timestamp())
    contents = {
        1: content(1),
        150: content(150),
        151: content(151, bank={"name": "C", "matching_enabled_ratio": 1.0}),
        152: content(152, disable_until_ts=0),
        153: content(153, disable_until_ts=now_s + 60),
        154: content(154, disable_until_ts=now_s - 60),
        155: content(155, signals={"pdq": "12"}),
        156: content(156, signals={}),
        157: content(157, bank="B"),
        1300: content(1300),
    }
    pages = list(HmaFetcher(http_of(hma(contents)), "B", SettableClock()).pages(""))
    found = [record for page in pages for record in page.records]
    live = {record.key for record in found if not record.is_withdrawal}
    assert live == {"1", "150", "154"}  # 1300 lies behind a gap of 1,000
    assert {record.key for record in found if record.is_withdrawal} == {"152", "153"}
    assert [why for page in pages for why in page.refused] == [
        "content 155: its hash is not 64 hexadecimal digits",
        "content 157: it is not an object",
    ]


def test_content_of_other_banks_is_no_gap() -> None:
    other = {"name": "C", "matching_enabled_ratio": 1.0}
    contents = {number: content(number, bank=other) for number in range(1, 1_500)}
    contents[1_500] = content(1_500)
    assert [
        one.key for one in records(HmaFetcher(http_of(hma(contents)), "B", SettableClock()))
    ] == ["1500"]


def test_hinted_next_number_is_used() -> None:
    contents = {5_000: content(5_000), 9_000: content(9_000)}
    asked: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path.split("/")
        if len(path) == 4:
            return httpx.Response(200, json={"name": "B"})
        asked.append(int(path[-1]))
        if asked[-1] in contents:
            return httpx.Response(200, json=contents[asked[-1]])
        after = min((one for one in contents if one > asked[-1]), default=None)
        return httpx.Response(404, json={"message": "none", "next": after})

    fetcher = HmaFetcher(http_of(answer), "B", SettableClock())
    (page,) = fetcher.pages("")
    assert [one.key for one in page.records] == ["5000", "9000"]
    assert asked == [1, 5_000, 5_001, 9_000, 9_001]
    assert list(fetcher.pages(page.checkpoint)) == []


@pytest.mark.parametrize("said", ['{"next": 1}', '{"next": "7"}', '{"next": -1}', "[", '{"a": 1}'])
def test_invalid_next_number_is_ignored(said: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.count("/") == 3:
            return httpx.Response(200, json={"name": "B"})
        return httpx.Response(404, text=said)

    pages = list(HmaFetcher(http_of(answer), "B", SettableClock()).pages(""))
    assert pages[-1].checkpoint == "1001 1000"


def test_wrong_or_missing_hma_bank_is_an_error() -> None:
    with pytest.raises(BadPage):
        list(HmaFetcher(http_of(hma({}, name="C")), "B", SettableClock()).pages(""))
    with pytest.raises(SourceRefused):
        list(HmaFetcher(http_of(lambda _: httpx.Response(404)), "B", SettableClock()).pages(""))


def test_hma_fetch_resumes() -> None:
    contents = {number: content(number) for number in range(1, 251)}
    fetcher = HmaFetcher(http_of(hma(contents)), "B", SettableClock())
    first = next(fetcher.pages(""))
    assert len(records(fetcher, first.checkpoint)) == 150


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


def test_a_file_is_read_in_pages_and_odd_lines_are_counted(tmp_path: Path) -> None:
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


JUDGES = Path(__file__).parents[4] / "shared" / "judges"
NEEDLES = JUDGES / "pdq" / "reg-test-input" / "needles.txt"


@pytest.mark.skipif(not NEEDLES.exists(), reason="Meta's PDQ test data are not here")
def test_meta_needle_hashes_are_read(
    exchange_setup: ExchangeSetup, record_vectors: Callable[[str, int], None]
) -> None:
    source = Source("needles", SourceKind.FILE, str(NEEDLES), THEIRS)
    exchange_setup.exchange.sources.add(source)
    fetcher = HashFileFetcher("needles", NEEDLES)
    done = fetch_source(source, fetcher, exchange_setup.exchange, exchange_setup.platform)
    wanted = {bytes.fromhex(line) for line in NEEDLES.read_text().split()}
    assert (done.refused, registered_hashes(exchange_setup)) == (0, wanted)
    again = fetch_source(source, fetcher, exchange_setup.exchange, exchange_setup.platform)
    assert (again.made, again.withdrawn) == (0, 0)
    record_vectors("PDQ needles", len(wanted))
