"""How long an answer takes does not tell held from accepted."""

import statistics
import time
from dataclasses import replace
from typing import Any

import anyio
import cv2
import numpy as np
import pytest
from starlette.applications import Starlette

from entrenous.adapters.bank.client import HttpBankClient
from entrenous.faces.gate.access import GateAccess
from entrenous.faces.gate.app import gate_app
from entrenous.model.gate import GateLimits
from entrenous.model.secret import Secret
from entrenous.ports import Platform
from entrenous.stop.protect import protect_picture
from tests.stop.room import a_device, picture

ROUNDS = 15
BALLAST = (
    12_000_000  # after the picture's end, where decoders stop: what a held upload has to store
)


async def seconds_to_answer(app: Starlette, body: bytes) -> float:
    """Until the last byte of the answer is sent; what is done afterwards does not count."""
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


def upload(pixels: Any) -> bytes:
    small = cv2.resize(pixels, (160, 160), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(small[..., ::-1]))
    return bytes(data.tobytes()) + bytes(BALLAST)


@pytest.mark.threat("probing-registered")
def test_medians_of_held_and_accepted_are_alike(
    platform: Platform, access: GateAccess, device_gate: HttpBankClient, hers: Any, another: Any
) -> None:
    """With a large upload, whose storing takes longer than all the margin that is allowed here."""
    protect_picture(
        picture(cv2.resize(hers, (160, 160), interpolation=cv2.INTER_AREA)),
        adult=True, parts=False, gate=device_gate, device=a_device(),
    )  # fmt: skip
    singly = replace(platform, limits=GateLimits(held_per_hash=ROUNDS + 1))  # none is gathered
    app = gate_app(singly, GateAccess(access.operator, Secret(b"u")))
    bodies = {"held": upload(hers), "accepted": upload(another)}
    took: dict[str, list[float]] = {"held": [], "accepted": []}

    async def ask() -> None:
        for turn in range(ROUNDS):
            for kind in sorted(bodies, reverse=bool(turn % 2)):
                took[kind].append(await seconds_to_answer(app, bodies[kind]))

    anyio.run(ask)
    assert platform.reviews.waiting() == ROUNDS
    held, accepted = (statistics.median(took[kind]) for kind in ("held", "accepted"))
    assert abs(held - accepted) <= 0.4 * accepted, (held, accepted)
