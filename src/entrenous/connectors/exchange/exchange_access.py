"""Authenticate partners, limit requests, and answer errors in each protocol's form."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import escape
from http import HTTPStatus
from typing import Any, Final

import anyio
import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from entrenous.base.errors import EntrenousError
from entrenous.base.secret import Secret
from entrenous.stop.exchange_nouns import (
    BadQuery,
    ExchangePartner,
    ExchangeServices,
    MayNotSubmit,
    TimeNotReached,
    TooLong,
    TooManyRequests,
    WrongKey,
)
from entrenous.stop.exchange_serving import authenticate_partner
from entrenous.stop.http.access import client_names_with_factors
from entrenous.stop.http.answers import PRIVATE_HEADERS, on_disconnect
from entrenous.stop.nouns import BankUnreachable
from entrenous.wire.problem_details import status_of

NCMEC_NAMESPACE: Final = "https://hashsharing.ncmec.org/hashsharing/v2"


def xml_element(name: str, text: str = "", /, *inside: str, **attributes: object) -> str:
    """Return an XML element as text; ``text`` is escaped, and ``inside`` has complete elements."""
    attribute_text = "".join(f' {key}="{escape(str(value))}"' for key, value in attributes.items())
    return f"<{name}{attribute_text}>{escape(text)}{''.join(inside)}</{name}>"


def xml_document(root: str, *inside: str) -> bytes:
    """Return an XML document with these elements."""
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return f'{head}<{root} xmlns="{NCMEC_NAMESPACE}">{"".join(inside)}</{root}>'.encode()


def xml_response(root: str, *inside: str, **headers: str) -> Response:
    """Return an XML document as a response that must not be cached."""
    sent = PRIVATE_HEADERS | headers
    return Response(xml_document(root, *inside), 200, sent, media_type="application/xml")


class ExchangeFault(EntrenousError):
    """
    The hash exchange of this gate had an internal error, and may not have done what you asked. Send
    the request again later.
    """


_STATUS_BY_ERROR: Final[Mapping[type[EntrenousError], int]] = {
    WrongKey: 401,
    MayNotSubmit: 403,
    TooLong: 413,
    TooManyRequests: 429,
    TimeNotReached: 429,  # clients obey Retry-After only with the status 429
}
_RETRY_AFTER_S: Final = "5"
ErrorHandlers = dict[Any, Callable[[Request, Exception], Response]]
_ErrorRenderer = Callable[[int, str], tuple[bytes, str]]


def json_error_handlers() -> ErrorHandlers:
    """Return error handlers for StopNCII's protocol."""
    return _error_handlers(_render_json)


def xml_error_handlers() -> ErrorHandlers:
    """Return error handlers for NCMEC's protocol."""
    return _error_handlers(_render_xml, challenge='Basic realm="exchange", charset="UTF-8"')


def _error_handlers(render: _ErrorRenderer, challenge: str = "") -> ErrorHandlers:
    def on_error(_request: Request, error: Exception) -> Response:
        own = error if isinstance(error, EntrenousError) else ExchangeFault()
        if isinstance(own, BankUnreachable):  # only the operator may see details of the database
            own = BankUnreachable(why="it is busy or stopped")
        status = status_of(type(own), _STATUS_BY_ERROR)
        body, media_type = render(status, " ".join(str(own).split()))
        headers = PRIVATE_HEADERS | _error_headers(status, own, challenge)
        return Response(body, status, headers, media_type=media_type)

    def on_http_error(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        body, media_type = render(status, HTTPStatus(status).phrase)
        return Response(body, status, PRIVATE_HEADERS, media_type=media_type)

    return {
        EntrenousError: on_error,
        HTTPException: on_http_error,
        ClientDisconnect: on_disconnect,
        Exception: on_error,
    }


def _error_headers(status: int, error: EntrenousError, challenge: str) -> dict[str, str]:
    if status == HTTPStatus.UNAUTHORIZED and challenge:
        return {"WWW-Authenticate": challenge}
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return {"Retry-After": str(error.facts.get("seconds", _RETRY_AFTER_S))}
    return {}


def _render_json(status: int, message: str) -> tuple[bytes, str]:
    return msgspec.json.encode({"statusCode": status, "message": message}), "application/json"


def _render_xml(_status: int, message: str) -> tuple[bytes, str]:
    return xml_document("error", xml_element("message", message)), "application/xml"


REQUEST_BURST_MAX: Final = 600
REQUESTS_PER_SECOND: Final = 20
WRONG_KEYS_PER_MINUTE: Final = 10
_COUNTED_NAMES_MAX: Final = 10_000  # when this many names are counted, all counts are reset
_REQUEST_TIME_RECORD_INTERVAL: Final = timedelta(minutes=1)
_BODY_ARRIVAL_S_MAX: Final = 60


@dataclass(slots=True)
class _Bucket:
    left: float
    at: datetime


@dataclass(slots=True)
class TokenBuckets:
    """A token bucket per name, in memory.

    A bucket has at most ``burst_max`` tokens, and gets ``per_second`` new tokens each second.
    """

    burst_max: int
    per_second: float
    buckets: dict[str, _Bucket] = field(default_factory=dict)

    def take(self, name: str, now: datetime) -> None:
        """Take a token; raises TooManyRequests."""
        if len(self.buckets) >= _COUNTED_NAMES_MAX:
            self.buckets.clear()
        bucket = self.buckets.setdefault(name, _Bucket(self.burst_max, now))
        passed_s = max(0.0, (now - bucket.at).total_seconds())
        bucket.left = min(self.burst_max, bucket.left + passed_s * self.per_second)
        bucket.at = now
        if bucket.left < 1:
            raise TooManyRequests(seconds=max(1, round((1 - bucket.left) / self.per_second)))
        bucket.left -= 1

    def forget_full_buckets(self, now: datetime) -> None:
        """Forget the names whose buckets are full again; call it regularly, since names may be
        addresses.
        """
        filling_time = timedelta(seconds=self.burst_max / self.per_second)
        for name, bucket in list(self.buckets.items()):
            if now - bucket.at >= filling_time:
                self.buckets.pop(name, None)


@dataclass(frozen=True, slots=True)
class PartnerAuth:
    """Authenticates partners.

    Wrong keys from an address do not block right keys from the same address.
    """

    exchange: ExchangeServices
    requests: TokenBuckets = field(
        default_factory=lambda: TokenBuckets(REQUEST_BURST_MAX, REQUESTS_PER_SECOND)
    )
    wrong_keys: TokenBuckets = field(
        default_factory=lambda: TokenBuckets(WRONG_KEYS_PER_MINUTE, WRONG_KEYS_PER_MINUTE / 60)
    )

    def forget_clients(self) -> None:
        """Forget the networks from which no more wrong keys are refused."""
        self.wrong_keys.forget_full_buckets(self.exchange.clock.now())

    async def authenticate(
        self, request: Request, key: Secret, name: str | None = None
    ) -> ExchangePartner:
        """Return the partner with this key; raises WrongKey, TooManyRequests."""
        now = self.exchange.clock.now()
        try:
            partner = await run_in_threadpool(authenticate_partner, key, self.exchange, name=name)
        except WrongKey:
            self.wrong_keys.take(_client_network(request), now)
            raise
        self.requests.take(partner.name, now)
        if partner.asked_at is None or now - partner.asked_at > _REQUEST_TIME_RECORD_INTERVAL:
            await run_in_threadpool(self.exchange.partners.record_request, partner.name, now)
        return partner


def basic_credentials(request: Request) -> tuple[str, Secret]:
    """Return the name and key from Basic authentication (RFC 7617); raises WrongKey."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    try:
        pair = base64.b64decode(credentials.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise WrongKey from None
    name, colon, key = pair.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise WrongKey
    return name, Secret(key.encode())


async def read_body(request: Request, bytes_max: int) -> bytes:
    """Read the body.

    Raises TooLong as soon as the body is known to be too long, and BadQuery if it takes more than a
    minute.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > bytes_max:
        raise TooLong(limit_bytes=bytes_max)
    body = bytearray()
    try:
        with anyio.fail_after(_BODY_ARRIVAL_S_MAX):
            async for chunk in request.stream():
                body += chunk
                if len(body) > bytes_max:
                    raise TooLong(limit_bytes=bytes_max)
    except TimeoutError as problem:
        raise BadQuery(why="it took more than a minute to arrive") from problem
    return bytes(body)


def query_number(request: Request, name: str, default: int | None = None) -> int:
    """Return a whole number in the query, or ``default`` if it is missing; raises BadQuery."""
    return parse_whole_number(
        request.query_params.get(name, "" if default is None else str(default))
    )


def parse_whole_number(untrusted_text: str) -> int:
    """Parse up to 18 ASCII digits; raises BadQuery."""
    if not (untrusted_text.isascii() and untrusted_text.isdecimal() and len(untrusted_text) <= 18):
        raise BadQuery(why="a number is missing or malformed")
    return int(untrusted_text)


def _client_network(request: Request) -> str:
    """Return the network whose wrong keys are counted together: an IPv4 address, or an IPv6 /64."""
    (network, _), *_ = client_names_with_factors(request.client.host if request.client else "")
    return network
