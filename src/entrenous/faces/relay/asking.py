"""What a request says: a token, an id, a body that ends in time."""

from collections.abc import AsyncIterator

from starlette.requests import Request

from entrenous.craft.wire.b64u import unb64u
from entrenous.model.envelope import NotUnderstood, TooLarge, WrongToken
from entrenous.model.ids import ID_BYTES, BlobId, DeviceId, EnvelopeId, MailboxId
from entrenous.model.secret import Secret
from entrenous.spec import LOCK_BYTES, TOKEN_BYTES


def token_of(request: Request) -> Secret:
    """The bearer token; raises WrongToken if there is none that could be one."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise WrongToken
    try:
        return Secret(unb64u(text, TOKEN_BYTES))
    except NotUnderstood:
        raise WrongToken from None


def mailbox_of(request: Request) -> MailboxId:
    """The mailbox in the address."""
    return MailboxId(_id(request, "mailbox"))


def device_of(request: Request) -> DeviceId:
    """The device in the address."""
    return DeviceId(_id(request, "device"))


def envelope_of(request: Request) -> EnvelopeId:
    """The envelope in the address."""
    return EnvelopeId(_id(request, "envelope"))


def blob_of(request: Request) -> BlobId:
    """The blob in the address."""
    return BlobId(_id(request, "blob"))


def lock_in(request: Request) -> bytes:
    """The lock in the address, 32 bytes."""
    return unb64u(request.path_params["lock"], LOCK_BYTES)


def number(untrusted_text: str, most: int) -> int:
    """A count from 0 to ``most`` in decimal digits."""
    if not (untrusted_text.isascii() and untrusted_text.isdigit() and len(untrusted_text) < 20):
        raise NotUnderstood
    if int(untrusted_text) > most:
        raise NotUnderstood
    return int(untrusted_text)


async def body_of(request: Request, limit: int) -> bytes:
    """The whole body; raises TooLarge once it is longer than ``limit`` bytes."""
    return b"".join([chunk async for chunk in chunks_of(request, limit)])


async def chunks_of(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body as it comes; raises TooLarge once it is longer than ``limit`` bytes."""
    seen = 0
    async for chunk in request.stream():
        seen += len(chunk)
        if seen > limit:
            raise TooLarge(limit_bytes=limit)
        yield chunk


def _id(request: Request, name: str) -> bytes:
    return unb64u(request.path_params[name], ID_BYTES)
