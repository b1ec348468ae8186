"""Make one request to a relay: retry it while the relay does not answer, and interpret the answer.

Random pauses separate requests about the device itself from letters to others, so that the relay
cannot link them by time (docs/spec/relay.md, section 14).
"""

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from typing import Final, TypeVar

import httpx

from entrenous.base import errors
from entrenous.base.environment import RandomSource, is_loopback
from entrenous.base.errors import (
    DiskFailed,
    DiskFull,
    EntrenousError,
    NotARelay,
    NotEncrypted,
    NotUnderstood,
    RelayDiskFailed,
    RelayFull,
    RelayNotAuthenticated,
    RelayUnreachable,
)
from entrenous.base.limits import PROTOCOL_VERSION, TRANSFER_BYTES_MIN_PER_INTERVAL
from entrenous.base.secret import Secret
from entrenous.crypto.nouns import NotAPoint
from entrenous.device.client.connections import (
    SMALL_ANSWER_BYTES_MAX,
    MinimumRate,
    enforce_minimum_rate,
)
from entrenous.wire.encodings import to_base64url
from entrenous.wire.problem_details import PROBLEM_MEDIA_TYPE, read_problem
from entrenous.wire.relay_nouns import Locked, LockExists, NoLock, RolledBack

AnswerT = TypeVar("AnswerT")
_FIRST_RETRY_PAUSE_S: Final = 0.1
_RETRY_PAUSE_S_MAX: Final = 2.0
#: Seconds for which a relay is not asked again after a timeout. A command rarely takes longer, so
#: it waits for that relay only once. How long a request waits before it times out is set in the
#: HTTP client, not by ENTRENOUS_PATIENCE.
_NO_REQUESTS_AFTER_TIMEOUT_S: Final = 600.0
#: Errors that mean that the server died or is not running yet. A timeout is not among them: it took
#: long enough already, so it is not retried.
_DISCONNECTION_ERRORS: Final = (httpx.NetworkError, httpx.RemoteProtocolError)


class RetryPolicy:
    """Retries requests while a relay cannot be reached, for ``seconds`` after the first failure.

    Until the relay has answered again, later requests to it get no more time for retries. After a
    timeout, they fail at once. So a command waits for a relay only once.
    """

    def __init__(
        self,
        seconds: float,
        now_s: Callable[[], float] = time.monotonic,
        sleep_s: Callable[[float], None] = time.sleep,
    ) -> None:
        self._seconds = seconds
        self._now_s = now_s
        self._sleep_s = sleep_s
        self._until = dict[str, float]()
        self._silent_until = dict[str, float]()

    def __call__(self, host: str, request: Callable[[], AnswerT]) -> AnswerT:
        """Call ``request``, and retry it if the connection is lost. Return its result, or raise its
        last httpx.HTTPError.
        """
        if self._now_s() < self._silent_until.get(host, float("-inf")):
            raise httpx.ConnectTimeout("it let a request time out before")
        pause_s = _FIRST_RETRY_PAUSE_S
        while True:
            try:
                answer = request()
            except httpx.TimeoutException:
                self._silent_until[host] = self._now_s() + _NO_REQUESTS_AFTER_TIMEOUT_S
                raise
            except _DISCONNECTION_ERRORS:
                if not self._may_retry(host, pause_s):
                    raise
                self._sleep_s(pause_s)
                pause_s = min(2 * pause_s, _RETRY_PAUSE_S_MAX)
            else:
                self._until.pop(host, None)
                return answer

    def _may_retry(self, host: str, pause_s: float) -> bool:
        now_s = self._now_s()
        return now_s + pause_s <= self._until.setdefault(host, now_s + self._seconds)


#: Errors that a relay may answer with.
_ERRORS_OF_RELAYS: Final[tuple[type[EntrenousError], ...]] = (
    *(errors.DamagedBlob, errors.DatabaseAway, errors.DiskFailed, errors.DiskFull),
    *(errors.Expired, errors.IdInUse, errors.MailboxFull, errors.MailboxesClosed),
    *(errors.NoPrekeys, errors.NoSuchBlob, errors.NoSuchEnvelope, errors.NoSuchMailbox),
    *(errors.NotUnderstood, errors.ProtocolTooOld, errors.RelayClockAhead, errors.TakenBack),
    *(errors.TooFarAhead, errors.TooLarge, errors.TooMany, errors.TooManyRegistered),
    *(errors.UsedUp, errors.WrongOffset, errors.WrongToken),
    *(Locked, LockExists, NoLock, NotAPoint, RolledBack),
)
PROTOCOL_VERSION_HEADER: Final = (
    "Entrenous-Protocol"  # this header is in every request, and in every answer of a relay
)
# older relays send up to fifty of the largest letters: 11 MB
LETTER_PAGE_BYTES_MAX: Final = 16 * 1024 * 1024


class TokenSubject(Enum):
    """What the token in a request identifies for the relay (docs/spec/relay.md section 14)."""

    OWN = auto()  # identifies this device: its mailbox, its lock, or letters that wait for it
    LETTER = auto()  # identifies the recipient of a letter
    LETTER_STATE = auto()  # identifies the letters whose state is asked for
    NOBODY = auto()  # identifies nobody, or the request cannot wait for a pause


@dataclass(frozen=True, slots=True)
class RelayCall:
    """A request to a path below ``/v1/`` of a relay. The answer may have up to ``limit`` bytes.

    A chunked ``body`` needs a ``Content-Length`` in ``headers``.
    """

    method: str
    path: str
    token: Secret | None = None
    body: bytes | Iterable[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    limit: int = SMALL_ANSWER_BYTES_MAX
    token_subject: TokenSubject = TokenSubject.OWN


#: Reads the stream of a successful answer. It may be called again after a lost connection.
AnswerReader = Callable[[httpx.Response], None]


def send_request(client: httpx.Client, url: str, call: RelayCall, patience: RetryPolicy) -> bytes:
    """Send a request and return the body of the answer.

    Raises:
        RelayUnreachable, NotARelay, NotEncrypted: no relay was reached, or none answered.
        RelayNotAuthenticated: the server's certificate is not the relay's.
        EntrenousError: an error that the relay reports.
    """
    body = b""

    def read_answer(answer: httpx.Response) -> None:
        nonlocal body
        body = _read_body(answer, call.limit)

    stream_request(client, url, lambda: call, read_answer, patience, _min_bytes_per_minute(call))
    return body


def stream_request(  # noqa: PLR0913, PLR0917
    client: httpx.Client,
    url: str,
    build_call: Callable[[], RelayCall],
    read_answer: AnswerReader,
    patience: RetryPolicy,
    least_bytes: int,
) -> None:
    """Send a request, and pass the answer to ``read_answer``. Repeat both after a lost connection.

    All attempts together have to transfer ``least_bytes`` per minute; a slower relay counts as
    unreachable.

    Raises:
        The errors of :func:`send_request` and of ``read_answer``.
    """
    base = _parse_relay_address(url)
    host = base.netloc.decode()

    def send_and_read_answer() -> EntrenousError | None:
        call = build_call()
        target = f"{str(base).rstrip('/')}/v1/{call.path}"
        headers = _request_headers(call)
        with (
            _translate_certificate_errors(host),
            client.stream(call.method, target, content=call.body, headers=headers) as answer,
        ):
            if answer.is_success and PROTOCOL_VERSION_HEADER in answer.headers:
                read_answer(answer)
                return None
            return _relay_error(answer, _read_body(answer, SMALL_ANSWER_BYTES_MAX), host)

    try:
        with enforce_minimum_rate(MinimumRate(least_bytes)):
            error = patience(host, send_and_read_answer)
    except httpx.HTTPError:
        raise RelayUnreachable(host=host) from None
    except (httpx.InvalidURL, UnicodeError):  # not a valid host name
        raise NotARelay(host=host) from None
    if error is not None:
        raise error


@contextmanager
def _translate_certificate_errors(host: str) -> Iterator[None]:
    """Turn certificate errors inside the block into RelayNotAuthenticated, which is not retried."""
    try:
        yield
    except httpx.ConnectError as problem:
        reason: BaseException | None = problem
        while reason is not None and not isinstance(reason, ssl.SSLCertVerificationError):
            reason = reason.__cause__ or reason.__context__
        if reason is None:
            raise
        raise RelayNotAuthenticated(host=host) from None


def _request_headers(call: RelayCall) -> dict[str, str]:
    headers = {PROTOCOL_VERSION_HEADER: str(PROTOCOL_VERSION), **call.headers}
    if call.token is not None:
        headers["Authorization"] = f"Bearer {to_base64url(call.token.reveal())}"
    return headers


def _min_bytes_per_minute(call: RelayCall) -> int:
    """Return the minimum number of bytes per minute.

    It is lower for large transfers, so that they also succeed on slow lines.
    """
    body = len(call.body) if isinstance(call.body, bytes) else 0
    is_small = call.limit <= SMALL_ANSWER_BYTES_MAX and body <= SMALL_ANSWER_BYTES_MAX // 2
    return SMALL_ANSWER_BYTES_MAX if is_small else TRANSFER_BYTES_MIN_PER_INTERVAL


def _parse_relay_address(url: str) -> httpx.URL:
    """Parse a relay's address; raises NotEncrypted for plain http to another machine."""
    try:
        base = httpx.URL(url)
    except httpx.InvalidURL:
        raise NotARelay(host=url) from None
    if base.scheme == "https" or (base.scheme == "http" and is_loopback(base.host)):
        return base
    if base.scheme == "http":
        raise NotEncrypted(url=url)
    raise NotARelay(host=url)


def _read_body(answer: httpx.Response, limit: int) -> bytes:
    """Read the body; raises NotUnderstood if it has more than ``limit`` bytes."""
    body = bytearray()
    for chunk in answer.iter_raw():
        body += chunk
        if len(body) > limit:
            raise NotUnderstood
    return bytes(body)


def discard_body(answer: httpx.Response) -> None:
    """Read and ignore the body of an answer, so that the connection can be reused."""
    _read_body(answer, SMALL_ANSWER_BYTES_MAX)


def _relay_error(answer: httpx.Response, untrusted_body: bytes, host: str) -> EntrenousError:
    """Return the error that the relay reports; NotARelay if the answer is not a relay's."""
    if answer.headers.get("content-type") == PROBLEM_MEDIA_TYPE:
        error = read_problem(untrusted_body, _ERRORS_OF_RELAYS)
        if isinstance(error, DiskFull):
            return RelayFull()
        if isinstance(error, DiskFailed):
            return RelayDiskFailed()
        if error is not None:
            return error
    # the relay gave up because this device's connection is slow
    slow = answer.status_code == HTTPStatus.REQUEST_TIMEOUT
    if slow or answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return RelayUnreachable(host=host)
    return NotARelay(host=host)


_PAUSE_RANDOM_BYTES: Final = 8


class UnlinkingPauses:
    """Pauses between requests that a relay should not link, such as letters to two people.

    A pause takes a random part of ``longest_s`` seconds.

    The pause before the n-th letter in a row takes at most ``longest_s / n``, so that many
    recipients take little longer than one. Before a pause, ``close_idle`` is called to close idle
    connections. A pause is measured from the end of the previous request, so it includes the work
    in between.
    """

    def __init__(
        self,
        longest_s: float,
        random_source: RandomSource,
        close_idle: Callable[[], None] | None = None,
        now_s: Callable[[], float] = time.monotonic,
        sleep_s: Callable[[float], None] = time.sleep,
    ) -> None:
        self._longest_s = longest_s
        self._random_source = random_source
        self._close_idle = close_idle
        self._now_s = now_s
        self._sleep_s = sleep_s
        self._lock = threading.Lock()
        self._last: tuple[TokenSubject, bytes] | None = None
        self._in_a_row = 0
        self._ended_s = self._due_s = now_s()

    @contextmanager
    def pausing_before(self, call: RelayCall) -> Iterator[None]:
        """Wait until this request may be sent; leave the context when the request is finished."""
        if call.token_subject is TokenSubject.NOBODY:
            yield
            return
        pause_s = self._pause_s(_pause_group(call))
        if pause_s > 0:
            if self._close_idle is not None:
                self._close_idle()
            self._sleep_s(pause_s)
        try:
            yield
        finally:
            self._ended_s = self._now_s()

    def _pause_s(self, token_subject: tuple[TokenSubject, bytes]) -> float:
        with self._lock:
            if self._last is None:
                self._last = token_subject
            elif token_subject != self._last:
                in_a_row = (
                    token_subject[0] is TokenSubject.LETTER and self._last[0] is TokenSubject.LETTER
                )
                self._in_a_row = self._in_a_row + 1 if in_a_row else 1
                self._due_s = self._ended_s + self._random_pause_s() / self._in_a_row
                self._last = token_subject
            return self._due_s - self._now_s()

    def _random_pause_s(self) -> float:
        drawn = int.from_bytes(self._random_source.token(_PAUSE_RANDOM_BYTES), "big")
        return self._longest_s * drawn / (1 << 8 * _PAUSE_RANDOM_BYTES)


def _pause_group(call: RelayCall) -> tuple[TokenSubject, bytes]:
    """Return a key that is equal for requests without a pause between them.

    All requests about this device have the same key; letters have one key per token.
    """
    is_letter = call.token_subject is TokenSubject.LETTER and call.token is not None
    return call.token_subject, call.token.reveal() if is_letter and call.token is not None else b""
