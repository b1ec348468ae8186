"""What a request says: a token, an id, a body that ends in time."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect

from entrenous.carry.moment import patience
from entrenous.craft.wire.b64u import unb64u
from entrenous.model.ids import ID_BYTES, BlobId, DeviceId, EnvelopeId, MailboxId
from entrenous.model.relay_problem import NotUnderstood, TooLarge, WrongToken
from entrenous.model.secret import Secret
from entrenous.spec import LOCK_BYTES, TOKEN_BYTES

SMALL_BODY: Final = 4096
_BODY_S: Final = 60.0  # the largest that is no blob, 557 KB, on a line of 10 KB a second


class Asking(Protocol):
    """As much of a request as an answer needs: Starlette's, or that of quick.py."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By names in lower case."""
        ...

    @property
    def path_params(self) -> Mapping[str, Any]:
        """The parts of the address that a route names."""
        ...

    @property
    def query_params(self) -> Mapping[str, str]:
        """What stands behind the question mark."""
        ...

    def stream(self) -> AsyncIterator[bytes]:
        """The body as it comes; raises ClientDisconnect."""
        ...


class Brought:
    """An :class:`Asking` that is here as a whole."""

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
        """What stands behind the question mark; the last of a name counts."""
        return query_of(self._query)

    async def stream(self) -> AsyncIterator[bytes]:
        """The body at once."""
        yield self.body


def query_of(untrusted_text: str) -> Mapping[str, str]:
    """What a query says; the last of a name counts."""
    if "%" in untrusted_text or "+" in untrusted_text:
        return dict(parse_qsl(untrusted_text, keep_blank_values=True))
    pairs = (pair.partition("=") for pair in untrusted_text.split("&") if pair)
    return {name: value for name, _, value in pairs}


def token_of(request: Asking) -> Secret:
    """The bearer token; raises WrongToken if there is none that could be one."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise WrongToken
    try:
        return Secret(unb64u(text, TOKEN_BYTES))
    except NotUnderstood:
        raise WrongToken from None


def mailbox_of(request: Asking) -> MailboxId:
    """The mailbox in the address."""
    return MailboxId(_id(request, "mailbox"))


def device_of(request: Asking) -> DeviceId:
    """The device in the address."""
    return DeviceId(_id(request, "device"))


def envelope_of(request: Asking) -> EnvelopeId:
    """The envelope in the address."""
    return EnvelopeId(_id(request, "envelope"))


def blob_of(request: Asking) -> BlobId:
    """The blob in the address."""
    return BlobId(_id(request, "blob"))


def lock_in(request: Asking) -> bytes:
    """The lock in the address, 32 bytes."""
    return unb64u(request.path_params["lock"], LOCK_BYTES)


def number(untrusted_text: str, most: int) -> int:
    """A count from 0 to ``most`` in decimal digits."""
    if not (untrusted_text.isascii() and untrusted_text.isdigit() and len(untrusted_text) < 20):
        raise NotUnderstood
    if int(untrusted_text) > most:
        raise NotUnderstood
    return int(untrusted_text)


def is_large(request: Asking) -> bool:
    """Whether so much is still to come that whoever sends it should show a token that holds."""
    if isinstance(request, Brought):
        return False
    length = request.headers.get("content-length", "")
    return not (length.isdigit() and len(length) < 5 and int(length) <= SMALL_BODY)


async def body_of(request: Asking, limit: int) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is longer than ``limit`` bytes; the rest is not read.
        ClientDisconnect: it did not come, or not within a minute.
    """
    if isinstance(request, Brought):
        if len(request.body) > limit:
            raise TooLarge(limit_bytes=limit)
        return request.body
    try:
        async with patience(_BODY_S):
            return b"".join([chunk async for chunk in chunks_of(request, limit)])
    except TimeoutError:
        raise ClientDisconnect from None


async def chunks_of(request: Asking, limit: int) -> AsyncIterator[bytes]:
    """The body as it comes; raises TooLarge once it is longer than ``limit`` bytes."""
    seen = 0
    async for chunk in request.stream():
        seen += len(chunk)
        if seen > limit:
            raise TooLarge(limit_bytes=limit)
        yield chunk


def _id(request: Asking, name: str) -> bytes:
    return unb64u(request.path_params[name], ID_BYTES)
