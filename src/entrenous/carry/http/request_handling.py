"""Parse the relay's requests, answer them, and turn errors into answers.

A body has to arrive in time. The log gets the event, the status and the approximate size of each
answer.
"""

import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from entrenous.base.errors import (
    DatabaseAway,
    DiskFull,
    EntrenousError,
    NotUnderstood,
    ProtocolTooOld,
    TooLarge,
    TooMany,
    WrongToken,
)
from entrenous.base.identifiers import ID_BYTES, BlobId, DeviceId, EnvelopeId, MailboxId
from entrenous.base.limits import PROTOCOL_NEWEST, TOKEN_BYTES, TOKEN_HASH_BYTES
from entrenous.base.secret import Secret
from entrenous.carry.relay import Relay, wait_timeout
from entrenous.wire.encodings import from_base64url
from entrenous.wire.problem_details import PROBLEM_MEDIA_TYPE, status_of, write_problem

SMALL_BODY_BYTES_MAX: Final = 4096
# Seconds within which a body other than a blob must arrive. The largest such body that is accepted
# (prekeys, 1.1 MB) needs 19 KB a second.
_BODY_S_MAX: Final = 60.0


class RelayRequest(Protocol):
    """The part of a request that handlers use.

    It is implemented by Starlette's ``Request``, by :class:`ReceivedRequest` for a request whose
    body has arrived already, and by the request of the fast path (relay_app.py).
    """

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, by their names in lower case."""

    @property
    def path_params(self) -> Mapping[str, Any]:
        """The named parts of the path."""

    @property
    def query_params(self) -> Mapping[str, str]:
        """The query parameters; if several have the same name, the last one counts."""

    def stream(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises ClientDisconnect."""


class ReceivedRequest:
    __slots__ = ("_query", "body", "headers", "path_params")

    def __init__(
        self, path_params: Mapping[str, str], query: str, headers: Mapping[str, str], body: bytes
    ) -> None:
        self.path_params = path_params
        self._query = query
        self.headers = headers
        self.body = body

    @property
    def query_params(self) -> Mapping[str, str]:
        return parse_query(self._query)

    async def stream(self) -> AsyncIterator[bytes]:
        yield self.body


def parse_query(untrusted_text: str) -> Mapping[str, str]:
    """Parse a query; if several parameters have the same name, the last one counts."""
    if "%" in untrusted_text or "+" in untrusted_text:
        return dict(parse_qsl(untrusted_text, keep_blank_values=True))
    pairs = (pair.partition("=") for pair in untrusted_text.split("&") if pair)
    return {name: value for name, _, value in pairs}


def token_of(request: RelayRequest) -> Secret:
    """Return the bearer token; raises WrongToken if it is missing or malformed."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise WrongToken
    try:
        return Secret(from_base64url(text, TOKEN_BYTES))
    except NotUnderstood:
        raise WrongToken from None


def mailbox_of(request: RelayRequest) -> MailboxId:
    return MailboxId(_path_id(request, "mailbox"))


def device_of(request: RelayRequest) -> DeviceId:
    return DeviceId(_path_id(request, "device"))


def envelope_of(request: RelayRequest) -> EnvelopeId:
    return EnvelopeId(_path_id(request, "envelope"))


def blob_of(request: RelayRequest) -> BlobId:
    return BlobId(_path_id(request, "blob"))


def token_hash_of(request: RelayRequest) -> bytes:
    """Return the lock in the path: the hash of a token, 32 bytes."""
    return from_base64url(request.path_params["lock"], TOKEN_HASH_BYTES)


def parse_number(untrusted_text: str, most: int) -> int:
    """Parse a number from 0 to ``most`` in decimal digits; raises NotUnderstood."""
    if not (untrusted_text.isascii() and untrusted_text.isdigit() and len(untrusted_text) < 20):
        raise NotUnderstood
    if int(untrusted_text) > most:
        raise NotUnderstood
    return int(untrusted_text)


def has_large_body(request: RelayRequest) -> bool:
    """Return whether the token should be checked before the body is read.

    It should if the body has more than 4 KiB, or if its length is unknown. It need not if the body
    has arrived already.
    """
    if isinstance(request, ReceivedRequest):
        return False
    length = request.headers.get("content-length", "")
    return not (length.isdigit() and len(length) < 5 and int(length) <= SMALL_BODY_BYTES_MAX)


async def read_body(request: RelayRequest, limit: int) -> bytes:
    """Return the whole body.

    Raises:
        TooLarge: it is longer than ``limit`` bytes; the rest is not read.
        ClientDisconnect: the client disconnected, or the body did not arrive within a minute.
    """
    if isinstance(request, ReceivedRequest):
        if len(request.body) > limit:
            raise TooLarge(limit_bytes=limit)
        return request.body
    try:
        async with wait_timeout(_BODY_S_MAX):
            return b"".join([chunk async for chunk in read_body_chunks(request, limit)])
    except TimeoutError:
        raise ClientDisconnect from None


async def read_body_chunks(request: RelayRequest, limit: int) -> AsyncIterator[bytes]:
    """Yield the body as it arrives; raises TooLarge once it is longer than ``limit`` bytes."""
    received_bytes = 0
    async for chunk in request.stream():
        received_bytes += len(chunk)
        if received_bytes > limit:
            raise TooLarge(limit_bytes=limit)
        yield chunk


def _path_id(request: RelayRequest, name: str) -> bytes:
    return from_base64url(request.path_params[name], ID_BYTES)


RelayRequestT = TypeVar("RelayRequestT", bound=RelayRequest)
Handler = Callable[[Request, Relay], Awaitable[Response]]
#: Called for each answer with its event, its HTTP status and its duration in seconds.
AnswerObserver = Callable[[str, int, float], None]
_STATUS_BY_ERROR_CLASS: Final[Mapping[type[EntrenousError], HTTPStatus]] = {
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    TooMany: HTTPStatus.TOO_MANY_REQUESTS,
    WrongToken: HTTPStatus.UNAUTHORIZED,
    DiskFull: HTTPStatus.INSUFFICIENT_STORAGE,
}
# Tells clients that a relay answers, and which protocol it uses.
_PROTOCOL_HEADER: Final = (b"entrenous-protocol", b"%d" % PROTOCOL_NEWEST)
_CLOSE_HEADER: Final = (b"connection", b"close")
#: The protocol version that is assumed for a request without the header, by the request's path. It
#: is 1 for all other paths. Monitoring programs request the status without the header.
_ASSUMED_PROTOCOLS: Final = {"/v1/status": str(PROTOCOL_NEWEST)}
# Seconds after which a full disk may have room again, because the operator has acted or messages
# have expired.
_RETRY_AFTER_FULL_S: Final = "600"
_LOG: Final = logging.getLogger("entrenous.relay")


class ShortResponse(Response):
    """A short response; building it takes a fifth of the time of Starlette's."""

    def __init__(self, status_code: int, body: bytes = b"", media_type: str = "") -> None:
        self.status_code, self.body, self.background = status_code, body, None
        self.raw_headers = []
        if status_code != HTTPStatus.NO_CONTENT:
            self.raw_headers.append((b"content-length", b"%d" % len(body)))
        if media_type:
            self.raw_headers.append((b"content-type", media_type.encode()))


def endpoint_for(
    handler: Handler, relay: Relay, watch: AnswerObserver
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that calls a handler and answers every error in a form that devices
    understand.
    """

    async def endpoint(request: Request) -> Response:
        return await answer_request(handler, relay, watch, request.scope["path"], request)

    return endpoint


def ignore_metrics(event: str, status: int, took_s: float) -> None:
    pass


async def answer_http_error(_: Request, why: Exception) -> Response:
    """Answer a request for an unknown path or method."""
    status = why.status_code if isinstance(why, HTTPException) else 500
    response = _blank_problem_response(status)
    response.raw_headers.append(_PROTOCOL_HEADER)
    return response


async def answer_request(
    handler: Callable[[RelayRequestT, Relay], Awaitable[Response]],
    relay: Relay,
    watch: AnswerObserver,
    path: str,
    request: RelayRequestT,
) -> Response:
    """Run a handler and return its response, or the problem document of its error."""
    began_s = time.perf_counter()
    try:
        _refuse_unsupported_protocol(
            request.headers.get("entrenous-protocol"), path, relay.limits.floor
        )
        response = await handler(request, relay)
    except EntrenousError as why:
        response = _problem_response(why)
    except ClientDisconnect:
        response = _blank_problem_response(HTTPStatus.REQUEST_TIMEOUT)
        response.raw_headers.append(_CLOSE_HEADER)  # the rest of the body is not read
    except Exception as why:  # noqa: BLE001 -- a bug must not end in a page that shows secrets
        _log_bug(handler, why)
        response = _problem_response(EntrenousError())
    response.raw_headers.append(_PROTOCOL_HEADER)
    _log_response(handler, response)
    watch(_event_name(handler), response.status_code, time.perf_counter() - began_s)
    return response


def _blank_problem_response(status: int) -> Response:
    """Return a problem document without a message."""
    body = b'{"type":"about:blank","title":"%s","status":%d}'
    title = HTTPStatus(status).phrase.encode()
    return Response(body % (title, status), status, media_type=PROBLEM_MEDIA_TYPE)


def _refuse_unsupported_protocol(stated_version: str | None, path: str, floor: int) -> None:
    """Raise ProtocolTooOld unless this relay supports the client's protocol version."""
    version = _ASSUMED_PROTOCOLS.get(path, "1") if stated_version is None else stated_version
    if version not in _supported_versions(floor):
        ours = int(version) if version.isascii() and version.isdigit() and len(version) < 9 else 0
        raise ProtocolTooOld(floor=floor, newest=PROTOCOL_NEWEST, ours=ours)


@cache
def _supported_versions(floor: int) -> frozenset[str]:
    return frozenset(str(one) for one in range(floor, PROTOCOL_NEWEST + 1))


def _problem_response(why: EntrenousError) -> Response:
    status = status_of(type(why), _STATUS_BY_ERROR_CLASS)
    headers = {}
    if isinstance(why, TooMany | DatabaseAway):
        headers["Retry-After"] = str(why.facts["retry_after_s"])
    if isinstance(why, DiskFull):
        headers["Retry-After"] = _RETRY_AFTER_FULL_S
    if isinstance(why, WrongToken):
        headers["WWW-Authenticate"] = "Bearer"
    return Response(write_problem(why, status), status, headers, media_type=PROBLEM_MEDIA_TYPE)


def _log_response(handler: Callable[..., Any], response: Response) -> None:
    if _LOG.isEnabledFor(logging.INFO):
        size = int(response.headers.get("content-length", 0))
        event, status, bits = _event_name(handler), response.status_code, size.bit_length()
        log_fields = {"event": event, "status": status, "size_bits": bits}
        _LOG.info("%s %d size<=2^%d", event, status, bits, extra={"said": log_fields})


def _log_bug(handler: Callable[..., Any], why: Exception) -> None:
    frames = traceback.extract_tb(why.__traceback__)
    path = " > ".join(f"{frame.name}:{frame.lineno}" for frame in frames)
    kind = type(why).__name__
    log_fields = {"event": "bug", "handler": _event_name(handler), "kind": kind, "at": path}
    words = "bug in %(handler)s: %(kind)s at %(at)s"
    _LOG.error(words, log_fields, extra={"said": log_fields})


def _event_name(handler: Callable[..., Any]) -> str:
    return getattr(handler, "__name__", "answer")
