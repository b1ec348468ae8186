"""The WSGI middleware: decisions about uploads, request bodies, accounts and time limits."""

import io
import json
import time
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import httpx
import pytest

from entrenous.connectors.upload_rules import FILES_MAX
from entrenous.connectors.wsgi import GateMiddleware
from entrenous.stop.client.gate_answer import account_header
from entrenous.stop.client.upload_client import GateClient
from tests.connectors.running_gates import (
    ACCEPTED_FILE,
    CASE,
    HELD_FILE,
    REFUSED_FILE,
    UNREADABLE_FILE,
    ScriptedGate,
    client_settings,
)
from tests.stop.client.test_multipart_uploads import FILE_HEADER, build_form

FORM_TYPE = "multipart/form-data; boundary=edge"


class RecordingApplication:
    """A WSGI application that records the bodies and decision headers of requests."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[str] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        size = int(environ.get("CONTENT_LENGTH") or 0)
        self.bodies.append(environ["wsgi.input"].read(size))
        self.headers.append(environ.get("HTTP_ENTRENOUS_DECISION", ""))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"done"]


def send_request(
    app: Any, body: bytes, content_type: str = "image/jpeg", **environ_changes: Any
) -> tuple[int, bytes]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/upload",
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body + b"the next request"),
    }
    setup_testing_defaults(environ)
    environ |= environ_changes
    status: list[str] = []
    answer = app(environ, lambda line, _headers, _info=None: status.append(line))
    data = b"".join(answer)
    return int(status[0][:3]), data


@pytest.mark.parametrize("content_type", ["image/jpeg", FORM_TYPE])
@pytest.mark.parametrize(
    ("picture", "on_hold", "status"),
    [
        (ACCEPTED_FILE, "publish", 200),
        (HELD_FILE, "publish", 200),
        (UNREADABLE_FILE, "publish", 422),
        (REFUSED_FILE, "publish", 422),
        (HELD_FILE, "header", 200),
        (UNREADABLE_FILE, "header", 200),
        (REFUSED_FILE, "header", 422),
    ],
)
def test_picture_is_checked_before_the_application(
    content_type: str, picture: bytes, on_hold: str, status: int
) -> None:
    application, gate = RecordingApplication(), ScriptedGate()
    app = GateMiddleware(application, gate.settings, on_hold=on_hold, client=gate.client())
    body = build_form((FILE_HEADER, picture)) if content_type == FORM_TYPE else picture
    answered, said = send_request(app, body, content_type)
    assert (answered, gate.received_bodies) == (status, [picture])
    if status == 200:
        decision = "let through" if picture is ACCEPTED_FILE else "hold"
        listed = "; published" if (picture, on_hold) == (HELD_FILE, "publish") else ""
        assert application.bodies == [body]
        assert application.headers == [f"{decision}; case={CASE}; why=gate{listed}"]
    else:
        assert application.bodies == []
        assert json.loads(said)["case"] == CASE


@pytest.mark.threat("hook-walked-around")
@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD", "OPTIONS", "MKCOL"])
@pytest.mark.parametrize(
    "length", [{}, {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}], ids=["", "chunked"]
)
def test_body_of_any_method_is_checked(method: str, length: dict[str, str]) -> None:
    """WordPress reads a GET with ``?_method=POST`` like a POST."""
    application, gate = RecordingApplication(), ScriptedGate()
    app = GateMiddleware(application, gate.settings, client=gate.client())
    server: dict[str, Any] = {"REQUEST_METHOD": method, **length}
    if length:
        server |= {"wsgi.input_terminated": True, "wsgi.input": io.BytesIO(REFUSED_FILE)}
    assert send_request(app, REFUSED_FILE, **server)[0] == 422
    assert (application.bodies, gate.received_bodies) == ([], [REFUSED_FILE])


@pytest.mark.parametrize("environ", [{"CONTENT_LENGTH": "0"}, {"wsgi.input_terminated": True}])
def test_input_of_a_get_without_a_body_is_not_read(environ: dict[str, Any]) -> None:
    application, gate = RecordingApplication(), ScriptedGate()
    environ = {"CONTENT_LENGTH": "", "wsgi.input": io.BytesIO(), **environ}
    given = environ["wsgi.input"]

    def answer(given_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        assert given_environ["wsgi.input"] is given
        return application(given_environ, start_response)

    app = GateMiddleware(answer, gate.settings, client=gate.client())
    assert send_request(app, b"", REQUEST_METHOD="GET", **environ)[0] == 200
    assert gate.received_bodies == []


def test_account_is_named_by_the_server_or_the_application() -> None:
    """The account is ``REMOTE_USER`` or comes from a function, never from a client's header."""
    gate = ScriptedGate()
    app_with_remote_user = GateMiddleware(
        RecordingApplication(), gate.settings, client=gate.client()
    )
    app_with_session_user = GateMiddleware(
        RecordingApplication(),
        gate.settings,
        client=gate.client(),
        account=lambda given: given["my.user"],
    )
    send_request(app_with_remote_user, ACCEPTED_FILE, REMOTE_USER="ana")
    send_request(
        app_with_remote_user,
        build_form((FILE_HEADER, ACCEPTED_FILE), (FILE_HEADER, ACCEPTED_FILE)),
        FORM_TYPE,
        REMOTE_USER="ana",
    )
    send_request(app_with_session_user, ACCEPTED_FILE, **{"my.user": "ana", "REMOTE_USER": "ben"})
    send_request(app_with_session_user, ACCEPTED_FILE, **{"my.user": None})
    send_request(
        app_with_remote_user, ACCEPTED_FILE, HTTP_REMOTE_USER="ana", HTTP_ENTRENOUS_ACCOUNT="ana"
    )
    ana = account_header("ana", gate.settings.token)["Entrenous-Account"]
    said = [head.get("entrenous-account") for head in gate.received_headers]
    assert said == [ana, ana, ana, ana, None, None]


def test_strictest_answer_of_several_files_decides() -> None:
    application, gate = RecordingApplication(), ScriptedGate()
    app = GateMiddleware(application, gate.settings, on_hold="header", client=gate.client())
    assert (
        send_request(
            app,
            build_form(
                (FILE_HEADER, ACCEPTED_FILE), (FILE_HEADER, HELD_FILE), (FILE_HEADER, ACCEPTED_FILE)
            ),
            FORM_TYPE,
        )[0]
        == 200
    )
    assert application.headers[0].startswith("hold")
    assert (
        send_request(
            app,
            build_form(
                (FILE_HEADER, ACCEPTED_FILE), (FILE_HEADER, REFUSED_FILE), (FILE_HEADER, HELD_FILE)
            ),
            FORM_TYPE,
        )[0]
        == 422
    )
    assert gate.received_bodies[-1] == REFUSED_FILE


def test_decision_header_of_the_sender_is_removed() -> None:
    application, gate = RecordingApplication(), ScriptedGate()
    app = GateMiddleware(application, gate.settings, paths=["/upload"], client=gate.client())
    for environ_changes in ({}, {"PATH_INFO": "/other"}, {"REQUEST_METHOD": "GET"}):
        send_request(
            app,
            b"a=b",
            "application/x-www-form-urlencoded",
            HTTP_ENTRENOUS_DECISION="x",
            **environ_changes,
        )
    assert application.headers == ["", "", ""]
    assert gate.received_bodies == []


def test_body_beyond_the_limit_is_passed_on_in_full_or_answered_413() -> None:
    application, gate = RecordingApplication(), ScriptedGate(upload_bytes_max=1000)
    large = ACCEPTED_FILE + bytes(200_000)
    app = GateMiddleware(application, gate.settings, on_hold="header", client=gate.client())
    assert send_request(app, large)[0] == 200
    assert application.bodies == [large]
    assert application.headers == ["hold; why=too-large"]
    assert (
        send_request(GateMiddleware(application, gate.settings, client=gate.client()), large)[0]
        == 413
    )
    assert gate.received_bodies == []


def test_body_without_a_length_is_read_only_if_terminated() -> None:
    """A body without a length is empty (PEP 3333), unless ``wsgi.input_terminated`` is set."""
    application, gate = RecordingApplication(), ScriptedGate(upload_bytes_max=1000)
    app = GateMiddleware(application, gate.settings, client=gate.client())
    environ_changes = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}
    assert (
        send_request(app, b"", **environ_changes, **{"wsgi.input": io.BytesIO(REFUSED_FILE)})[0]
        == 422
    )
    assert (
        send_request(app, b"", **environ_changes, **{"wsgi.input": io.BytesIO(bytes(100_000))})[0]
        == 413
    )
    assert send_request(app, REFUSED_FILE, CONTENT_LENGTH="")[0] == 200
    assert application.bodies == [b""]


@pytest.mark.parametrize(
    ("body", "content_type", "environ_changes", "status"),
    [
        (build_form((FILE_HEADER, ACCEPTED_FILE))[:-9], FORM_TYPE, {}, 400),
        (ACCEPTED_FILE, "image/jpeg", {"HTTP_CONTENT_ENCODING": "gzip"}, 400),
        (build_form(*[(FILE_HEADER, ACCEPTED_FILE)] * (FILES_MAX + 1)), FORM_TYPE, {}, 413),
    ],
)
def test_uncheckable_bodies_do_not_reach_the_application(
    body: bytes, content_type: str, environ_changes: dict[str, str], status: int
) -> None:
    application, gate = RecordingApplication(), ScriptedGate()
    app = GateMiddleware(application, gate.settings, client=gate.client())
    assert send_request(app, body, content_type, **environ_changes)[0] == status
    assert (application.bodies, gate.received_bodies) == ([], [])


@pytest.mark.parametrize("path_info", ["/größe/x".encode().decode("latin-1"), "/größe/€"])
def test_path_is_decoded_as_utf_8(path_info: str) -> None:
    application, gate = RecordingApplication(), ScriptedGate()
    app = GateMiddleware(application, gate.settings, paths=["/größe"], client=gate.client())
    assert send_request(app, REFUSED_FILE, PATH_INFO=path_info)[0] == 422
    # The middleware checks uploads to every path that is not UTF-8.
    assert send_request(app, REFUSED_FILE, PATH_INFO="/gr\xff")[0] == 422
    assert send_request(app, REFUSED_FILE, PATH_INFO="/gr")[0] == 200


def test_all_files_of_a_request_share_one_budget() -> None:
    def time_out(_: httpx.Request) -> httpx.Response:
        time.sleep(0.15)
        raise httpx.ReadTimeout("late")

    budgets: list[float] = []

    class RecordingTransport(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            budgets.append(request.extensions["timeout"].get("read"))
            return time_out(request)

    application, settings = RecordingApplication(), client_settings(budget_s=0.4)
    app = GateMiddleware(
        application, settings, on_hold="header", client=GateClient(settings, RecordingTransport())
    )
    assert send_request(app, build_form(*[(FILE_HEADER, ACCEPTED_FILE)] * 3), FORM_TYPE)[0] == 200
    assert application.headers == ["hold; why=gate-slow"]
    assert budgets[0] <= 0.4
    assert budgets[1] <= 0.25
    assert budgets[2] <= 0.1


def test_shadow_mode_passes_requests() -> None:
    application, gate = RecordingApplication(), ScriptedGate(shadow=True)
    app = GateMiddleware(application, gate.settings, client=gate.client())
    assert send_request(app, REFUSED_FILE) == (200, b"done")
    assert application.bodies == [REFUSED_FILE]


def test_middleware_complies_with_wsgi() -> None:
    gate = ScriptedGate()

    def echo_body(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        data = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [data]

    inner = GateMiddleware(validator(echo_body), gate.settings, client=gate.client())
    for picture, status in ((ACCEPTED_FILE, 200), (REFUSED_FILE, 422)):
        said: list[str] = []
        environ: dict[str, Any] = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(picture))}
        environ |= {"wsgi.input": io.BytesIO(picture), "QUERY_STRING": ""}
        environ["CONTENT_TYPE"] = "image/jpeg"
        setup_testing_defaults(environ)
        answer = validator(inner)(environ, lambda line, _h, _i=None, said=said: said.append(line))
        data = b"".join(answer)
        answer.close()
        assert said[0].startswith(str(status))
        assert (data == picture) is (status == 200)
