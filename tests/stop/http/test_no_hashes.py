"""No route reveals a hash without a partner's key: a hash tells roughly what a picture shows."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from entrenous.__main__ import _gate_app
from entrenous.base.identifiers import ClaimId
from entrenous.base.secret import Secret
from entrenous.fingerprint.pdq import fingerprint
from entrenous.stop.exchange_serving import add_exchange_partner
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.platform import Platform
from entrenous.stop.registration import Claim, ClaimState, Registration
from entrenous.stop.store.open_gate import GateTokens, open_exchange
from entrenous.wire.encodings import to_base64url
from tests.deterministic import SettableClock
from tests.stop.http.conftest import URL, AsgiTransport
from tests.stop.platform_for_tests import jpeg, judge_upload, picture

#: The registered hash, the upload, and the case number of the upload.
QuarantinedUpload = tuple[bytes, bytes, str]
CLAIM_ID = ClaimId("a1" * 16)
STRANGERS = {
    "nobody": {},
    "an uploader": {"Authorization": "Bearer uploader-token"},
    "a stranger with a guessed token": {
        "Authorization": "Bearer guessed",
        "x-functions-key": "guessed",
    },
}


@pytest.fixture
def registered_hash(platform: Platform, her_picture: Any) -> bytes:
    """Register one hash both for a whole picture and for a part; return the hash."""
    whole = fingerprint(picture(her_picture))
    claim = Claim(
        CLAIM_ID, PEOPLE_BANK, ClaimState.WAITING, "pdq", whole.quality, platform.clock.now()
    )
    platform.bank.register(Registration(claim, (whole.bits,), (whole.bits,)))
    return whole.bits


@pytest.fixture
def quarantined_upload(
    platform: Platform, registered_hash: bytes, her_picture: Any
) -> QuarantinedUpload:
    """Quarantine a matching upload; return the registered hash, the upload and the case number."""
    upload = jpeg(her_picture)
    return registered_hash, upload, judge_upload(upload, platform).case


@pytest.fixture
def app(platform: Platform) -> Starlette:
    """Return the application of `gate run`: the gate, the exchange and HMA's API."""
    tokens = (Secret(f"{role}-token".encode()) for role in ("operator", "uploader", "metrics"))
    return _gate_app(platform, GateTokens(*tokens))


def requests_to_all_routes(
    routes: list[BaseRoute], case: str, path_prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield a (method, path) pair for each method except HEAD of each route.

    Ids replace the placeholders in the paths.
    """
    ids = {"{case}": case, "{claim}": CLAIM_ID, "{entry}": CLAIM_ID, "{bank}": PEOPLE_BANK}
    for route in routes:
        if isinstance(route, Mount):
            yield from requests_to_all_routes(route.routes, case, path_prefix + route.path)
        elif isinstance(route, Route):
            path = path_prefix + route.path
            for name, value in ids.items():
                path = path.replace(name, value)
            while "{" in path:
                path = path.partition("{")[0] + "1" + path.partition("}")[2]
            yield from ((method, path) for method in sorted((route.methods or {"GET"}) - {"HEAD"}))


def contains_hash(answer: httpx.Response, hash_bytes: bytes) -> bool:
    """Return whether the answer contains the hash as bytes, hexadecimal digits or base64url."""
    text = answer.content + repr(answer.headers.raw).encode()
    digits = hash_bytes.hex()
    encodings = (hash_bytes, digits.encode(), digits.upper().encode())
    encodings += (to_base64url(hash_bytes).encode(),)
    return any(encoding in text for encoding in encodings)


@pytest.mark.slow
@pytest.mark.threat("hash-inversion")
@pytest.mark.parametrize("stranger", STRANGERS)
def test_no_route_reveals_a_hash_to_a_stranger(
    app: Starlette, clock: SettableClock, quarantined_upload: QuarantinedUpload, stranger: str
) -> None:
    bits, upload, case = quarantined_upload
    bodies = ((upload, "image/jpeg"), (b'{"decision": "confirm"}', "application/json"))
    requests = list(requests_to_all_routes(app.routes, case))
    assert len(requests) > 40
    with httpx.Client(transport=AsgiTransport(app), base_url=URL) as web:
        for method, path in requests:
            for body, kind in bodies:
                clock.advance(minutes=1)  # so that no rate limit prevents the handler's answer
                headers = STRANGERS[stranger] | {"Content-Type": kind}
                content = None if method == "GET" else body
                answer = web.request(method, path, content=content, headers=headers)
                assert not contains_hash(answer, bits), (method, path)


@pytest.mark.threat("hash-inversion")
def test_partner_key_reveals_hashes(
    app: Starlette, platform: Platform, registered_hash: bytes
) -> None:
    """``contains_hash`` finds the hash that a partner gets. A removed partner gets status 401."""
    exchange = open_exchange(platform)
    key = add_exchange_partner("friends", [PEOPLE_BANK], exchange).reveal().decode()
    headers = {"x-functions-key": key, "Ocp-Apim-Subscription-Key": key}
    with httpx.Client(transport=AsgiTransport(app), base_url=URL, headers=headers) as web:
        page = "/exchange/stopncii/v1/FetchHashes?startTimestamp=0"
        assert contains_hash(web.get(page), registered_hash)
        exchange.partners.remove("friends")
        assert web.get(page).status_code == 401
        assert not contains_hash(web.get(page), registered_hash)
