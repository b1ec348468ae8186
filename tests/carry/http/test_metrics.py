"""Tests of a relay's metrics: the counts, the time of the last sweep, privacy and other paths."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from entrenous.base.errors import DiskFailed, WrongToken
from entrenous.base.identifiers import MailboxId
from entrenous.base.program import this_program_version
from entrenous.carry.check_setup import collect_stats
from entrenous.carry.expire import expire_due
from entrenous.carry.http.metrics import RelayMetrics, metrics_app
from entrenous.carry.http.relay_app import FastPath, relay_app
from entrenous.carry.relay import Relay
from entrenous.wire.encodings import to_base64url
from tests.carry.relays import SampleMessage, disk_relay, download_bytes, memory_relay
from tests.deterministic import SettableClock
from tests.in_memory.courier import memory_courier

URL = "https://relay.test"


@pytest.fixture
def relay() -> Relay:
    return memory_relay()


@pytest.fixture
def metrics() -> RelayMetrics:
    return RelayMetrics()


@pytest.fixture
def message(relay: Relay, metrics: RelayMetrics) -> SampleMessage:
    """Return a message that was opened once, and whose blob was requested with a wrong token."""
    message, courier = (
        SampleMessage(),
        memory_courier({URL: relay_app(relay, metrics.count_response)}),
    )
    courier.create_mailbox(URL, message.mailbox, message.owner)
    courier.register_token(URL, message.mailbox, message.owner, message.send_token())
    courier.upload_blob(URL, message.token, message.blob_deposit(), message.blob)
    courier.post(URL, message.token, message.envelope(2))
    courier.open_share(URL, message.id, message.open, message.new_attempt())
    with pytest.raises(WrongToken):
        download_bytes(courier, URL, message.blob_id, message.unrelated_token)
    return message


def scrape(app: Starlette) -> str:
    async def request_metrics() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as web:
            return await web.get("/metrics")

    answer = asyncio.run(request_metrics())
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


@pytest.mark.usefixtures("message")
def test_metrics_count_answers_and_stored_rows(relay: Relay, metrics: RelayMetrics) -> None:
    text, program = scrape(metrics_app(metrics, relay)), this_program_version()
    for line in (
        'entrenous_answers_total{event="put_blob",status="201"} 1.0',
        'entrenous_answers_total{event="get_blob",status="401"} 1.0',
        'entrenous_answer_seconds_count{event="post_envelope"} 1.0',
        f'entrenous_build_info{{commit="{program.commit}",version="{program.version}"}} 1.0',
        "entrenous_mailboxes 1.0",
        "entrenous_letters 1.0",
        "entrenous_blob_bytes 5000.0",
        "entrenous_free_bytes NaN",
        "entrenous_swept_at NaN",
    ):
        assert line in text.splitlines()


def test_metrics_show_the_time_of_the_last_sweep(relay: Relay, metrics: RelayMetrics) -> None:
    """If this time is old, a monitor can tell that the relay no longer sweeps."""
    asyncio.run(expire_due(relay))
    swept = re.search(r"entrenous_swept_at (\d\S+)", scrape(metrics_app(metrics, relay)))
    assert swept is not None
    assert float(swept[1]) == relay.clock.now().timestamp()


def damage_database(folder: Path) -> None:
    """Overwrite the pages of an open database, so that reads and writes fail."""
    path = folder / "mail.db"
    path.write_bytes(bytes(path.stat().st_size))


def test_metrics_count_failed_sweeps(tmp_path: Path, metrics: RelayMetrics) -> None:
    """One task deletes rows, and another deletes blobs."""
    name, labels = "entrenous_answers_total", {"event": "sweep", "status": "500"}
    with disk_relay(tmp_path, SettableClock()) as relay:
        app = relay_app(relay, metrics.count_response)
        assert isinstance(app, FastPath)
        assert isinstance(app._app, Starlette)

        async def run_first_sweeps(starlette: Starlette) -> None:
            async with starlette.router.lifespan_context(starlette):
                while metrics.registry.get_sample_value(name, labels) != 2:  # noqa: ASYNC110 -- polls
                    await asyncio.sleep(0.01)

        damage_database(tmp_path)
        asyncio.run(asyncio.wait_for(run_first_sweeps(app._app), 20))


def test_metrics_of_the_process_are_served_while_the_database_fails(
    tmp_path: Path, metrics: RelayMetrics
) -> None:
    metrics.count_response("post_envelope", 507, 0.1)
    with disk_relay(tmp_path, SettableClock()) as relay:
        damage_database(tmp_path)
        with pytest.raises(DiskFailed):
            asyncio.run(collect_stats(relay))
        text = scrape(metrics_app(metrics, relay))
    assert 'entrenous_answers_total{event="post_envelope",status="507"} 1.0' in text.splitlines()


def test_metrics_identify_nobody(
    relay: Relay, metrics: RelayMetrics, message: SampleMessage
) -> None:
    text = scrape(metrics_app(metrics, relay))
    ids = (message.mailbox, message.id, message.blob_id)
    tokens = (
        message.owner.reveal(),
        message.token.reveal(),
        message.open.reveal(),
        message.share.reveal(),
    )
    for secret in (*ids, *tokens):
        assert to_base64url(secret) not in text
        assert secret.hex() not in text
    labels = set(re.findall(r"(\w+)=\"", text))
    assert labels == {"event", "status", "le", "version", "commit"}
    assert re.search(r"\d+\.\d+\.\d+\.\d+", text) is None


@pytest.mark.usefixtures("message")
def test_stored_rows_are_not_counted_again_at_once(relay: Relay, metrics: RelayMetrics) -> None:
    async def scrape_twice() -> tuple[bytes, bytes]:
        first = await metrics.prometheus_text(relay)
        courier = memory_courier({URL: relay_app(relay)})
        other = SampleMessage()
        courier.create_mailbox(URL, MailboxId(b"N" * 16), other.owner)
        return first, await metrics.prometheus_text(relay)

    first, second = asyncio.run(scrape_twice())
    assert b"entrenous_mailboxes 1.0" in first
    assert b"entrenous_mailboxes 1.0" in second


def test_metrics_address_serves_nothing_else(relay: Relay, metrics: RelayMetrics) -> None:
    async def status_of(path: str) -> int:
        app = metrics_app(metrics, relay)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as web:
            return (await web.get(path)).status_code

    assert [asyncio.run(status_of(path)) for path in ("/", "/v1/status")] == [404, 404]
