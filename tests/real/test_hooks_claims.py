"""Tests of hooks, the parts of a platform's server that ask a gate about each upload.

The WSGI, ASGI, Django and proxy hooks are tested with a real gate. An unreviewed claim stops no
upload of the claimed picture, and a confirmed claim stops uploads of the picture. In shadow mode,
nothing is stopped. For Synapse, see test_hooks_synapse.py.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import skimage.data

from entrenous.stop.client.registration_client import RegistrationClient
from tests.connectors.running_gates import jpeg, run_entrenous
from tests.ready import start_program
from tests.stop.commands.gates import RunningGate, start_gate, wait_if_hour_ends_within
from tests.stop.platform_for_tests import new_device, picture, protect_picture

pytestmark = pytest.mark.real

UPLOAD_COUNT = 26  # as many as in decision 0035
WSGI_PROGRAM = """
import json, sys
from wsgiref.simple_server import WSGIRequestHandler, make_server
from entrenous.connectors.wsgi import GateMiddleware

def behind(environ, start_response):
    environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ.get("HTTP_ENTRENOUS_DECISION", "").encode()]

class Silent(WSGIRequestHandler):
    def log_message(self, *_): ...

given = json.loads(sys.argv[1])
app = behind if given is None else GateMiddleware(
    behind, given, account=lambda environ: environ.get("HTTP_X_USER")
)
with make_server("127.0.0.1", 0, app, handler_class=Silent) as server:
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}"}), flush=True)
    server.serve_forever()
"""
ASGI_PROGRAM = """
import json, sys
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from entrenous.serving.http_server import serve
from entrenous.connectors.asgi import GateMiddleware

async def behind(request):
    await request.body()
    return PlainTextResponse(request.headers.get("entrenous-decision", ""))

app = Starlette(routes=[Route("/upload", behind, methods=["POST"])])

def who(scope):
    return dict(scope["headers"]).get(b"x-user", b"").decode()

app = GateMiddleware(app, json.loads(sys.argv[1]), account=who)
serve(app, "127.0.0.1", 0, lambda url: print(json.dumps({"url": url}), flush=True))
"""
# /handler passes every file to the upload handler. /validator has a form field with the validator.
DJANGO_PROGRAM = """
import json, sys
from wsgiref.simple_server import WSGIRequestHandler, make_server
import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"], DATABASES={}, ROOT_URLCONF=__name__, SECRET_KEY="only for this test",
    ENTRENOUS_GATE=json.loads(sys.argv[1]),
    MIDDLEWARE=["__main__.who", "entrenous.connectors.django.with_account"],
)
django.setup()
from django import forms
from django.core.files.uploadhandler import load_handler
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from entrenous.connectors import django as hook

class Known:
    def __init__(self, name): self.pk = name

def who(get_response):
    def answer(request):
        request.user = Known(request.headers.get("X-User"))
        return get_response(request)
    return answer

class Form(forms.Form):
    file = forms.FileField(validators=[hook.GateValidator()])

def handler(request):
    names = "entrenous.connectors.django.GateUploadHandler", *settings.FILE_UPLOAD_HANDLERS
    request.upload_handlers = [load_handler(one, request) for one in names]
    return HttpResponse(status=200 if list(request.FILES) else 422)

def validator(request):
    form = Form(request.POST, request.FILES)
    return HttpResponse(form.errors.as_json(), status=200 if form.is_valid() else 422)

urlpatterns = [path("handler/upload", handler), path("validator/upload", validator)]

class Silent(WSGIRequestHandler):
    def log_message(self, *_): ...

with make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Silent) as server:
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}"}), flush=True)
    server.serve_forever()
"""
HOOKS = ["wsgi", "asgi", "proxy", "django handler", "django validator"]


@dataclass
class Gate:
    """A running gate, and the number of pictures that tests have used with it."""

    running: RunningGate
    token_file: Path
    picture_count: int = 0

    def unregistered_picture(self, number: int | None = None) -> Any:
        """Return an enlarged part of a photograph: the part with this number, or by default the
        next part.
        """
        at = self.picture_count if number is None else number
        self.picture_count += 1
        photo = (skimage.data.astronaut, skimage.data.coffee, skimage.data.chelsea)[at % 3]()
        row, column = divmod(at // 3, 3)
        high, wide = photo.shape[0] // 3, photo.shape[1] // 3
        piece = photo[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
        return cv2.resize(np.ascontiguousarray(piece), (512, 512), interpolation=cv2.INTER_CUBIC)

    def register(self, pixels: Any) -> None:
        """Register a picture from a new device, which has no account."""
        with httpx.Client(timeout=60, trust_env=False) as web:
            client = RegistrationClient(self.running.url, web)
            protect_picture(
                picture(pixels), adult=True, parts=False, gate=client, device=new_device()
            )

    def confirm_next(self) -> list[str]:
        """Confirm the first waiting case as a reviewer; return every case that this confirms."""
        case = self.running.get_json("/v1/reviews")["next"]["case"]
        answer = httpx.post(
            f"{self.running.url}/v1/reviews/{case}",
            json={"decision": "confirm"},
            headers=self.running.operator_headers,
            timeout=60,
        )
        assert answer.json()["state"] == "confirmed", answer.text
        return [case, *answer.json()["also"]]

    def confirm_all(self) -> None:
        while self.running.get_json("/v1/reviews")["next"]:
            self.confirm_next()

    def published_states(self) -> dict[str, str]:
        answer = self.running.get_json("/v1/reviews/published")
        assert not answer["more"]
        return {one["case"]: one["state"] for one in answer["cases"]}


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    data = tmp_path_factory.mktemp("gate")
    (data / "gate.toml").write_text("refused_per_account = 3\n")
    with start_gate(data, "--no-slow-look") as one:
        yield Gate(one, data / "operator.token")


@contextmanager
def run_server_program(*command: str) -> Iterator[str]:
    """Run a Python program, and yield the URL that it prints."""
    with start_program(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stdout is not None
            yield str(json.loads(process.stdout.readline())["url"])
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def run_site(hook: str, gate: Gate, **extra_settings: Any) -> Iterator[httpx.Client]:
    """Run a server with this hook and these extra settings; yield a client for /upload."""
    settings = {
        "gate": gate.running.url,
        "token_file": str(gate.token_file),
        "budget_s": 30,
        **extra_settings,
    }
    with ExitStack() as opened:
        if hook == "proxy":
            behind = opened.enter_context(run_server_program("-c", WSGI_PROGRAM, "null"))
            words = ["--gate", gate.running.url, "--token-file", str(gate.token_file)]
            words += ["--upstream", behind, "--listen", "127.0.0.1:0", "--budget", "30", "--json"]
            words += ["--account-header", "X-User"]
            words += ["--shadow"] if extra_settings.get("shadow") else []
            url = opened.enter_context(
                run_server_program("-m", "entrenous", "gate", "proxy", *words)
            )
        else:
            kind, _, path = hook.partition(" ")
            program = {"wsgi": WSGI_PROGRAM, "asgi": ASGI_PROGRAM, "django": DJANGO_PROGRAM}[kind]
            url = opened.enter_context(run_server_program("-c", program, json.dumps(settings)))
            url += f"/{path}" if path else ""
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as web:
            yield web


def upload(web: httpx.Client, pixels: Any, quality: int = 90, user: str = "ana") -> httpx.Response:
    files = {"file": ("x.jpg", jpeg(pixels, quality), "image/jpeg")}
    return web.post("/upload", files=files, headers={"X-User": user})


@pytest.mark.threat("claim-censors")
@pytest.mark.threat("probing-registered")
@pytest.mark.parametrize("hook", HOOKS)
def test_only_a_confirmed_claim_stops_uploads(hook: str, gate: Gate) -> None:
    """After three refusals in an hour, every further upload of the same account is refused too."""
    wait_if_hour_ends_within(90)
    famous, other = gate.unregistered_picture(), gate.unregistered_picture()
    before = set(gate.published_states())
    with run_site(hook, gate) as web:
        unclaimed = upload(web, famous)
        gate.register(famous)
        answers = [upload(web, famous, 60 + number) for number in range(UPLOAD_COUNT)]
        assert [one.status_code for one in answers] == [200] * UPLOAD_COUNT
        varying_headers = (
            ("date", "content-length") if hook in ("wsgi", "asgi", "proxy") else ("date",)
        )
        headers = [
            {n: v for n, v in one.headers.items() if n not in varying_headers} for one in answers
        ]
        assert headers[0] == {
            n: v for n, v in unclaimed.headers.items() if n not in varying_headers
        }
        listed = {
            case: state for case, state in gate.published_states().items() if case not in before
        }
        assert len(listed) >= UPLOAD_COUNT  # and perhaps the upload made before the claim
        assert set(listed.values()) == {"waiting"}
        confirmed = set(gate.confirm_next())
        removed = {case for case, state in gate.published_states().items() if state == "confirmed"}
        assert confirmed <= removed
        statuses = [
            upload(web, famous, 40 + number, user=f"ben of {hook}").status_code
            for number in range(3)
        ]
        assert statuses == [422] * 3
        probed = {
            upload(web, pixels, user=f"ben of {hook}").status_code for pixels in (famous, other)
        }
        assert probed == ({429} if hook in ("wsgi", "asgi", "proxy") else {422})
        assert upload(web, other, user=f"carla of {hook}").status_code == 200
    gate.confirm_all()


@pytest.mark.threat("shadow-acts")
@pytest.mark.parametrize("hook", HOOKS)
def test_uploads_passed_in_shadow_mode_are_listed_for_removal(hook: str, gate: Gate) -> None:
    famous = gate.unregistered_picture()
    before = set(gate.published_states())
    with run_site(hook, gate, shadow=True) as web:
        gate.register(famous)
        assert upload(web, famous).status_code == 200
        (held,) = set(gate.published_states()) - before
        assert gate.confirm_next() == [held]
        assert gate.published_states()[held] == "confirmed"
        assert [upload(web, famous, quality).status_code for quality in range(50, 55)] == [200] * 5
    refused = set(gate.published_states()) - before - {held}
    assert len(refused) == 5
    assert {gate.published_states()[case] for case in refused} == {"waiting"}
    gate.confirm_all()
    assert {gate.published_states()[case] for case in refused} == {"confirmed"}


@pytest.mark.threat("shadow-acts")
def test_one_setting_puts_a_whole_gate_into_shadow_mode(tmp_path: Path) -> None:
    """The hook itself is not in shadow mode.

    Uploads of the registered picture pass before and after a reviewer confirms the claim. The gate
    lists the uploads as published.
    """
    (tmp_path / "gate.toml").write_text("shadow = true\n")
    with start_gate(tmp_path, "--judges", "2", "--no-slow-look") as one:
        gate = Gate(one, tmp_path / "operator.token")
        famous = gate.unregistered_picture()
        gate.register(famous)
        with run_site("asgi", gate) as web:
            answers = [upload(web, famous, 60 + number) for number in range(4)]
            assert [answer.status_code for answer in answers] == [200] * 4
            assert answers[0].text.startswith("let through; case=")
            gate.confirm_all()
            assert set(gate.published_states().values()) == {"confirmed"}
            assert upload(web, famous).status_code == 200
        assert sorted(gate.published_states().values()) == ["confirmed"] * 4 + ["waiting"]
        assert one.get_json("/v1/status")["in_shadow"] is True
    answer = run_entrenous("gate", "status", "--data", str(tmp_path))
    assert "This gate is in shadow" in answer
    assert "In shadow, people would have done this in 30 days: hold 4" in answer
    assert "In shadow, people would have done this in 30 days: refuse 1" in answer
