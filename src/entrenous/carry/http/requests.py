"""Parse a request: its token, its ids, and a body that has to arrive in time."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect

from entrenous.base.errors import NotUnderstood, TooLarge, WrongToken
from entrenous.base.identifiers import ID_BYTES, BlobId, DeviceId, EnvelopeId, MailboxId
from entrenous.base.limits import LOCK_BYTES, TOKEN_BYTES
from entrenous.base.secret import Secret
from entrenous.carry.relay import wait_timeout
from entrenous.wire.encodings import from_base64url

SMALL_BODY_BYTES_MAX: Final = 4096
# Time in which the largest body other than a blob, 557 KB, must arrive: about 10 KB a second.
_BODY_S_MAX: Final = 60.0


class RelayRequest(Protocol):
    """The part of a request that handlers use: Starlette's, or the fast path's."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, by their names in lower case."""

    @property
    def path_params(self) -> Mapping[str, Any]:
        """The named parts of the path."""

    @property
    def query_params(self) -> Mapping[str, str]:
        """The query parameters; of several with one name, the last counts."""

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
    """Parse a query; of several parameters with one name, the last counts."""
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
    return from_base64url(request.path_params["lock"], LOCK_BYTES)


def parse_number(untrusted_text: str, most: int) -> int:
    """Parse a number from 0 to ``most`` in decimal digits; raises NotUnderstood."""
    if not (untrusted_text.isascii() and untrusted_text.isdigit() and len(untrusted_text) < 20):
        raise NotUnderstood
    if int(untrusted_text) > most:
        raise NotUnderstood
    return int(untrusted_text)


def has_large_body(request: RelayRequest) -> bool:
    """Return whether the body is so large that the token should be checked before reading it."""
    if isinstance(request, ReceivedRequest):
        return False
    length = request.headers.get("content-length", "")
    return not (length.isdigit() and len(length) < 5 and int(length) <= SMALL_BODY_BYTES_MAX)


async def read_body(request: RelayRequest, limit: int) -> bytes:
    """Return the whole body.

    Raises:
        TooLarge: it is longer than ``limit`` bytes; the rest is not read.
        ClientDisconnect: it did not arrive, or not within a minute.
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
