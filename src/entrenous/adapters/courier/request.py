"""One request to a relay, and what its answer means.

What a relay answers is not trusted: bodies are read up to a limit, and of its errors only the name
and the numbers are used, so that no text of theirs is ever shown.
"""

import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

import httpx

from entrenous.adapters.courier.pace import SMALL_BYTES, Pace, keeping
from entrenous.adapters.courier.patience import Patience
from entrenous.adapters.loopback import is_this_machine
from entrenous.craft.wire.b64u import b64u
from entrenous.craft.wire.problem import MEDIA_TYPE, read_problem
from entrenous.model.errors import EntrenousError
from entrenous.model.lock import Locked, LockExists, NoLock, NotAPoint, RolledBack
from entrenous.model.relay_problem import (
    DamagedBlob,
    DatabaseAway,
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
    NotProven,
    NotUnderstood,
    ProtocolTooOld,
    RelayClockAhead,
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
from entrenous.model.secret import Secret
from entrenous.spec import PACE_BYTES_MIN, PROTOCOL_VERSION

#: What a relay may say went wrong.
_KNOWN: Final[tuple[type[EntrenousError], ...]] = (
    *(DamagedBlob, DatabaseAway, DiskFailed, DiskFull, Expired, IdInUse, NoPrekeys, NoSuchBlob),
    NoSuchEnvelope,
    *(NoSuchMailbox, NotUnderstood, ProtocolTooOld, TakenBack, TooFarAhead, TooLarge, TooMany),
    *(UsedUp, WrongToken),
    *(MailboxFull, TooManyRegistered),
    *(MailboxesClosed, RelayClockAhead, WrongOffset),
    *(Locked, LockExists, NoLock, NotAPoint, RolledBack),
)
SPOKEN: Final = "Entrenous-Protocol"  # in every request and in every answer of a relay
PAGE_BYTES_MAX: Final = 16 * 1024 * 1024  # fifty of the largest, as older relays send: 11 MB


class Errand(Enum):
    """Whom a request's token tells the relay about (docs/spec/relay.md section 14)."""

    OWN = auto()  # this device: its mailbox, its lock, or what came to it
    LETTER = auto()  # whoever the letter is for
    LOOK = auto()  # the letters whose state is asked for
    OF_NOBODY = auto()  # nobody; or it cannot wait


@dataclass(frozen=True, slots=True)
class Ask:
    """A request below ``/v1/`` of a relay; its answer may have ``limit`` bytes.

    A ``body`` in chunks comes with its ``Content-Length`` in the headers.
    """

    method: str
    path: str
    token: Secret | None = None
    body: bytes | Iterable[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    limit: int = SMALL_BYTES
    errand: Errand = Errand.OWN


#: Makes one request to the relay at a URL; what :func:`ask` answers and raises.
Asks = Callable[[str, Ask], bytes]
#: Takes an answer that is a success, as it comes; ``begun`` may be called for it more than once.
Takes = Callable[[httpx.Response], None]
#: Makes one request that is begun anew for every try; what :func:`converse` does and raises.
Streams = Callable[[str, Callable[[], Ask], Takes], None]


def ask(client: httpx.Client, url: str, what: Ask, patience: Patience) -> bytes:
    """The body of the relay's answer.

    Raises:
        RelayUnreachable, NotARelay, NotEncrypted: no relay was asked, or none answered.
        NotProven: who answered is not that relay, as far as certificates show.
        EntrenousError: what the relay says went wrong.
    """
    held = b""

    def take(answer: httpx.Response) -> None:
        nonlocal held
        held = _whole(answer, what.limit)

    converse(client, url, lambda: what, take, patience, _least_bytes(what))
    return held


def converse(  # noqa: PLR0913, PLR0917
    client: httpx.Client,
    url: str,
    each_try: Callable[[], Ask],
    take: Takes,
    patience: Patience,
    least_bytes: int,
) -> None:
    """Ask, and let ``take`` have the answer; both happen anew when the connection was lost.

    All tries together have to move ``least_bytes`` in every minute; a relay that is slower counts
    as one that does not answer.

    Raises:
        As :func:`ask`, and what ``take`` raises.
    """
    base = _address(url)
    host = base.netloc.decode()

    def exchange() -> EntrenousError | None:
        what = each_try()
        target = f"{str(base).rstrip('/')}/v1/{what.path}"
        headers = _headers(what)
        with (
            _proven(host),
            client.stream(what.method, target, content=what.body, headers=headers) as answer,
        ):
            if answer.is_success and SPOKEN in answer.headers:
                take(answer)
                return None
            return _error(answer, _whole(answer, SMALL_BYTES), host)

    try:
        with keeping(Pace(least_bytes)):
            error = patience(host, exchange)
    except httpx.HTTPError:
        raise RelayUnreachable(host=host) from None
    except (httpx.InvalidURL, UnicodeError):  # no name that could be looked up
        raise NotARelay(host=host) from None
    if error is not None:
        raise error


@contextmanager
def _proven(host: str) -> Iterator[None]:
    """Tells one who is not that relay from none at all: there is no point in waiting for them."""
    try:
        yield
    except httpx.ConnectError as problem:
        reason: BaseException | None = problem
        while reason is not None and not isinstance(reason, ssl.SSLCertVerificationError):
            reason = reason.__cause__ or reason.__context__
        if reason is None:
            raise
        raise NotProven(host=host) from None


def _headers(what: Ask) -> dict[str, str]:
    headers = {SPOKEN: str(PROTOCOL_VERSION), **what.headers}
    if what.token is not None:
        headers["Authorization"] = f"Bearer {b64u(what.token.reveal())}"
    return headers


def _least_bytes(what: Ask) -> int:
    """What is large may go by a slow line: cut short, it would be begun anew, in vain."""
    body = len(what.body) if isinstance(what.body, bytes) else 0
    is_small = what.limit <= SMALL_BYTES and body <= SMALL_BYTES // 2
    return SMALL_BYTES if is_small else PACE_BYTES_MIN


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


def end_of(answer: httpx.Response) -> None:
    """Read an answer that says no more than that it is one, so that its connection can go on."""
    _whole(answer, SMALL_BYTES)


def _error(answer: httpx.Response, untrusted_body: bytes, host: str) -> EntrenousError:
    """What the relay says went wrong, or that nothing sensible answers there."""
    if answer.headers.get("content-type") == MEDIA_TYPE:
        error = read_problem(untrusted_body, _KNOWN)
        if isinstance(error, DiskFull):
            return RelayFull()
        if error is not None:
            return error
    slow = answer.status_code == HTTPStatus.REQUEST_TIMEOUT  # this line is, and not the relay
    if slow or answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return RelayUnreachable(host=host)
    return NotARelay(host=host)
