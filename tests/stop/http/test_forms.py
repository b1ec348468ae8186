"""Parsing multipart forms from strangers, with limits on size, parts and files."""

import asyncio
import time
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.stop.http.access import GateAccess
from entrenous.stop.http.gate_app import gate_app
from entrenous.stop.http.request_body import (
    FORM_BYTES_BESIDE_FILE_MAX,
    UPLOAD_FORM_PARTS_MAX,
    LongForm,
    NoFile,
    ReceivedUpload,
    TwoFiles,
    parse_upload_form,
)
from entrenous.stop.platform import Platform
from tests.connectors.hma.conftest import new_hma_app
from tests.stop.http.conftest import URL, AsgiTransport

FORM_TYPE = "multipart/form-data; boundary=b"
FORM_END = b"--b--\r\n"
EMPTY_PART = b"--b\r\na:b\r\n\r\n\r\n"


def form_field(name: bytes, value: bytes) -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name, value)


@given(st.binary(max_size=200_000).filter(lambda data: data and b"\r\n--b" not in data))
def test_file_and_reference_of_a_form_are_returned(file_bytes: bytes) -> None:
    form = form_field(b"reference", b"post 17") + form_field(b"file", file_bytes) + FORM_END
    assert parse_upload_form(form, b"b") == ReceivedUpload(file_bytes, "post 17")


@given(st.binary(max_size=400))
def test_random_bytes_and_unfinished_forms_are_refused(random_bytes: bytes) -> None:
    for form in (
        random_bytes,
        form_field(b"other", random_bytes),
        form_field(b"file", random_bytes),
    ):
        with pytest.raises(NoFile):
            parse_upload_form(form, b"b")


def test_number_of_form_parts_is_limited() -> None:
    file = form_field(b"file", b"x")
    assert (
        parse_upload_form(
            EMPTY_PART * (UPLOAD_FORM_PARTS_MAX - 1) + file + FORM_END, b"b"
        ).untrusted_data
        == b"x"
    )
    with pytest.raises(LongForm):
        parse_upload_form(EMPTY_PART * UPLOAD_FORM_PARTS_MAX + file + FORM_END, b"b")


@pytest.mark.parametrize("byte_count", [100_000, 1_000_000])
@pytest.mark.parametrize(
    "make_form",
    [
        lambda large: form_field(b"other", bytes(large)) + form_field(b"file", b"x") + FORM_END,
        lambda large: form_field(b"file", b"x") + FORM_END + bytes(large),
        lambda large: form_field(b"file", b"x") + FORM_END + b"\r\n" * large,
    ],
)
def test_form_bytes_besides_the_file_are_limited(make_form: Any, byte_count: int) -> None:
    with pytest.raises(LongForm):
        parse_upload_form(make_form(byte_count), b"b")
    assert parse_upload_form(
        form_field(b"other", bytes(FORM_BYTES_BESIDE_FILE_MAX // 2))
        + form_field(b"file", b"x")
        + FORM_END,
        b"b",
    )


@pytest.mark.parametrize("first_file", [b"", b"x", bytes(1_000_000)])
def test_second_file_in_a_form_is_refused(first_file: bytes) -> None:
    between = form_field(b"reference", b"post 17")
    with pytest.raises(TwoFiles):
        parse_upload_form(
            form_field(b"file", first_file) + between + form_field(b"file", b"hers") + FORM_END,
            b"b",
        )


@pytest.mark.parametrize(
    ("path", "field_name", "answer_member"),
    [("/v1/uploads", "file", "detail"), ("/hma/m/lookup", "photo", "message")],
)
def test_two_files_error_asks_for_separate_uploads(
    platform: Platform, access: GateAccess, path: str, field_name: str, answer_member: str
) -> None:
    app = gate_app(platform, access)
    app.mount("/hma", new_hma_app(platform, access))
    headers = {"authorization": "Bearer operator-token"}
    files = [(field_name, (f"{one}.jpg", b"x", "image/jpeg")) for one in ("a", "b")]
    with httpx.Client(transport=AsgiTransport(app), base_url=URL, headers=headers) as web:
        answer = web.post(path, files=files)
    assert answer.status_code == 400
    assert "as an upload of its own" in " ".join(answer.json()[answer_member].split())
    assert platform.reviews.count_waiting_items() == 0


def test_parsing_stops_at_the_form_limit() -> None:
    """Parsing all of the million parts would take several seconds."""
    form = EMPTY_PART * 1_000_000
    began = time.process_time()
    with pytest.raises(LongForm):
        parse_upload_form(form, b"b")
    assert time.process_time() - began < 1


def test_forms_are_parsed_outside_the_event_loop(
    platform: Platform, access: GateAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large form would otherwise delay all other requests."""
    in_event_loop: list[bool] = []

    def record_thread(form: bytes, boundary: bytes) -> ReceivedUpload:
        try:
            asyncio.get_running_loop()
            in_event_loop.append(True)
        except RuntimeError:
            in_event_loop.append(False)
        return parse_upload_form(form, boundary)

    monkeypatch.setattr("entrenous.stop.http.request_body.parse_upload_form", record_thread)

    async def upload_form() -> int:
        transport = httpx.ASGITransport(gate_app(platform, access))
        async with httpx.AsyncClient(transport=transport, base_url="http://gate") as web:
            headers = {"Authorization": "Bearer operator-token", "Content-Type": FORM_TYPE}
            form = form_field(b"file", b"no picture") + FORM_END
            return (await web.post("/v1/uploads", content=form, headers=headers)).status_code

    assert anyio.run(upload_form) == 415
    assert in_event_loop == [False]


def test_form_with_too_many_parts_over_http_is_refused(web: httpx.Client) -> None:
    headers = {"Authorization": "Bearer operator-token", "Content-Type": FORM_TYPE}
    answer = web.post("/v1/uploads", content=EMPTY_PART * 21 + FORM_END, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:entrenous:malformed:long-form"
    assert answer.json()["facts"] == {"parts": 20, "limit_kb": 16}
