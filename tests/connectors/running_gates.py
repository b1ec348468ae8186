"""Helpers for tests of hooks: a real gate in a separate process, scripted gates, and uploads."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import skimage.data

from entrenous.base.identifiers import BankName
from entrenous.base.secret import Secret
from entrenous.fingerprint.pdq import fingerprint
from entrenous.media.picture_reader import read_picture
from entrenous.stop.banks import import_hashes
from entrenous.stop.client.gate_answer import ClientSettings
from entrenous.stop.client.upload_client import AsyncGateClient, GateClient
from entrenous.stop.store.open_gate import open_platform
from tests.ready import run_program, start_program

URL = "http://127.0.0.1:7802"
CASE = "3f9a-70c2-b11e"


def jpeg(pixels: Any, quality: int = 90) -> bytes:
    succeeded, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert succeeded
    return bytes(data)


def her_picture() -> bytes:
    """Return the picture whose hash :func:`running_gate` imports as confirmed."""
    return jpeg(skimage.data.astronaut())


def her_picture_mirrored() -> bytes:
    return jpeg(np.ascontiguousarray(skimage.data.astronaut()[:, ::-1]), 70)


def waiting_picture() -> bytes:
    """Return the picture whose hash :func:`running_gate` imports as waiting for a review."""
    return jpeg(skimage.data.chelsea())


def other_picture() -> bytes:
    return jpeg(skimage.data.coffee())


def client_settings(url: str = URL, **other_settings: Any) -> ClientSettings:
    token = other_settings.pop("token", Secret(b"operator-token"))
    return ClientSettings(url, token, **other_settings)


def decision_response(decision: str, **other_members: Any) -> httpx.Response:
    decision_json = {
        "schema": "entrenous/decision/1",
        "case": CASE,
        "decision": decision,
        "matches": [],
    }
    return httpx.Response(200, json=decision_json | other_members)


def _answer_by_content(request: httpx.Request) -> httpx.Response:
    data = request.read()
    if data.startswith(b"\xff\xd8\xffHOLD"):
        is_listed = request.headers.get("entrenous-publishes") in ("held", "all")
        return decision_response("hold", **({"published": True} if is_listed else {}))
    if data.startswith(b"\xff\xd8\xffUNREAD"):
        return decision_response("hold")
    if data.startswith(b"\xff\xd8\xffREFUSE"):
        return decision_response("refuse")
    if data.startswith(b"\xff\xd8\xff"):
        return decision_response("let through")
    return httpx.Response(415)


#: Uploads that :class:`ScriptedGate` recognizes by the first bytes.
ACCEPTED_FILE, HELD_FILE, REFUSED_FILE, UNREADABLE_FILE = (
    b"\xff\xd8\xff" + word + bytes(20) for word in (b"FINE", b"HOLD", b"REFUSE", b"UNREAD")
)


class ScriptedGate:
    """A gate that records requests and answers them with a function."""

    def __init__(
        self,
        answer: Callable[[httpx.Request], httpx.Response] = _answer_by_content,
        **settings: Any,
    ) -> None:
        self.received_bodies: list[bytes] = []
        self.received_headers: list[httpx.Headers] = []
        self._answer = answer
        self.settings = client_settings(**settings)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.received_headers.append(request.headers)
        self.received_bodies.append(request.read())
        return _with_unread_body(self._answer(request))

    async def _handle_async(self, request: httpx.Request) -> httpx.Response:
        self.received_headers.append(request.headers)
        self.received_bodies.append(await request.aread())
        return _with_unread_body(self._answer(request))

    def client(self) -> GateClient:
        return GateClient(self.settings, httpx.MockTransport(self._handle))

    def async_client(self) -> AsyncGateClient:
        return AsyncGateClient(self.settings, httpx.MockTransport(self._handle_async))


def _with_unread_body(answer: httpx.Response) -> httpx.Response:
    """Return a copy of the response whose body has not been read yet."""
    stream = httpx.ByteStream(answer.content)
    return httpx.Response(answer.status_code, headers=answer.headers, stream=stream)


@contextmanager
def running_gate(folder: Path, *options: str) -> Iterator[tuple[str, Path]]:
    """Run a gate that knows a confirmed and a waiting picture; add ``options`` to the command.

    Yields the gate's URL and the path of the operator's token.
    """
    data = folder / "gate"
    with open_platform(data) as (platform, _):
        for name, picture, confirmed in (
            ("confirmed", her_picture(), True),
            ("waiting", waiting_picture(), False),
        ):
            hash_line = f"{fingerprint(read_picture(picture)).hex}\n"
            import_hashes(hash_line, BankName(name), platform, confirmed=confirmed)
    command = [sys.executable, "-m", "entrenous", "gate", "run", "--data", str(data)]
    command += ["--listen", "127.0.0.1:0", "--json", *options]
    with start_program(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"], data / "operator.token"
        finally:
            process.terminate()
            process.wait(60)


def run_entrenous(*arguments: str) -> str:
    ended = run_program([sys.executable, "-m", "entrenous", *arguments], text=True)
    ended.check_returncode()
    return str(ended.stdout)
