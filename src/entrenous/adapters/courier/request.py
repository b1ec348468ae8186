"""One request to a relay, and what its answer means.

What a relay answers is not trusted: bodies are read up to a limit, and of its errors only the name
and the numbers are used, so that no text of theirs is ever shown.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import httpx

from entrenous.adapters.courier.patience import Patience
from entrenous.adapters.loopback import is_this_machine
from entrenous.craft.wire.b64u import b64u
from entrenous.craft.wire.problem import MEDIA_TYPE, read_problem
from entrenous.model.envelope import (
    DamagedBlob,
    DiskFailed,
    DiskFull,
    Expired,
    IdInUse,
    MailboxesClosed,
    MailboxFull,
    NoPrekeys,
    NoSuchBlob,
    NoSuchEnvelope,
    NoSuchMailbox,
    NotARelay,
    NotEncrypted,
    NotUnderstood,
    ProtocolTooOld,
    RelayFull,
    RelayUnreachable,
    TakenBack,
    TooFarAhead,
    TooLarge,
    TooMany,
    TooManyRegistered,
    UsedUp,
    WrongOffset,
    WrongToken,
)
from entrenous.model.errors import EntrenousError
from entrenous.model.lock import Locked, LockExists, NoLock, NotAPoint, RolledBack
from entrenous.model.secret import Secret
from entrenous.spec import PROTOCOL_VERSION

#: What a relay may say went wrong.
_KNOWN: Final[tuple[type[EntrenousError], ...]] = (
    *(DamagedBlob, DiskFailed, DiskFull, Expired, IdInUse, NoPrekeys, NoSuchBlob, NoSuchEnvelope),
    *(NoSuchMailbox, NotUnderstood, ProtocolTooOld, TakenBack, TooFarAhead, TooLarge, TooMany),
    *(UsedUp, WrongToken),
    *(MailboxFull, TooManyRegistered),
    *(MailboxesClosed, WrongOffset),
    *(Locked, LockExists, NoLock, NotAPoint, RolledBack),
)
SPOKEN: Final = "Entrenous-Protocol"  # in every request and in every answer of a relay
_ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024  # a page of the largest envelopes takes 9 MB


@dataclass(frozen=True, slots=True)
class Ask:
    """A request below ``/v1/`` of a relay; its answer may have ``limit`` bytes."""

    method: str
    path: str
    token: Secret | None = None
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    limit: int = _ANSWER_BYTES_MAX


#: Makes one request to the relay at a URL; what :func:`ask` answers and raises.
Asks = Callable[[str, Ask], bytes]


def ask(client: httpx.Client, url: str, what: Ask, patience: Patience) -> bytes:
    """The body of the relay's answer.

    Raises:
        RelayUnreachable, NotARelay, NotEncrypted: no relay was asked, or none answered.
        EntrenousError: what the relay says went wrong.
    """
    base = _address(url)
    headers = {SPOKEN: str(PROTOCOL_VERSION), **what.headers}
    if what.token is not None:
        headers["Authorization"] = f"Bearer {b64u(what.token.reveal())}"
    target = f"{str(base).rstrip('/')}/v1/{what.path}"
    host = base.netloc.decode()

    def exchange() -> tuple[httpx.Response, bytes]:
        with client.stream(what.method, target, content=what.body, headers=headers) as answer:
            return answer, _whole(answer, what.limit)

    try:
        answer, untrusted_body = patience(host, exchange)
    except httpx.HTTPError:
        raise RelayUnreachable(host=host) from None
    except (httpx.InvalidURL, UnicodeError):  # no name that could be looked up
        raise NotARelay(host=host) from None
    if answer.is_success and SPOKEN in answer.headers:
        return untrusted_body
    raise _error(answer, untrusted_body, host)


def _address(url: str) -> httpx.URL:
    """The relay's address; raises NotEncrypted for plain http to another machine."""
    try:
        base = httpx.URL(url)
    except httpx.InvalidURL:
        raise NotARelay(host=url) from None
    if base.scheme == "https" or (base.scheme == "http" and is_this_machine(base.host)):
        return base
    if base.scheme == "http":
        raise NotEncrypted(url=url)
    raise NotARelay(host=url)


def _whole(answer: httpx.Response, limit: int) -> bytes:
    """The body, as long as it is no longer than we asked for."""
    held = bytearray()
    for chunk in answer.iter_raw():
        held += chunk
        if len(held) > limit:
            raise NotUnderstood
    return bytes(held)


def _error(answer: httpx.Response, untrusted_body: bytes, host: str) -> EntrenousError:
    """What the relay says went wrong, or that nothing sensible answers there."""
    if answer.headers.get("content-type") == MEDIA_TYPE:
        error = read_problem(untrusted_body, _KNOWN)
        if isinstance(error, DiskFull):
            return RelayFull()
        if error is not None:
            return error
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return RelayUnreachable(host=host)
    return NotARelay(host=host)
