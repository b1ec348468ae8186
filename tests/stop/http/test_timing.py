"""The time of an answer does not reveal whether an upload was quarantined."""

import json
import math
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import anyio
import cv2
import numpy as np
import pytest
from starlette.applications import Starlette

from entrenous.base.secret import Secret
from entrenous.device.client.http_courier import new_relay_client
from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.http.access import GateAccess
from entrenous.stop.http.gate_app import gate_app
from entrenous.stop.nouns import GateLimits
from entrenous.stop.platform import Platform
from entrenous.stop.protect import withdraw_protection
from tests.sizes import size
from tests.stop.commands.gates import RunningGate, start_gate
from tests.stop.platform_for_tests import new_device, picture, protect_picture

PAIR_COUNT = 15
# Zeros fill the uploads up to this size. Decoders ignore the zeros, but the gate stores them.
UPLOAD_BYTES = 12_000_000


async def measure_answer_s(app: Starlette, body: bytes) -> float:
    """Return the seconds from the request to the last byte of the answer. The work that the gate
    does after the answer is not measured.
    """
    answered = 0.0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal answered
        if message["type"] == "http.response.body":
            answered = time.perf_counter()
        else:
            assert message["status"] == 200

    scope = {
        "type": "http", "method": "POST", "path": "/v1/uploads", "query_string": b"",
        "headers": [(b"authorization", b"Bearer u"), (b"content-type", b"image/jpeg")],
    }  # fmt: skip
    began = time.perf_counter()
    await app(scope, receive, send)
    return answered - began


def padded_jpeg(pixels: Any, length: int = UPLOAD_BYTES) -> bytes:
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(resize_to_160(pixels)[..., ::-1]))
    return bytes(data.tobytes()).ljust(length, b"\0")


def resize_to_160(pixels: Any) -> Any:
    return cv2.resize(pixels, (160, 160), interpolation=cv2.INTER_AREA)


@pytest.mark.slow
@pytest.mark.threat("probing-registered")
def test_quarantined_and_accepted_uploads_take_equally_long(
    platform: Platform,
    access: GateAccess,
    device_gate: RegistrationClient,
    her_picture: Any,
    other_picture: Any,
) -> None:
    """The uploads are large, to make the time for storing them measurable."""
    protect_picture(
        picture(resize_to_160(her_picture)),
        adult=True,
        parts=False,
        gate=device_gate,
        device=new_device(),
    )
    # The limit is so high that the quarantined uploads do not become a flood.
    platform_without_floods = replace(platform, limits=GateLimits(held_per_hash=PAIR_COUNT + 1))
    app = gate_app(platform_without_floods, GateAccess(access.operator, Secret(b"u")))
    bodies = {"held": padded_jpeg(her_picture), "accepted": padded_jpeg(other_picture)}
    took: dict[str, list[float]] = {"held": [], "accepted": []}

    async def measure_all() -> None:
        for turn in range(PAIR_COUNT):
            for which in sorted(bodies, reverse=bool(turn % 2)):
                took[which].append(await measure_answer_s(app, bodies[which]))

    anyio.run(measure_all)
    assert platform.reviews.count_waiting_items() == PAIR_COUNT
    pairs = list(zip(took["held"], took["accepted"], strict=True))
    held, accepted = map(statistics.median, zip(*pairs, strict=True))
    chance = sign_test_p_value(sum(one > other for one, other in pairs), PAIR_COUNT)
    # On a busy machine, noise makes the difference of a pair positive or negative. If held uploads
    # really took longer, the difference would nearly always be positive.
    assert abs(held - accepted) <= 0.4 * accepted or chance >= 0.01, (held, accepted, chance)


# Half of the pairs are measured while one picture is registered, and half while the other picture
# is, to cancel out the costs of decoding and hashing the two pictures.
PAIRS_PER_PICTURE = size(15, 30)
# The test fails if the times differ by more than DIFFERENCE_MAX and the p-value of the sign test is
# below P_VALUE_MIN. On average, noise makes as many differences positive as negative.
DIFFERENCE_MAX, P_VALUE_MIN = 0.15, 1e-4


@contextmanager
def register_temporarily(gate: RunningGate, pixels: Any) -> Iterator[None]:
    with new_relay_client() as web:
        client = RegistrationClient(gate.url, web)
        protection = protect_picture(
            picture(resize_to_160(pixels)),
            adult=True,
            parts=False,
            gate=client,
            device=new_device(),
        )
        yield
        withdraw_protection(protection, client, new_device())


def sign_test_p_value(positive_count: int, total: int) -> float:
    """Return the p-value of the two-sided sign test."""
    most = max(positive_count, total - positive_count)
    return min(
        1.0, 2 * sum(math.comb(total, count) for count in range(most, total + 1)) / (1 << total)
    )


def test_p_values_of_the_sign_test() -> None:
    assert sign_test_p_value(5, 10) == 1.0
    assert sign_test_p_value(10, 10) == sign_test_p_value(0, 10) == pytest.approx(2 / 1024)
    assert sign_test_p_value(44, 60) > P_VALUE_MIN > sign_test_p_value(46, 60)


@pytest.mark.real
@pytest.mark.threat("probing-registered")
def test_running_gate_takes_as_long_for_a_match_as_for_a_miss(
    tmp_path: Path, her_picture: Any, other_picture: Any
) -> None:
    """During the measurement, the gate also makes deferred scans and does background work."""
    data = tmp_path / "gate"
    data.mkdir()
    (data / "gate.toml").write_text("held_per_hash = 1000\nuploads_per_account = 0\n")
    bodies = [padded_jpeg(pixels, 2_000_000) for pixels in (her_picture, other_picture)]
    ratios: list[float] = []
    with start_gate(data) as gate:
        conn = HTTPConnection(gate.url.removeprefix("http://"), timeout=60)
        bearer = {"Authorization": f"Bearer {(data / 'uploader.token').read_text()}"}

        def measure_upload_s(body: bytes) -> float:
            began = time.perf_counter()
            headers = {**bearer, "Content-Type": "image/jpeg"}
            conn.request("POST", "/v1/uploads", body, headers)
            answer = conn.getresponse()
            content = answer.read()
            took = time.perf_counter() - began
            assert (answer.status, json.loads(content)["decision"]) == (200, "let through")
            return took

        for hit, pixels in enumerate((her_picture, other_picture)):
            with register_temporarily(gate, pixels):
                measure_upload_s(bodies[0])  # warm-up, not recorded
                before = gate.get_json("/v1/status")["reviews"]
                for pair in range(PAIRS_PER_PICTURE):
                    order = (hit, 1 - hit) if pair % 2 else (1 - hit, hit)
                    took = {which: measure_upload_s(bodies[which]) for which in order}
                    ratios.append(math.log(took[hit] / took[1 - hit]))
                # The gate held the matching uploads.
                assert gate.get_json("/v1/status")["reviews"] - before >= PAIRS_PER_PICTURE
        conn.close()
    share = math.expm1(abs(statistics.median(ratios)))
    chance = sign_test_p_value(sum(ratio > 0 for ratio in ratios), len(ratios))
    assert share <= DIFFERENCE_MAX or chance >= P_VALUE_MIN, (share, chance)
