"""HMA's API with edited pictures, malformed requests, overload and an unreachable database."""

import json
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, cast

import anyio
import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import BankName
from entrenous.connectors.hma_matching import parse_photo_form
from entrenous.connectors.hma_requests import NoPhoto, hma_name, parse_pdq_signal
from entrenous.fingerprint.nouns import BadFingerprint
from entrenous.stop.audit import AuditHead
from entrenous.stop.http.access import GateAccess
from entrenous.stop.nouns import BankUnreachable
from entrenous.stop.platform import Platform
from entrenous.stop.store.bank_store import BankStore
from tests.connectors.hma.conftest import OPERATOR_HEADERS, new_hma_app, open_hma_client
from tests.stop.platform_for_tests import jpeg, png, screenshot_crop


@pytest.fixture
def hma_with_picture(hma: httpx.Client, her_picture: Any) -> httpx.Client:
    hma.post("/c/banks", json={"name": "TEST"})
    hma.post("/c/bank/TEST/content", files={"photo": ("x.png", png(her_picture))})
    return hma


def find_banks(hma: httpx.Client, photo: bytes) -> list[str]:
    answer = hma.post("/m/lookup", files={"photo": ("x", photo)})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["pdq"])


def test_mirrored_rotated_inverted_and_framed_pictures_are_found(
    hma_with_picture: httpx.Client, her_picture: Any, other_picture: Any
) -> None:
    framed = np.pad(her_picture, ((60, 60), (40, 40), (0, 0)), constant_values=255)
    for edited in (
        her_picture[:, ::-1],
        np.rot90(her_picture),
        np.rot90(her_picture, 2),
        255 - her_picture,
        framed,
    ):
        assert find_banks(hma_with_picture, jpeg(edited)) == ["TEST"]
    assert find_banks(hma_with_picture, jpeg(other_picture)) == []


def test_crops_are_not_matched_by_hma(hma_with_picture: httpx.Client, her_picture: Any) -> None:
    assert find_banks(hma_with_picture, screenshot_crop(her_picture)) == []


@pytest.mark.parametrize("kept_bytes", [9000, 200, 20])
def test_broken_picture_is_answered_400(
    hma: httpx.Client, her_picture: Any, kept_bytes: int
) -> None:
    for address in ("/h/hash", "/m/lookup"):
        answer = hma.post(address, files={"photo": ("x", jpeg(her_picture)[:kept_bytes])})
        assert answer.status_code == 400
        assert set(answer.json()) == {"message"}


@given(st.binary(max_size=400))
def test_random_bytes_are_not_accepted_as_a_photo_form(random_bytes: bytes) -> None:
    with pytest.raises(NoPhoto):
        parse_photo_form(random_bytes, b"never-in-it-------")


@given(st.data())
def test_damaged_form_is_read_or_refused(data: st.DataObject) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="photo"\r\n\r\nxyz\r\n--b--\r\n'
    assert parse_photo_form(head, b"b").untrusted_photo == b"xyz"
    at = data.draw(st.integers(0, len(head) - 1))
    broken = head[:at] + data.draw(st.binary(max_size=3)) + head[at + 1 :]
    with suppress(NoPhoto):
        assert parse_photo_form(broken, b"b").untrusted_photo


def test_first_of_two_fields_with_the_same_name_counts() -> None:
    part = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    many = "".join(part.format(f"f{n}", n) for n in range(15))
    body = part.format("note", "a") + part.format("note", "b") + many
    form = parse_photo_form((body + part.format("photo", "x") + "--b--\r\n").encode(), b"b")
    assert (form.untrusted_fields["note"], form.untrusted_photo) == ("a", b"x")
    assert len(form.untrusted_fields) == 16


@pytest.mark.slow
@given(st.text(max_size=70) | st.integers() | st.none() | st.binary())
def test_invalid_hash_is_refused(random_value: object) -> None:
    with pytest.raises(BadFingerprint):
        parse_pdq_signal(random_value)


@given(st.binary(min_size=32, max_size=32))
def test_hash_is_read_in_either_letter_case(bits: bytes) -> None:
    assert parse_pdq_signal(bits.hex()) == parse_pdq_signal(bits.hex().upper()) == bits


@given(st.text(max_size=40))
def test_every_bank_has_an_hma_name(bank_name: str) -> None:
    problem = hma_name(BankName(bank_name))
    assert problem.isascii()
    assert problem.replace("_", "A").isalnum()
    assert problem == problem.upper()
    assert not problem[0].isdigit()
    assert hma_name(BankName(problem)) == problem


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"[" * 60_000, b"{", b"7", b'{"a"'])
@pytest.mark.parametrize(
    "request_line",
    [
        "POST /m/compare", "POST /c/banks", "PUT /c/bank/PEOPLE", "POST /c/bank/PEOPLE/signal",
        "PUT /c/bank/PEOPLE/content/1",
    ],
)  # fmt: skip
def test_body_that_is_no_json_object_is_refused(
    hma: httpx.Client, request_line: str, body: bytes
) -> None:
    answer = hma.request(*request_line.split(), content=body)
    assert (answer.status_code, set(answer.json())) == (400, {"message"})


def test_large_body_is_refused(hma: httpx.Client) -> None:
    for address in ("/m/compare", "/c/banks"):
        assert hma.post(address, content=bytes(70_000)).status_code == 413


@dataclass(frozen=True)
class UnreachableBank:
    """A bank store whose database does not answer."""

    def audit_log_head(self) -> AuditHead:
        raise BankUnreachable(why="it is away")

    def banks(self) -> Any:
        raise BankUnreachable(why="it is away")


def test_unreachable_database_is_503(platform: Platform, access: GateAccess) -> None:
    platform_without_database = replace(platform, bank=cast("BankStore", UnreachableBank()))
    with open_hma_client(platform_without_database, access, platform) as client:
        status = client.get("/status")
        assert (status.status_code, status.text) == (503, "INDEX-NOT-LOADED")
        assert client.get("/status/live").text == "I-AM-ALIVE"
        banks = client.get("/c/banks", headers=OPERATOR_HEADERS)
        assert (banks.status_code, set(banks.json())) == (503, {"message"})
        assert banks.headers["retry-after"] == "5"


def test_too_many_concurrent_pictures_get_429(platform: Platform, access: GateAccess) -> None:
    """The gate accepts one upload at a time; it refuses a second one while the first arrives."""

    async def run_scenario() -> tuple[int, Any]:
        app = new_hma_app(platform, GateAccess(access.operator, uploads_at_once=1))
        arriving, never = anyio.Event(), anyio.Event()
        answer: list[Any] = []

        async def receive_slowly() -> dict[str, Any]:
            arriving.set()
            await never.wait()
            raise AssertionError

        async def ignore_answer(_message: Any) -> None:
            return None

        async def record_answer(message: Any) -> None:
            answer.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/h/hash", "query_string": b"",
            "headers": [
                (b"authorization", b"Bearer operator-token"),
                (b"content-type", b"multipart/form-data; boundary=b"),
            ],
        }  # fmt: skip
        async with anyio.create_task_group() as group:
            group.start_soon(app, dict(scope), receive_slowly, ignore_answer)
            await arriving.wait()
            await app(dict(scope), receive_slowly, record_answer)
            group.cancel_scope.cancel()
        return answer[0]["status"], json.loads(answer[1]["body"])

    status, problem = anyio.run(run_scenario)
    assert (status, set(problem)) == (429, {"message"})


def test_form_of_a_million_parts_is_refused_within_a_second() -> None:
    """Parsing all parts would take several seconds."""
    body = b"--b\r\na:b\r\n\r\n\r\n" * 1_000_000
    began = time.process_time()
    with pytest.raises(NoPhoto):
        parse_photo_form(body, b"b")
    assert time.process_time() - began < 1
