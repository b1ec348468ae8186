"""Tests of a relay's HTTP interface: statuses, errors, ranges, limits, protocol versions, log."""

import logging

import httpx
import msgspec
import pytest

from entrenous.base.program import this_program_version
from entrenous.carry.expire import expire_due
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.relay import Relay
from entrenous.device.client.http_courier import HttpCourier
from entrenous.wire.encodings import to_base64url
from entrenous.wire.relay_json import write_envelope
from tests.carry.relays import SampleMessage, download_bytes, memory_relay, serve_app
from tests.deterministic import SettableClock
from tests.in_memory.courier import memory_courier, run_sync

URL = "https://relay.test"


@pytest.fixture
def relay() -> Relay:
    return memory_relay(SettableClock())


@pytest.fixture
def courier(relay: Relay) -> HttpCourier:
    return memory_courier({URL: relay_app(relay)})


@pytest.fixture
def web(courier: HttpCourier) -> httpx.Client:
    courier._client.headers["Entrenous-Protocol"] = "2"
    return courier._client


@pytest.fixture
def message(courier: HttpCourier) -> SampleMessage:
    message = SampleMessage()
    courier.create_mailbox(URL, message.mailbox, message.owner)
    courier.register_token(URL, message.mailbox, message.owner, message.send_token())
    courier.upload_blob(URL, message.token, message.blob_deposit(), message.blob)
    courier.post(URL, message.token, message.envelope(1))
    return message


def bearer_header(token: object) -> dict[str, str]:
    return {"Authorization": f"Bearer {to_base64url(token.reveal())}"}  # type: ignore[attr-defined]


def test_first_post_is_201_and_repeats_are_200(web: httpx.Client, message: SampleMessage) -> None:
    envelope = message.new_envelope()
    url = (
        f"{URL}/v1/mailboxes/{to_base64url(message.mailbox)}/envelopes/{to_base64url(envelope.id)}"
    )
    body = write_envelope(envelope)
    codes = [
        web.put(url, content=body, headers=bearer_header(message.token)).status_code
        for _ in range(3)
    ]
    assert codes == [201, 200, 200]


def test_problem_document_names_the_error_and_no_more(
    web: httpx.Client, message: SampleMessage
) -> None:
    url = f"{URL}/v1/shares/{to_base64url(message.id)}/open"
    answer = web.post(
        url,
        json={"attempt": to_base64url(message.new_attempt())},
        headers=bearer_header(message.withdraw),
    )
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    problem = answer.json()
    assert problem["type"] == "urn:entrenous:unproven:wrong-token"
    assert set(problem) == {"type", "title", "status", "detail", "facts"}
    assert (problem["title"], problem["status"], problem["facts"]) == ("Wrong token", 401, {})


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer !"},
        bearer_header(SampleMessage().unrelated_token),
    ],
)
def test_request_without_a_valid_token_is_401(
    web: httpx.Client, message: SampleMessage, header: dict[str, str]
) -> None:
    url = f"{URL}/v1/envelopes/{to_base64url(message.id)}/state"
    assert web.get(url, headers=header).status_code == 401


@pytest.mark.threat("preview-bot")
def test_get_and_head_requests_do_not_count_as_openings(
    web: httpx.Client, courier: HttpCourier, message: SampleMessage
) -> None:
    """Requests like those of a preview bot, even with tokens, open nothing and delete no blob."""
    for token in (message.open, message.fetch, message.owner):
        for path in (
            f"shares/{to_base64url(message.id)}/open",
            f"blobs/{to_base64url(message.blob_id)}",
        ):
            web.get(f"{URL}/v1/{path}", headers=bearer_header(token))
            web.head(f"{URL}/v1/{path}", headers=bearer_header(token))
    assert web.get(f"{URL}/v1/shares/{to_base64url(message.id)}/open").status_code == 405
    assert courier.envelope_status(URL, message.id, message.withdraw).opened == 0
    assert download_bytes(courier, URL, message.blob_id, message.fetch) == message.blob


@pytest.mark.parametrize(
    ("range_header", "status", "expected_range"),
    [
        ("bytes=0-0", 206, (0, 1)),
        ("bytes=10-19", 206, (10, 20)),
        ("bytes=4000-", 206, (4000, 5000)),
        ("bytes=-10", 206, (4990, 5000)),
        ("bytes=-9999", 206, (0, 5000)),
        ("bytes=4999-99999", 206, (4999, 5000)),
        ("bytes=0-1,5-6", 200, (0, 5000)),
        ("bytes=9-3", 200, (0, 5000)),
        ("bytes=-", 200, (0, 5000)),
        ("lines=1-2", 200, (0, 5000)),
        ("bytes=5000-", 416, (0, 0)),
        ("bytes=-0", 416, (0, 0)),
    ],
)
def test_range_of_a_blob_is_served_ignored_or_refused(
    web: httpx.Client,
    message: SampleMessage,
    range_header: str,
    status: int,
    expected_range: tuple[int, int],
) -> None:
    url, (start, stop) = f"{URL}/v1/blobs/{to_base64url(message.blob_id)}", expected_range
    answer = web.get(url, headers={**bearer_header(message.fetch), "Range": range_header})
    assert (answer.status_code, answer.content) == (status, message.blob[start:stop])
    assert answer.headers["accept-ranges"] == "bytes"
    content_ranges = {206: f"bytes {start}-{stop - 1}/5000", 416: "bytes */5000"}
    assert answer.headers.get("content-range") == content_ranges.get(status)


def test_range_for_another_version_returns_the_whole_blob(
    web: httpx.Client, message: SampleMessage
) -> None:
    url, header = (
        f"{URL}/v1/blobs/{to_base64url(message.blob_id)}",
        {**bearer_header(message.fetch), "Range": "bytes=0-9"},
    )
    tag = web.get(url, headers=header).headers["etag"]
    assert web.get(url, headers={**header, "If-Range": tag}).status_code == 206
    assert web.get(url, headers={**header, "If-Range": '"other"'}).content == message.blob


@pytest.mark.parametrize("more_headers", [{}, {"Range": "bytes=0-9"}])
def test_head_request_returns_the_whole_length_and_no_body(
    web: httpx.Client, message: SampleMessage, more_headers: dict[str, str]
) -> None:
    url = f"{URL}/v1/blobs/{to_base64url(message.blob_id)}"
    answer = web.head(url, headers=bearer_header(message.fetch) | more_headers)
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (
        200,
        "5000",
        b"",
    )


def test_body_is_not_read_beyond_its_limit(relay: Relay) -> None:
    """A body without end is refused after five chunks of 1,000 bytes."""
    pieces = 0

    async def receive() -> dict[str, object]:
        nonlocal pieces
        pieces += 1
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "PUT",
        "path": f"/v1/mailboxes/{to_base64url(bytes(16))}",
        "headers": [(b"entrenous-protocol", b"2")],
        "query_string": b"",
        "root_path": "",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
    }
    run_sync(relay_app(relay)(scope, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 413
    assert pieces == 5


MALFORMED_MAILBOX_BODIES = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"{}",
    b'{"owner_lock":1,"close_lock":null}',
    b'{"owner_lock":"AA","close_lock":null}',
    b'{"owner_lock":"' + b"A" * 43 + b'","more":1}',
    b'{"owner_lock":"' + b"A" * 42 + b'B","close_lock":null}',
    b'{"owner_lock":"' + b"A" * 43 + b'=","close_lock":null}',
    b'{"owner_lock":"' + b"!" * 43 + b'","close_lock":null}',
    b"\xff\xfe",
    b"[" * 3000,
]


@pytest.mark.parametrize("body", MALFORMED_MAILBOX_BODIES)
def test_malformed_mailbox_body_is_400(web: httpx.Client, body: bytes) -> None:
    answer = web.put(f"{URL}/v1/mailboxes/{to_base64url(bytes(16))}", content=body)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:entrenous:malformed:not-understood"


@pytest.mark.parametrize(
    "path",
    ["AA", to_base64url(bytes(15)), to_base64url(bytes(17)), "A" * 21 + "B", "é", "A" * 22 + "="],
)
def test_malformed_id_in_a_path_is_400(web: httpx.Client, path: str) -> None:
    body = msgspec.json.encode({"owner_lock": to_base64url(bytes(32)), "close_lock": None})
    assert web.put(f"{URL}/v1/mailboxes/{path}", content=body).status_code == 400


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=1e3", "limit=²", f"after={2**70}"])
def test_invalid_query_value_is_400(web: httpx.Client, message: SampleMessage, query: str) -> None:
    url = f"{URL}/v1/mailboxes/{to_base64url(message.mailbox)}/envelopes?{query}"
    assert web.get(url, headers=bearer_header(message.owner)).status_code == 400


@pytest.mark.parametrize(
    "missing_header",
    [
        "entrenous-fetch-lock",
        "entrenous-withdraw-lock",
        "entrenous-sha256",
        "entrenous-expires-at",
        "content-length",
    ],
)
def test_blob_upload_without_a_required_header_is_400(
    web: httpx.Client, message: SampleMessage, missing_header: str
) -> None:
    headers = {
        **bearer_header(message.token),
        "entrenous-fetch-lock": to_base64url(bytes(32)),
        "content-length": "1",
        "entrenous-withdraw-lock": to_base64url(bytes(32)),
        "entrenous-sha256": to_base64url(bytes(32)),
        "entrenous-expires-at": "1795000000",
    }
    del headers[missing_header]
    url = f"{URL}/v1/mailboxes/{to_base64url(message.mailbox)}/blobs/{to_base64url(bytes(16))}"
    request = web.build_request("PUT", url, content=iter([b"x"]), headers=headers)
    request.headers.pop("transfer-encoding", None)
    assert web.send(request).status_code == 400


def test_blob_beyond_the_limit_is_413_before_its_first_byte(
    web: httpx.Client, message: SampleMessage
) -> None:
    url = f"{URL}/v1/mailboxes/{to_base64url(message.mailbox)}/blobs/{to_base64url(bytes(16))}"
    headers = {
        "entrenous-fetch-lock": to_base64url(bytes(32)),
        "entrenous-withdraw-lock": to_base64url(bytes(32)),
        "entrenous-sha256": to_base64url(bytes(32)),
        "entrenous-expires-at": "1795000000",
        "content-length": str(4 * 1024**3 + 1),
    }
    answer = web.put(url, content=b"", headers={**bearer_header(message.token), **headers})
    assert answer.status_code == 413
    assert answer.json()["facts"] == {"limit_bytes": 4 * 1024**3}


def test_status_names_protocols_restore_and_version(web: httpx.Client) -> None:
    answer = web.get(f"{URL}/v1/status")
    assert answer.json() == {
        "schema": "entrenous/relay-status/1",
        "protocol": {"floor": 2, "newest": 2},
        "restored_at": None,
        "version": this_program_version().version,
        "commit": this_program_version().commit,
    }


def test_full_mailbox_is_429_with_retry_after(
    web: httpx.Client, message: SampleMessage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.carry.send_tokens.LETTERS_WAITING_MAX", 1)
    envelope = message.new_envelope()
    url = (
        f"{URL}/v1/mailboxes/{to_base64url(message.mailbox)}/envelopes/{to_base64url(envelope.id)}"
    )
    answer = web.put(url, content=write_envelope(envelope), headers=bearer_header(message.token))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3600")
    assert answer.json()["type"] == "urn:entrenous:refused:mailbox-full"


@pytest.mark.threat("downgrade")
@pytest.mark.parametrize(
    ("version", "status"), [("2", 200), ("0", 409), ("1", 409), ("3", 409), ("x", 409)]
)
def test_only_protocol_version_2_is_accepted(web: httpx.Client, version: str, status: int) -> None:
    answer = web.get(f"{URL}/v1/status", headers={"Entrenous-Protocol": version})
    assert answer.status_code == status
    assert answer.headers["entrenous-protocol"] == "2"


def test_request_without_protocol_header_may_read_the_status_but_no_blob(
    courier: HttpCourier, message: SampleMessage
) -> None:
    with httpx.Client(transport=courier._client._transport) as old:
        assert old.get(f"{URL}/v1/status").status_code == 200
        answer = old.get(
            f"{URL}/v1/blobs/{to_base64url(message.blob_id)}", headers=bearer_header(message.fetch)
        )
    assert answer.status_code == 409
    assert answer.json()["facts"] == {"floor": 2, "newest": 2, "ours": 1}


def test_unknown_path_is_a_404_problem_document(web: httpx.Client) -> None:
    """Paths with a superfluous slash are unknown too; they are not redirected."""
    box = f"/v1/mailboxes/{to_base64url(bytes(16))}"
    no_more = ("/v1/status/", f"{box}/card/", f"{box}/envelopes/", f"{box}/wake//")
    for path in ("/", "/v1", "/v2/status", "/v1/mailboxes/", *no_more):
        answer = web.get(URL + path, headers={"Host": "else.example"})
        assert (answer.status_code, answer.headers["entrenous-protocol"]) == (404, "2")
        assert answer.json() == {"type": "about:blank", "title": "Not Found", "status": 404}


@pytest.mark.threat("account-takeover")
def test_log_contains_events_and_statuses_but_no_ids_or_tokens(
    courier: HttpCourier, message: SampleMessage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "entrenous")
    courier.waiting_envelopes(URL, message.mailbox, message.owner, 0)
    courier.open_share(URL, message.id, message.open, message.new_attempt())
    courier.withdraw(URL, message.id, message.withdraw)
    assert [record.getMessage().split()[:2] for record in caplog.records] == [
        ["list_envelopes", "200"],
        ["release_share", "200"],
        ["withdraw_envelope", "200"],
    ]
    known = [message.mailbox, message.id, message.blob_id]
    tokens = [one.reveal() for one in (message.owner, message.open, message.withdraw)]
    for value in known + tokens:
        assert to_base64url(value) not in caplog.text
        assert value.hex() not in caplog.text


def test_bug_is_500_and_logged_without_values(
    relay: Relay, web: httpx.Client, message: SampleMessage, caplog: pytest.LogCaptureFixture
) -> None:
    def raise_runtime_error(_: object) -> None:
        raise RuntimeError("secret value 4711")

    relay.mail.read = raise_runtime_error  # type: ignore[method-assign, assignment]
    answer = web.get(
        f"{URL}/v1/blobs/{to_base64url(message.blob_id)}", headers=bearer_header(message.fetch)
    )
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:entrenous:bug:entrenous-error"
    assert "4711" not in answer.text + caplog.text
    assert "bug in get_blob: RuntimeError at" in caplog.text
    assert "raise_runtime_error" in caplog.text


@pytest.mark.usefixtures("socket_enabled")
def test_implausible_clock_is_logged(relay: Relay, caplog: pytest.LogCaptureFixture) -> None:
    """The warning says by how many days the clock is ahead, and contains no other fact."""
    run_sync(expire_due(relay))
    relay.clock.advance(days=400)  # type: ignore[attr-defined]
    with serve_app(relay_app(relay)):  # type: ignore[arg-type]
        pass
    (record,) = [record for record in caplog.records if record.name == "entrenous.relay"]
    assert record.levelname == "WARNING"
    assert record.getMessage() == "clock ahead by 400 days"
    assert record.said == {"event": "clock-ahead", "days": 400}  # type: ignore[attr-defined]
