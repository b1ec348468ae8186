"""The clients that ask a gate about uploads: requests, answers, failures, settings and logs."""

import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.environment import BadSetting
from entrenous.base.secret import Secret
from entrenous.stop.client.gate_answer import (
    GateAnswer,
    GateReason,
    GateVerdict,
    account_of_user_or_network,
    parse_decision_reply,
    strictest_answer,
)
from entrenous.stop.client.upload_client import AsyncGateClient, GateClient
from tests.connectors.running_gates import (
    ACCEPTED_FILE,
    CASE,
    HELD_FILE,
    REFUSED_FILE,
    ScriptedGate,
    client_settings,
    decision_response,
)

MP4_FILE = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(64)
PDF_FILE = b"%PDF-1.7\n" + bytes(64)


def ask_with_both_clients(gate: ScriptedGate, upload: bytes) -> GateAnswer:
    """Return the answer of the synchronous client, checked against that of the asynchronous one."""
    answer = gate.client().ask(upload)
    assert anyio.run(gate.async_client().ask, upload) == answer
    return answer


@pytest.mark.parametrize(
    ("upload", "verdict"),
    [
        (ACCEPTED_FILE, GateVerdict.LET_THROUGH),
        (HELD_FILE, GateVerdict.HOLD),
        (REFUSED_FILE, GateVerdict.REFUSE),
    ],
)
def test_answer_has_decision_and_case(upload: bytes, verdict: GateVerdict) -> None:
    gate = ScriptedGate()
    assert ask_with_both_clients(gate, upload) == GateAnswer(verdict, GateReason.GATE, CASE)
    assert gate.received_bodies == [upload, upload]
    for head in gate.received_headers:
        assert head["authorization"] == "Bearer operator-token"
        assert head["content-length"] == str(len(upload))


def test_account_is_sent_as_a_hash() -> None:
    gate = ScriptedGate()
    gate.client().ask(ACCEPTED_FILE, account="@ana:house.example")
    anyio.run(gate.async_client().ask, ACCEPTED_FILE, None, "@ana:house.example")
    gate.client().ask(ACCEPTED_FILE, account="@ben:house.example")
    gate.client().ask(ACCEPTED_FILE, account="\udcff\n" + "x" * 1000)
    gate.client().ask(ACCEPTED_FILE)
    elsewhere = ScriptedGate(token=Secret(b"another-token"))
    elsewhere.client().ask(ACCEPTED_FILE, account="@ana:house.example")
    headers = [
        head.get("entrenous-account") for head in gate.received_headers + elsewhere.received_headers
    ]
    ana, again, ben, odd, nobody, ana_elsewhere = headers
    assert ana == again
    assert nobody is None
    assert len({ana, ben, odd, ana_elsewhere}) == 4
    for one in (ana, ben, odd, ana_elsewhere):
        assert one is not None
        assert re.fullmatch(r"[\w-]{22}", one, re.ASCII)
        assert "ana" not in one


def test_upload_is_streamed() -> None:
    gate = ScriptedGate()
    pieces = [ACCEPTED_FILE[:5], b"", ACCEPTED_FILE[5:], bytes(70_000)]
    assert gate.client().ask(iter(pieces)).verdict is GateVerdict.LET_THROUGH
    assert gate.received_bodies == [b"".join(pieces)]
    assert gate.received_headers[0]["transfer-encoding"] == "chunked"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, GateReason.MALFORMED),
        (401, GateReason.WRONG_TOKEN),
        (403, GateReason.WRONG_TOKEN),
        (404, GateReason.MALFORMED),
        (408, GateReason.SLOW),
        (413, GateReason.TOO_LARGE),
        (429, GateReason.BUSY),
        (500, GateReason.AWAY),
        (503, GateReason.AWAY),
        (204, GateReason.MALFORMED),
        (302, GateReason.MALFORMED),
    ],
)
def test_status_other_than_200_holds_the_upload(status: int, reason: GateReason) -> None:
    gate = ScriptedGate(
        lambda _: httpx.Response(status, headers={"Location": "https://x.example/"})
    )
    assert ask_with_both_clients(gate, ACCEPTED_FILE) == GateAnswer(GateVerdict.HOLD, reason)


@pytest.mark.parametrize(
    ("facts", "retry_after_s"),
    [
        ({"retry_after_s": 1500}, 1500),
        ({}, 3600),
        ({"retry_after_s": 86_400}, 3600),
        ({"retry_after_s": -1}, 3600),
        ({"retry_after_s": True}, 3600),
    ],
)
def test_account_limit_holds_the_upload_without_a_warning(
    facts: object, retry_after_s: int, caplog: pytest.LogCaptureFixture
) -> None:
    problem = {"type": "urn:entrenous:unreachable:too-many-uploads", "facts": facts}
    gate = ScriptedGate(lambda _: httpx.Response(429, json=problem))
    with caplog.at_level("INFO", "entrenous.hooks"):
        assert ask_with_both_clients(gate, ACCEPTED_FILE) == GateAnswer(
            GateVerdict.HOLD, GateReason.ACCOUNT, retry_after_s=retry_after_s
        )
    assert {record.levelname for record in caplog.records} == {"INFO"}


def test_account_limit_with_malformed_facts_counts_as_busy() -> None:
    problem = {"type": "urn:entrenous:unreachable:too-many-uploads", "facts": 3}
    gate = ScriptedGate(lambda _: httpx.Response(429, json=problem))
    assert ask_with_both_clients(gate, ACCEPTED_FILE) == GateAnswer(
        GateVerdict.HOLD, GateReason.BUSY
    )


@pytest.mark.parametrize(
    ("httpx_error", "reason"),
    [
        (httpx.ConnectError("no"), GateReason.AWAY),
        (httpx.RemoteProtocolError("what"), GateReason.AWAY),
        (httpx.ReadTimeout("when"), GateReason.SLOW),
        (httpx.PoolTimeout("when"), GateReason.SLOW),
    ],
)
def test_missing_answer_holds_the_upload(httpx_error: Exception, reason: GateReason) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx_error

    assert ask_with_both_clients(ScriptedGate(fail), ACCEPTED_FILE) == GateAnswer(
        GateVerdict.HOLD, reason
    )


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"[]", b"null", b"\xff", b"[" * 60_000, b" " * 70_000),
        b'{"schema":"entrenous/decision/1","decision":"let through"}',
        b'{"schema":"entrenous/decision/1","decision":"let through","case":7}',
        b'{"schema":"entrenous/decision/1","decision":"let through","case":"a\\r\\nb"}',
        b'{"schema":"entrenous/decision/1","decision":["let through"],"case":"a"}',
        b'{"schema":"entrenous/decision/2","decision":"let through","case":"a"}',
        b'{"schema":"entrenous/decision/1","decision":"perhaps","case":"a"}',
    ],
)
def test_malformed_answer_holds_the_upload(body: bytes) -> None:
    gate = ScriptedGate(lambda _: httpx.Response(200, content=body))
    assert ask_with_both_clients(gate, ACCEPTED_FILE) == GateAnswer(
        GateVerdict.HOLD, GateReason.MALFORMED
    )


@given(st.integers(100, 999), st.binary(max_size=300))
def test_random_replies_hold_the_upload(status: int, body: bytes) -> None:
    assert parse_decision_reply(status, body).verdict is GateVerdict.HOLD


def test_uploader_token_is_detected() -> None:
    gate = ScriptedGate(
        lambda _: decision_response("let through", appeal="This picture was received. ...")
    )
    assert ask_with_both_clients(gate, ACCEPTED_FILE) == GateAnswer(
        GateVerdict.HOLD, GateReason.WRONG_TOKEN
    )


def test_large_upload_is_held_without_asking() -> None:
    gate = ScriptedGate(upload_bytes_max=100)
    large = ACCEPTED_FILE + bytes(100)
    assert gate.client().ask(iter([large[:60], large[60:]])) == GateAnswer(
        GateVerdict.HOLD, GateReason.TOO_LARGE
    )
    assert anyio.run(gate.async_client().ask, large) == GateAnswer(
        GateVerdict.HOLD, GateReason.TOO_LARGE
    )
    assert gate.received_bodies == []


@pytest.mark.parametrize(
    ("upload", "gate_settings", "expected"),
    [
        (MP4_FILE, {}, GateAnswer(GateVerdict.HOLD, GateReason.OTHER_MEDIA)),
        (
            MP4_FILE,
            {"other_media": "pass"},
            GateAnswer(GateVerdict.LET_THROUGH, GateReason.OTHER_MEDIA),
        ),
        (PDF_FILE, {}, GateAnswer(GateVerdict.LET_THROUGH, GateReason.OTHER_FILE)),
        (PDF_FILE, {"other_files": "hold"}, GateAnswer(GateVerdict.HOLD, GateReason.OTHER_FILE)),
        (b"", {}, GateAnswer(GateVerdict.LET_THROUGH, GateReason.OTHER_FILE)),
    ],
)
def test_settings_decide_about_files_that_the_gate_cannot_read(
    upload: bytes, gate_settings: dict[str, Any], expected: GateAnswer
) -> None:
    assert ask_with_both_clients(ScriptedGate(**gate_settings), upload) == expected


@pytest.mark.parametrize("shadow", [False, True])
def test_publishes_header_lets_a_held_upload_pass_as_listed(
    *, shadow: bool, caplog: pytest.LogCaptureFixture
) -> None:
    gate = ScriptedGate(shadow=shadow)
    caplog.set_level("INFO", "entrenous.hooks")
    held, listed = (gate.client().ask(HELD_FILE, publishes_held=held) for held in (False, True))
    anyio.run(partial(gate.async_client().ask, HELD_FILE, publishes_held=True))
    sent = [head.get("entrenous-publishes") for head in gate.received_headers]
    assert sent == (["all"] * 3 if shadow else [None, "held", "held"])
    assert [one.listed for one in (held, listed)] == [shadow, True]
    assert [one.action is GateVerdict.HOLD for one in (held, listed)] == [not shadow, False]
    assert caplog.text.count("published=True") == 2 + shadow


@pytest.mark.parametrize(
    "published_member", [{"published": 1}, {"published": "true"}, {"published": None}]
)
def test_held_upload_with_a_malformed_published_member_stays_held(
    published_member: dict[str, object],
) -> None:
    answer = (
        ScriptedGate(lambda _: decision_response("hold", **published_member))
        .client()
        .ask(ACCEPTED_FILE, publishes_held=True)
    )
    assert (answer.action, answer.listed) == (GateVerdict.HOLD, False)


@pytest.mark.parametrize(
    ("account_name", "address", "account"),
    [
        ("ana", "8.8.8.8", "ana"),
        ("", "8.8.8.8", "network\0008.8.8.8/32"),
        (None, "2001:4860:4860:7::8888", "network\0002001:4860:4860:7::/64"),
        ("", "::ffff:8.8.8.8", "network\0008.8.8.8/32"),
        *((None, near, "") for near in ("127.0.0.1", "10.0.0.7", "::1", "fe80::1", "", None)),
        (None, "testclient", ""),
    ],
)
def test_account_is_the_user_or_a_public_network(
    account_name: str | None, address: str | None, account: str
) -> None:
    """Private addresses are ignored: they may belong to a proxy that everybody shares."""
    assert account_of_user_or_network(account_name, address) == account


def test_review_state_is_empty_if_unknown() -> None:
    def respond_with_state(request: httpx.Request) -> httpx.Response:
        case = request.url.path.rpartition("/")[2]
        return httpx.Response(200 if case != "none" else 404, json={"state": case})

    client = ScriptedGate(respond_with_state).client()
    seen = {
        case: client.review_state(case) for case in ("waiting", "released", "none", "odd", "a/b")
    }
    assert seen == {"waiting": "waiting", "released": "released", "none": "", "odd": "", "a/b": ""}
    assert ScriptedGate(lambda _: httpx.Response(200, text="[")).client().review_state("1") == ""


def test_declared_media_that_the_gate_cannot_read_is_held() -> None:
    client = ScriptedGate(lambda _: httpx.Response(415)).client()
    assert client.ask(b"/9j/4AAQ", says_media=True) == GateAnswer(
        GateVerdict.HOLD, GateReason.OTHER_MEDIA
    )
    assert client.ask(b"/9j/4AAQ") == GateAnswer(GateVerdict.LET_THROUGH, GateReason.OTHER_FILE)


def test_client_in_shadow_mode_logs_the_answer_and_lets_the_upload_through(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "entrenous.hooks")
    answer = ask_with_both_clients(ScriptedGate(shadow=True), REFUSED_FILE)
    assert (answer.verdict, answer.action) == (GateVerdict.REFUSE, GateVerdict.LET_THROUGH)
    expected = f"upload decision=refuse why=gate case={CASE} would=- shadow=True"
    assert caplog.messages == [expected, expected]


def test_outcome_of_a_shadow_bank_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "entrenous.hooks")
    secret = "AAECAwQFBgcICQoLDA0ODw"
    gate = ScriptedGate(lambda _: decision_response("let through", shadow="refuse", secret=secret))
    answer = ask_with_both_clients(gate, ACCEPTED_FILE)
    assert (answer.action, answer.would, answer.secret) == (
        GateVerdict.LET_THROUGH,
        GateVerdict.REFUSE,
        secret,
    )
    assert f"upload decision=let through why=gate case={CASE} would=refuse" in caplog.text
    assert secret not in caplog.text + repr(answer)


@pytest.mark.parametrize(
    "malformed_member", [{"shadow": "perhaps"}, {"secret": 7}, {"secret": "a\r\nb"}]
)
def test_malformed_members_hold_the_upload(malformed_member: dict[str, object]) -> None:
    gate = ScriptedGate(lambda _: decision_response("let through", **malformed_member))
    assert ask_with_both_clients(gate, ACCEPTED_FILE) == GateAnswer(
        GateVerdict.HOLD, GateReason.MALFORMED
    )


@pytest.mark.parametrize(
    ("reference", "sent_reference"),
    [("post-17", "post-17"), ("", None), ("a\r\nb", None), ("ü", None), ("x" * 201, None)],
)
def test_only_a_valid_reference_is_sent(reference: str, sent_reference: str | None) -> None:
    gate = ScriptedGate()
    assert gate.client().ask(ACCEPTED_FILE, reference).verdict is GateVerdict.LET_THROUGH
    assert gate.received_headers[0].get("entrenous-reference") == sent_reference


def test_failure_is_logged_without_the_text_of_the_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "entrenous.hooks")
    ask_with_both_clients(
        ScriptedGate(lambda _: httpx.Response(503, text="secret words")), ACCEPTED_FILE
    )
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert set(caplog.messages) == {
        "upload decision=hold why=gate-away case=- would=- shadow=False"
    }


def test_strictest_of_several_answers_is_chosen() -> None:
    fine, held, no = (GateAnswer(sent) for sent in GateVerdict)
    assert strictest_answer([fine, no, held]) is no
    assert strictest_answer([fine, held, fine]) is held
    assert strictest_answer([]) is None


def test_invalid_ca_file_is_refused(tmp_path: Any) -> None:
    (tmp_path / "ca.pem").write_bytes(b"no certificates")
    for client_class in (GateClient, AsyncGateClient):
        with pytest.raises(BadSetting, match="ca_file"):
            client_class(client_settings(ca_file=str(tmp_path / "ca.pem")))


def test_repr_of_the_settings_hides_the_token() -> None:
    assert "operator-token" not in repr(client_settings(token=Secret(b"operator-token")))


@contextmanager
def run_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run ``serve`` on the first connection to a new port; yield the URL of that port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve_one_connection() -> None:
            connection, _ = listening.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=serve_one_connection)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def _read_without_answering(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def _answer_slowly(connection: socket.socket) -> None:
    connection.recv(65536)
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            connection.sendall(b" ")
            time.sleep(0.05)
    except OSError:
        pass


@pytest.mark.real
@pytest.mark.parametrize("serve", [_read_without_answering, _answer_slowly])
def test_synchronous_client_gives_up_after_its_budget(
    serve: Callable[[socket.socket], None],
) -> None:
    with run_server(serve) as url:
        client = GateClient(client_settings(url, budget_s=0.4))
        begun = time.monotonic()
        assert client.ask(ACCEPTED_FILE) == GateAnswer(GateVerdict.HOLD, GateReason.SLOW)
        assert time.monotonic() - begun < 1.5
        client.close()


@pytest.mark.real
@pytest.mark.parametrize("serve", [_read_without_answering, _answer_slowly])
def test_asynchronous_client_gives_up_after_its_budget(
    serve: Callable[[socket.socket], None],
) -> None:
    async def ask_gate(url: str) -> GateAnswer:
        client = AsyncGateClient(client_settings(url, budget_s=0.4))
        answer = await client.ask(ACCEPTED_FILE)
        await client.aclose()
        return answer

    with run_server(serve) as url:
        begun = time.monotonic()
        assert anyio.run(ask_gate, url) == GateAnswer(GateVerdict.HOLD, GateReason.SLOW)
        assert time.monotonic() - begun < 1.5


@pytest.mark.real
def test_unreachable_gate_holds_uploads() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    assert GateClient(client_settings(url)).ask(ACCEPTED_FILE) == GateAnswer(
        GateVerdict.HOLD, GateReason.AWAY
    )
