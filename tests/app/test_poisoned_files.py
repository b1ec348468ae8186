"""Tests of malicious files that are uploaded to the app.

Each file is uploaded to make copies of it, to trace it, to send it, to compare it as the photo of a
code, and to keep it as evidence.
No page shows such a file unchanged or contains its script, and typed texts are kept.
"""

import asyncio
import io
import re
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from PIL import Image
from skimage import data
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.types import Message

from entrenous.app import forms
from entrenous.send.fetch import fetch_messages
from entrenous.send.people.invite import make_invite_link
from tests.app.client import Client, open_client, wait_for_job
from tests.app.served import run_app
from tests.app.states import TypedTexts, create_relay_and_ben
from tests.real.processes import wait_until

pytestmark = [pytest.mark.real, pytest.mark.slow]


def _encode_picture(picture_format: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(data.astronaut()).resize((256, 256)).save(out, picture_format)
    return out.getvalue()


def _make_huge_png() -> bytes:
    """Return a PNG of a few hundred bytes that claims to have 60,000 x 60,000 pixels."""

    def chunk(chunk_type: bytes, body: bytes) -> bytes:
        return (
            len(body).to_bytes(4, "big")
            + chunk_type
            + body
            + zlib.crc32(chunk_type + body).to_bytes(4, "big")
        )

    size = (60_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    pixels = zlib.compress(bytes(100_000))
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size)
    return head + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


_SCRIPT: Final = b"<script>window.hit=1</script>"
_MALICIOUS_FILES: Final[dict[str, Callable[[], bytes]]] = {
    "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg" onload="hit=1">' + _SCRIPT + b"</svg>",
    "html": lambda: b"<!doctype html>" + _SCRIPT,
    "half": lambda: _encode_picture("JPEG")[:4000],
    "behind": lambda: _encode_picture("JPEG") + _SCRIPT,
    "huge": _make_huge_png,
    "says-2-gb": lambda: b"\x89PNG\r\n\x1a\n" + b"\x7f\xff\xff\xff" + b"IHDR" + bytes(64),
    "clip-of-2-gb": lambda: b"\0\0\0\x18ftypisom\0\0\2\0isomiso2\x7f\xff\xff\xffmdat" + bytes(64),
    "gif-that-is-script": lambda: b"GIF89a/*" + bytes(20) + b"*/=1;hit=1//" + _SCRIPT,
}


#: Files that can be decoded. Only the pixels are kept.
_DECODABLE: Final = {"behind"}
_ANSWER_S_MAX: Final = 60
_TYPED_TEXT: Final = "words that stay"


@pytest.fixture(scope="module")
def ana(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Run Ana's app with Ben as a contact, and yield a client of the app."""
    folder = tmp_path_factory.mktemp("poisoned")
    with (
        create_relay_and_ben(folder, TypedTexts()) as (ben, relay),
        run_app(folder / "device", ENTRENOUS_PAUSE="0") as app,
        open_client(app) as client,
    ):
        client.set_up(relay.url)
        client.post("/52", {"link": make_invite_link(ben), "name": "Ben"})
        assert wait_until(lambda: bool(fetch_messages(ben)), 60)
        yield client


@pytest.mark.threat("page-poisoned-file")
@pytest.mark.parametrize("file_name", sorted(_MALICIOUS_FILES))
def test_malicious_files_are_neither_shown_unchanged_nor_run_and_do_not_stop_the_app(
    file_name: str, ana: Client
) -> None:
    malicious_file = ("file", (f"{file_name}.jpg", _MALICIOUS_FILES[file_name](), "image/jpeg"))
    for path, fields in (("/20", {"names": "Ben"}), ("/30", {})):
        _check_answer(ana, ana.post(path, fields, [malicious_file]))
    drafted = ana.post("/10", {"text": _TYPED_TEXT, "to": "Ben"}, [malicious_file])
    _check_draft(ana, file_name, drafted)
    person = re.search('/53/[^"]+', ana.get("/50").text)
    assert person
    compared = ana.post(person[0].replace("/53/", "/55/"), {}, [("photo", malicious_file[1])])
    assert compared.status_code in {400, 404, 409}
    _check_answer(ana, compared)
    _check_evidence(ana, malicious_file)
    assert ana.get("/").status_code == 200


def _check_answer(ana: Client, answer: httpx.Response) -> httpx.Response:
    """Wait for the final answer. Check that it is a page and does not contain the file's script."""
    began = time.monotonic()
    answer = wait_for_job(ana, answer)
    assert time.monotonic() - began < _ANSWER_S_MAX
    assert _SCRIPT not in answer.content
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.status_code in {200, 400, 404, 409}, answer.text
    assert "fault in Entrenous" not in answer.text
    return answer


def _check_draft(ana: Client, file_name: str, answer: httpx.Response) -> None:
    """Check that the typed text is shown, and that a draft is stored only with a decodable file."""
    _check_answer(ana, answer)
    assert _TYPED_TEXT in answer.text
    if file_name in _DECODABLE:
        small = ana.get(answer.url.path.replace("/11/", "/14/") + "/1")
        assert small.headers["content-type"] == "image/jpeg"
        assert _SCRIPT not in small.content
        ana.post(answer.url.path.replace("/11/", "/12/"), {"sure": "yes"})
        assert "/11/" not in ana.get("/").text, "the draft is deleted"
    else:
        assert answer.status_code == 409
        assert "file is in it already" not in answer.text
        assert "/11/" not in ana.get("/").text, "no draft was stored"


def _check_evidence(ana: Client, malicious_file: tuple[str, tuple[str, bytes, str]]) -> None:
    """Check that evidence can be saved byte for byte, and is shown as a JPEG or not at all."""
    case = f"/90/{open_case(ana)}"
    kept = _check_answer(ana, ana.post(case, {"note": _TYPED_TEXT}, [malicious_file]))
    assert "A statement" in kept.text
    shown = _check_answer(ana, ana.post(f"{case}/pictures"))
    assert shown.url.path == case
    saved = ana.post(f"{case}/1")
    assert saved.content == malicious_file[1][1]
    assert saved.headers["content-disposition"].startswith("attachment")
    small = ana.get(f"{case}/1/picture")
    assert small.status_code == 404 or small.headers["content-type"] == "image/jpeg"
    assert _SCRIPT not in small.content


def open_case(ana: Client) -> str:
    """Open a case, and return the last part of the address of its page."""
    answer = ana.post("/81", {"for": "me"})
    while answer.url.path.startswith("/81/"):
        number = int(answer.url.path.rpartition("/")[2])
        choice = {1: "yes", 2: "no", 3: "yes", 4: "public"}.get(number, "skip")
        answer = ana.post(answer.url.path, {"answer": choice})
    assert answer.url.path.startswith("/83/"), answer.url
    return answer.url.path.removeprefix("/83/")


def test_copy_does_not_contain_an_appended_script(tmp_path: Path) -> None:
    upload = [("file", ("photo.jpg", _MALICIOUS_FILES["behind"](), "image/jpeg"))]
    with run_app(tmp_path / "device") as app, open_client(app) as ana:
        ana.set_up()
        answer = wait_for_job(ana, ana.post("/20", {"names": "Ben"}, upload))
        assert answer.url.path.startswith("/21/")
        saved = ana.get(f"{answer.url.path}/1")
        assert saved.headers["content-disposition"].startswith("attachment")
        assert _SCRIPT not in saved.content


def test_too_large_upload_keeps_only_what_was_typed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The limit is lowered to 1 MiB: an upload of more than 640 MiB would take long."""
    monkeypatch.setattr(forms, "FORM_FILES_BYTES_MAX", 1 << 20)
    request = _form_request(b"x" * (3 << 20))
    with pytest.raises(forms.TooMuchAtOnce):
        asyncio.run(forms.read_form(request))
    kept: FormData = request.state.form
    assert kept.multi_items() == [("text", _TYPED_TEXT)]


def _form_request(file: bytes) -> Request:
    request = httpx.Request(
        "POST", "http://here/10", data={"text": _TYPED_TEXT}, files={"file": ("a.jpg", file)}
    )
    parts = [request.read()[at : at + 65536] for at in range(0, len(request.read()), 65536)]

    async def receive() -> Message:
        body = parts.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(parts)}

    headers = [(name.lower(), value) for name, value in request.headers.raw]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)
