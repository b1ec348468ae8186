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

ROUNDS = 15
# Bytes after the picture's end: decoders ignore them, but the gate stores them with a held upload.
BALLAST = 12_000_000


async def seconds_to_answer(app: Starlette, body: bytes) -> float:
    """Return the seconds to the last byte of the answer, without the work after it."""
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


def upload(pixels: Any, ballast: int = BALLAST) -> bytes:
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(small(pixels)[..., ::-1]))
    return bytes(data.tobytes()).ljust(ballast, b"\0")


def small(pixels: Any) -> Any:
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
    """With a large upload, whose storing takes longer than the allowed margin."""
    protect_picture(
        picture(small(her_picture)), adult=True, parts=False, gate=device_gate, device=new_device()
    )
    singly = replace(platform, limits=GateLimits(held_per_hash=ROUNDS + 1))  # none is a flood
    app = gate_app(singly, GateAccess(access.operator, Secret(b"u")))
    bodies = {"held": upload(her_picture), "accepted": upload(other_picture)}
    took: dict[str, list[float]] = {"held": [], "accepted": []}

    async def ask() -> None:
        for turn in range(ROUNDS):
            for kind in sorted(bodies, reverse=bool(turn % 2)):
                took[kind].append(await seconds_to_answer(app, bodies[kind]))

    anyio.run(ask)
    assert platform.reviews.count_waiting_items() == ROUNDS
    pairs = list(zip(took["held"], took["accepted"], strict=True))
    held, accepted = map(statistics.median, zip(*pairs, strict=True))
    chance = chance_of(sum(one > other for one, other in pairs), ROUNDS)
    # Noise, as of a busy machine, has either sign; a real difference nearly always the same.
    assert abs(held - accepted) <= 0.4 * accepted or chance >= 0.01, (held, accepted, chance)


# Each of two pictures is the match once, so that the difference in their own costs cancels out.
PAIRS = size(15, 30)
# The test fails if the times differ by more than SHARE and the sign test's p-value is below CHANCE.
# Noise alone, however strong, has either sign.
SHARE, CHANCE = 0.15, 1e-4


@contextmanager
def registered(gate: RunningGate, pixels: Any) -> Iterator[None]:
    with new_relay_client() as web:
        bank = RegistrationClient(gate.url, web)
        protection = protect_picture(
            picture(small(pixels)), adult=True, parts=False, gate=bank, device=new_device()
        )
        yield
        withdraw_protection(protection, bank, new_device())


def chance_of(positive: int, n: int) -> float:
    """Return the p-value of the two-sided sign test."""
    most = max(positive, n - positive)
    return min(1.0, 2 * sum(math.comb(n, count) for count in range(most, n + 1)) / (1 << n))


def test_sign_test_detects_a_difference() -> None:
    assert chance_of(5, 10) == 1.0
    assert chance_of(10, 10) == chance_of(0, 10) == pytest.approx(2 / 1024)
    assert chance_of(44, 60) > CHANCE > chance_of(46, 60)


@pytest.mark.real
@pytest.mark.threat("probing-registered")
def test_running_gate_takes_as_long_for_match_and_miss(
    tmp_path: Path, her_picture: Any, other_picture: Any
) -> None:
    """Over HTTP, as an uploader measures it, with deferred scans and background work."""
    data = tmp_path / "gate"
    data.mkdir()
    (data / "gate.toml").write_text("held_per_hash = 1000\nuploads_per_account = 0\n")
    bodies = [upload(pixels, 2_000_000) for pixels in (her_picture, other_picture)]
    ratios: list[float] = []
    with start_gate(data) as gate:
        conn = HTTPConnection(gate.url.removeprefix("http://"), timeout=60)
        bearer = {"Authorization": f"Bearer {(data / 'uploader.token').read_text()}"}

        def seconds(body: bytes) -> float:
            began = time.perf_counter()
            headers = {**bearer, "Content-Type": "image/jpeg"}
            conn.request("POST", "/v1/uploads", body, headers)
            answer = conn.getresponse()
            content = answer.read()
            took = time.perf_counter() - began
            assert (answer.status, json.loads(content)["decision"]) == (200, "let through")
            return took

        for hit, pixels in enumerate((her_picture, other_picture)):
            with registered(gate, pixels):
                seconds(bodies[0])  # warms the gate up
                before = gate.get_json("/v1/status")["reviews"]
                for pair in range(PAIRS):
                    order = (hit, 1 - hit) if pair % 2 else (1 - hit, hit)
                    took = {which: seconds(bodies[which]) for which in order}
                    ratios.append(math.log(took[hit] / took[1 - hit]))
                # The matches were held.
                assert gate.get_json("/v1/status")["reviews"] - before >= PAIRS
        conn.close()
    share = math.expm1(abs(statistics.median(ratios)))
    chance = chance_of(sum(ratio > 0 for ratio in ratios), len(ratios))
    assert share <= SHARE or chance >= CHANCE, (share, chance)
