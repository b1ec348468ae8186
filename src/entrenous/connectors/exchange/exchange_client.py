"""Query another exchange over HTTPS, with limits and retries, without redirects (exchange.md, 6.2).

A source's credentials come from the environment, or from a file that only its owner can read (6.1).
"""

import base64
import logging
import os
import ssl
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from secrets import randbelow
from typing import Final

import httpx

from entrenous.base.environment import is_loopback
from entrenous.base.secret import Secret
from entrenous.stop.exchange_nouns import (
    BadPage,
    BadSource,
    CredentialsReadableByOthers,
    MalformedCredentials,
    NoCredentials,
    Source,
    SourceKind,
    SourceRefused,
    SourceUnreachable,
)

_CREDENTIALS_BYTES_MAX: Final = 4096
_CREDENTIALS_FORM_IN_WORDS: Final[Mapping[SourceKind, str]] = {
    SourceKind.STOPNCII: "function key,subscription key",
    SourceKind.NCMEC: "user:password",
    SourceKind.THREATEXCHANGE: "app|secret",
    SourceKind.HMA: "a token",
}
_ANY_CREDENTIALS_FORM_IN_WORDS: Final = "one line of printable ASCII characters"


def credentials_variable(source: Source) -> str:
    """Return the environment variable for a source's credentials."""
    return f"ENTRENOUS_EXCHANGE_{source.name.upper().replace('-', '_')}"


def credential_headers(source: Source, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with a source's credentials.

    Raises:
        NoCredentials: there are none, and this kind of source needs credentials.
        MalformedCredentials: they are not in the form of this kind of source.
        CredentialsReadableByOthers: other accounts can read the file.
    """
    known = _read_credentials(source, environment)
    if known is None:
        if source.kind is SourceKind.HMA:
            return {}
        raise _missing_credentials_error(source)
    return _parse_credentials(source, known.reveal().decode("latin-1"))


def check_credentials_file(source: Source) -> None:
    """Check the source's credentials file, if it has one; raises what :func:`credential_headers`
    raises.
    """
    if source.credentials:
        known = _read_credentials_file(source)
        if known is None:
            raise _missing_credentials_error(source)
        _parse_credentials(source, known.reveal().decode("latin-1"))


def _parse_credentials(source: Source, text: str) -> dict[str, str]:
    if not text.isprintable() or not text.isascii():
        raise _malformed_credentials_error(source)
    if source.kind is SourceKind.STOPNCII:
        function, comma, subscription = text.partition(",")
        if not (function and comma and subscription):
            raise _malformed_credentials_error(source)
        return {"x-functions-key": function, "Ocp-Apim-Subscription-Key": subscription}
    if source.kind is SourceKind.NCMEC:
        if ":" not in text:
            raise _malformed_credentials_error(source)
        return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}
    return {"Authorization": f"Bearer {text}"}


def _read_credentials(source: Source, environment: Mapping[str, str]) -> Secret | None:
    text = environment.get(credentials_variable(source), "").strip()
    if text:
        # A variable that is not UTF-8 has surrogates, and is refused as malformed later.
        return Secret(text.encode(errors="surrogateescape"))
    return _read_credentials_file(source) if source.credentials else None


def _read_credentials_file(source: Source) -> Secret | None:
    """Check the credentials file and read it through one descriptor, so that it cannot be replaced
    in between.
    """
    path = Path(source.credentials)
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise CredentialsReadableByOthers(path=path)
            text = file.read(_CREDENTIALS_BYTES_MAX).strip()
    except OSError:
        raise _missing_credentials_error(source) from None
    return Secret(text) if text else None


def _malformed_credentials_error(source: Source) -> MalformedCredentials:
    return MalformedCredentials(
        name=source.name,
        form=_CREDENTIALS_FORM_IN_WORDS.get(source.kind, _ANY_CREDENTIALS_FORM_IN_WORDS),
    )


def _missing_credentials_error(source: Source) -> NoCredentials:
    form = _CREDENTIALS_FORM_IN_WORDS.get(source.kind, _ANY_CREDENTIALS_FORM_IN_WORDS)
    return NoCredentials(name=source.name, variable=credentials_variable(source), form=form)


PAGE_BYTES_MAX: Final = 16 * 1024 * 1024
REQUEST_ATTEMPTS_MAX: Final = 6
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0
# The statuses of answers whose bodies are read; the body of a 404 may name the next number.
_STATUSES_WITH_BODY: Final = (200, 404)
_RETRY_STATUSES: Final = frozenset({429, 500, 502, 503, 504})
_REQUEST_TIMEOUT: Final = httpx.Timeout(60, connect=10)


def new_exchange_client() -> httpx.Client:
    """Return a client for TLS 1.2 or newer, without redirects and proxies.

    httpx logs every URL. The URLs of some exchanges contain cursors that give access to data, so
    the log of httpx is restricted to warnings.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)
    context = httpx.create_ssl_context(trust_env=False)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return httpx.Client(verify=context, timeout=_REQUEST_TIMEOUT, trust_env=False)


def parse_exchange_address(place: str) -> httpx.URL:
    """Parse the address of an exchange; raises BadSource unless it is https, or http to this
    machine.
    """
    try:
        url = httpx.URL(place)
        host = url.host
    except (httpx.InvalidURL, UnicodeError):  # idna's errors are UnicodeErrors
        raise BadSource(why="its address is not a web address") from None
    private = url.scheme == "https" or (url.scheme == "http" and is_loopback(host))
    if not private or not host or url.userinfo or url.query or url.fragment:
        raise BadSource(why="its address must look like https://exchange.example/path")
    return url


def random_jitter_factor() -> float:
    """Return a factor from 0.5 to 1.5, so that many clients do not retry at the same time."""
    return 0.5 + randbelow(1001) / 1000


@dataclass(frozen=True, slots=True)
class ExchangeHttp:
    """A client for one source over HTTP; ``headers`` contain its credentials."""

    name: str
    base: str
    client: httpx.Client = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sleep_s: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random_jitter_factor

    def get(
        self, path: str, query: Mapping[str, str] | None = None, *, absent_ok: bool = False
    ) -> bytes | None:
        """Return the body of a response with status 200; with ``absent_ok``, None for 404.

        ``path``, with its query, is appended to the base address.

        Raises:
            SourceUnreachable: all attempts failed, without an answer or with a status that asks to
                try again later.
            SourceRefused: the source answered with any other status, such as a redirect.
            BadPage: the answer is too long.
        """
        there, body = self.get_allowing_404(path, query, absent_ok=absent_ok)
        return body if there else None

    def get_allowing_404(
        self, path: str, query: Mapping[str, str] | None = None, *, absent_ok: bool = True
    ) -> tuple[bool, bytes]:
        """Like :meth:`get`, but return the body of a 404 too: (True, body) for 200, (False, body)
        for 404.
        """
        try:
            url = httpx.URL(self.base.rstrip("/") + path)
        except httpx.InvalidURL:
            raise BadPage(name=self.name, why="the address of its next page is invalid") from None
        return self._request(url.copy_merge_params(query) if query else url, absent_ok=absent_ok)

    def get_next_page(self, untrusted_url: str) -> bytes:
        """Return the next page, whose address an answer named.

        Raises BadPage if the address is invalid or on a different server, and the errors of
        :meth:`get`.
        """
        try:
            url, own = httpx.URL(untrusted_url), httpx.URL(self.base)
            is_same_server = (url.scheme, url.host, url.port) == (own.scheme, own.host, own.port)
        except (httpx.InvalidURL, UnicodeError):
            raise BadPage(name=self.name, why="the address of its next page is invalid") from None
        if not is_same_server or url.userinfo:
            raise BadPage(name=self.name, why="its next page is on a different server")
        return self._request(url, absent_ok=False)[1]

    def _request(self, url: httpx.URL, *, absent_ok: bool) -> tuple[bool, bytes]:
        pause_s = _FIRST_PAUSE_S
        for left in reversed(range(REQUEST_ATTEMPTS_MAX)):
            status, body, wait_s = self._try_once(url)
            if status == 200:
                return True, body
            if status == 404 and absent_ok:
                return False, body
            if status not in _RETRY_STATUSES and status:
                raise SourceRefused(name=self.name, status=status)
            if left:
                self.sleep_s(wait_s if wait_s is not None else pause_s * self.jitter())
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        why = f"status {status}" if status else "the connection failed"
        raise SourceUnreachable(name=self.name, why=why)

    def _try_once(self, url: httpx.URL) -> tuple[int, bytes, float | None]:
        """Return the status (0 if the connection failed), the body, and the pause in seconds that
        the server asks for.
        """
        sent = {**self.headers, "Accept-Encoding": "identity"}
        try:
            with self.client.stream("GET", url, headers=sent) as answer:
                body = self._read_body(answer) if answer.status_code in _STATUSES_WITH_BODY else b""
                return answer.status_code, body, _retry_after_s(answer.headers)
        # httpx parses the address of a redirect although it is not followed. An invalid host name
        # in it raises an idna error, which is a UnicodeError.
        except (httpx.HTTPError, httpx.StreamError, UnicodeError):
            return 0, b"", None

    def _read_body(self, answer: httpx.Response) -> bytes:
        received = bytearray()
        for chunk in answer.iter_bytes():
            received += chunk
            if len(received) > PAGE_BYTES_MAX:
                raise BadPage(name=self.name, why="it is longer than 16 MB")
        return bytes(received)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the server asks to wait, at most a minute; None if it does
    not say.

    RFC 9110, section 10.2.3: a number or a date.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        return float(min(int(value[:9]), _LONGEST_PAUSE_S))
    try:
        at = parsedate_to_datetime(value)
        wait_s = (at - datetime.now(UTC)).total_seconds()  # noqa: TID251 -- the server sends a real date
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(wait_s, 0.0), _LONGEST_PAUSE_S)
