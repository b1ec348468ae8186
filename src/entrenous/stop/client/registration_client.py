"""A device's HTTP client of a platform's gate (docs/spec/gate.md, 6).

Answers are untrusted: their size is limited, and at most a few hundred printable characters of a
gate's own text are shown.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec

from entrenous.base.environment import Proxy, is_loopback
from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import ClaimId
from entrenous.base.secret import Secret
from entrenous.device.client.http_courier import new_relay_client
from entrenous.fingerprint.nouns import DISTINCTIVE_SOUND_S_MIN, SoundTooQuiet, TooFlat
from entrenous.stop.nouns import (
    BadAnswer,
    GateBusy,
    GateRefused,
    GateUnreachable,
    NoConnection,
    NotAGate,
    NotHttps,
)
from entrenous.stop.registration import (
    BadClaim,
    ClaimRequest,
    ClaimStatus,
    NoSuchClaim,
    NotTheHolder,
)
from entrenous.stop.registration_format import read_claim_status, write_registration_request
from entrenous.wire.encodings import to_base64url
from entrenous.wire.problem_details import PROBLEM_MEDIA_TYPE, urn_of


@contextmanager
def open_registration_client(
    url: str, proxy: Proxy | None = None
) -> Iterator["RegistrationClient"]:
    """Connect to a platform's gate."""
    with new_relay_client(proxy=proxy) as client:
        yield RegistrationClient(url, client)


_ANSWER_BYTES_MAX: Final = 64 * 1024  # an answer about a claim needs a few hundred bytes
_DETAIL_CHARACTERS_MAX: Final = 300  # characters of a gate's own words that are shown
# Without compression, so that the size of an answer can be limited.
_UNCOMPRESSED_HEADER: Final = {"Accept-Encoding": "identity"}
_CONNECTION_ERRORS: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
)  # this includes failures of TLS
_BUSY_STATUSES: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
# Statuses that no gate sends, since a gate never redirects and knows the methods used here. A
# server that sends one is not a gate.
_NOT_A_GATE_STATUSES: Final = frozenset({*range(300, 400), HTTPStatus.NOT_IMPLEMENTED})


@dataclass(frozen=True, slots=True)
class _HttpAnswer:
    status: int
    kind: str
    untrusted_body: bytes


class RegistrationClient:
    """The gate at https://..., or at http:// on this machine.

    ``client`` must trust nothing in the environment; :func:`new_relay_client` makes such a client.

    Raises:
        NotAGate, NotHttps: it is no web address, or it is http:// of another machine; fingerprints
            are not sent unencrypted.
        NoConnection: from every request: no connection could be made, so nothing was sent.
        GateUnreachable, GateBusy, BadAnswer: from every request: the gate gave no usable answer.
        GateRefused: from every request about a claim: the gate did not accept it.
    """

    __slots__ = ("_http", "url")

    def __init__(self, url: str, client: httpx.Client) -> None:
        _check_address(url)
        self.url = url.rstrip("/")
        self._http = client

    def accepted_embedding_model(self) -> str | None:
        """Return the name of the network whose embeddings the platform compares, or None.

        The request is GET /v1/status. The result is also None if the answer names no network.
        """
        answer = self._request("GET", "/v1/status")
        if not 200 <= answer.status < 300:
            raise GateUnreachable(url=self.url)
        model = _parse_json_object(answer.untrusted_body).get("embedding")
        return model if isinstance(model, str) else None

    def register(self, request: ClaimRequest) -> ClaimStatus:
        """Register fingerprints; raises TooFlat, SoundTooQuiet.

        The request is POST /v1/claims; it may be repeated with the same holder.
        """
        sent = {"Content-Type": "application/json"}
        answer = self._request("POST", "/v1/claims", sent, write_registration_request(request))
        if _is_problem(answer, TooFlat):
            raise TooFlat(quality=request.print.quality)
        if _is_problem(answer, SoundTooQuiet):
            raise SoundTooQuiet(needed_s=DISTINCTIVE_SOUND_S_MIN)
        return self._parse_claim(answer)

    def status(self, claim: ClaimId) -> ClaimStatus:
        """Return a claim's present state; raises NoSuchClaim.

        The request is GET /v1/claims/{id}.
        """
        answer = self._request("GET", f"/v1/claims/{claim}")
        if answer.status == HTTPStatus.NOT_FOUND:
            raise NoSuchClaim(claim=claim)
        return self._parse_claim(answer)

    def withdraw(self, claim: ClaimId, token: Secret) -> ClaimStatus:
        """Withdraw a claim at once; may be repeated. Raises NoSuchClaim, NotTheHolder.

        The request is DELETE /v1/claims/{id}; the token is sent in a header, never in the address.
        """
        bearer = {"Authorization": f"Bearer {to_base64url(token.reveal())}"}
        answer = self._request("DELETE", f"/v1/claims/{claim}", bearer)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise NoSuchClaim(claim=claim)
        if _is_problem(answer, NotTheHolder):
            raise NotTheHolder(claim=claim)
        return self._parse_claim(answer)

    def _request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> _HttpAnswer:
        sent = {**_UNCOMPRESSED_HEADER, **(headers or {})}
        try:
            with self._http.stream(method, self.url + path, content=body, headers=sent) as answer:
                kind = answer.headers.get("content-type", "")
                said = _HttpAnswer(answer.status_code, kind, self._read_answer(answer))
        except _CONNECTION_ERRORS as problem:
            raise NoConnection(url=self.url) from problem
        except httpx.HTTPError as problem:
            raise GateUnreachable(url=self.url) from problem
        except (httpx.InvalidURL, UnicodeError):  # not a host name
            raise NotAGate(url=self.url) from None
        if said.status in _BUSY_STATUSES:
            raise GateBusy
        return said

    def _read_answer(self, answer: httpx.Response) -> bytes:
        received = bytearray()
        for chunk in answer.iter_bytes():
            received += chunk
            if len(received) > _ANSWER_BYTES_MAX:
                raise BadAnswer(url=self.url)
        return bytes(received)

    def _parse_claim(self, answer: _HttpAnswer) -> ClaimStatus:
        if answer.status in _NOT_A_GATE_STATUSES or 400 <= answer.status < 500:
            raise GateRefused(url=self.url, detail=_problem_detail(answer))
        if not 200 <= answer.status < 300:
            raise GateUnreachable(url=self.url)
        try:
            return read_claim_status(answer.untrusted_body)
        except BadClaim as problem:
            raise BadAnswer(url=self.url) from problem


def _check_address(url: str) -> None:
    """Raise NotAGate for an invalid web address, and NotHttps for http to another machine."""
    try:
        address = httpx.URL(url)
        address.host.encode("idna")  # raises if a label is empty or longer than 63 bytes
        _ = urlsplit(url).port  # reading the port raises ValueError if it is not valid
    except (httpx.InvalidURL, ValueError):
        raise NotAGate(url=url) from None
    if address.scheme not in ("http", "https") or not address.host:
        raise NotAGate(url=url)
    if address.scheme == "http" and not is_loopback(address.host):
        raise NotHttps(url=url)


def _is_problem(answer: _HttpAnswer, kind: type[EntrenousError]) -> bool:
    """Return whether the answer is a problem document (RFC 9457) of that error."""
    return _parse_problem(answer).get("type") == urn_of(kind)


def _problem_detail(answer: _HttpAnswer) -> str:
    detail = str(_parse_problem(answer).get("detail", f"status {answer.status}"))
    plain = " ".join(detail.split())  # turns line ends into spaces
    return "".join(letter for letter in plain if letter.isprintable())[:_DETAIL_CHARACTERS_MAX]


def _parse_problem(answer: _HttpAnswer) -> dict[str, object]:
    return (
        _parse_json_object(answer.untrusted_body)
        if answer.kind.startswith(PROBLEM_MEDIA_TYPE)
        else {}
    )


def _parse_json_object(untrusted_body: bytes) -> dict[str, object]:
    """Parse a JSON object; return an empty one if the body is anything else."""
    try:
        document = msgspec.json.decode(untrusted_body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
