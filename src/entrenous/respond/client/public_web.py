"""Pages of the public web over HTTP/1.1: one request at a time, with limits on time and on the size
of the answer.

Addresses in private networks are never contacted, and addresses on this machine only if the caller
allows them. If a proxy resolves the names, only numeric addresses and ``localhost`` can be refused.
No cookie is kept, and no referrer is sent.
"""

import logging
import ssl
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpcore
import httpx

from entrenous.base.environment import Proxy, is_loopback
from entrenous.base.errors import OnionNeedsProxy, ProxyUnreachable
from entrenous.base.language import translatable
from entrenous.device.client.connections import (
    CONSTANT_HEADERS,
    MinimumRate,
    RateCheckedNetwork,
    RateCheckedTransport,
    enforce_minimum_rate,
    refusing_cookie_jar,
)
from entrenous.device.client.http_courier import proxy_route_for
from entrenous.respond.watch.polite_web import (
    NotOnTheWeb,
    RecordedTransfer,
    SiteDidNotAnswer,
    WebAnswer,
    is_public_ip,
    refuse_private_address,
)

REQUEST_TIME_MAX_S: Final = 30.0  # limit for one request with its whole answer
_CONNECT_TIMEOUT_S: Final = 10.0
_HEADER_VALUE_CHARS_MAX: Final = 8192
_CHUNK_BYTES: Final = 64 * 1024


@dataclass(slots=True)
class PublicWeb:
    """An implementation of :class:`entrenous.respond.watch.polite_web.WebAccess`. If ``records`` is
    true, answers contain the transferred bytes.
    """

    proxy: Proxy | None = None
    records: bool = False
    context: ssl.SSLContext = field(
        default_factory=lambda: httpx.create_ssl_context(trust_env=False)
    )
    time_max_s: float = REQUEST_TIME_MAX_S

    def __post_init__(self) -> None:
        for library in ("httpx", "httpcore"):  # these libraries log every address
            logging.getLogger(library).setLevel(logging.WARNING)

    def get(
        self, url: str, headers: Mapping[str, str], bytes_max: int, *, allow_loopback: bool
    ) -> WebAnswer:
        """Get an address; raises SiteDidNotAnswer, NotOnTheWeb."""
        refuse_private_address(url, allow_loopback=allow_loopback)
        with (
            _translate_errors(),
            enforce_minimum_rate(MinimumRate(sys.maxsize, each_s=self.time_max_s)),
        ):
            address = httpx.URL(url)
            network = _RecordingNetwork(
                self._address_checking_network(address, allow_loopback=allow_loopback)
            )
            route = proxy_route_for(address, self.proxy)
            with (
                RateCheckedTransport(self.context, route, network) as transport,
                httpx.Client(
                    transport=transport,
                    timeout=httpx.Timeout(self.time_max_s, connect=_CONNECT_TIMEOUT_S),
                    headers=CONSTANT_HEADERS,
                    cookies=refusing_cookie_jar(),
                    trust_env=False,
                    follow_redirects=False,
                ) as client,
                client.stream(
                    "GET", address, headers=headers, extensions=network.recording_extensions()
                ) as answer,
            ):
                return self._read_answer(answer, network, bytes_max)

    def _address_checking_network(
        self, url: httpx.URL, *, allow_loopback: bool
    ) -> RateCheckedNetwork:
        """Return a network that refuses private addresses or, for a permitted URL on this machine,
        the addresses of all other machines. With a proxy, which resolves names itself, the resolved
        addresses are not checked here.
        """
        if self.proxy is not None and not is_loopback(url.host):
            return RateCheckedNetwork(self.proxy)
        return RateCheckedNetwork(
            None,
            _is_loopback_address if allow_loopback and is_loopback(url.host) else _require_public,
        )

    def _read_answer(
        self, answer: httpx.Response, network: "_RecordingNetwork", bytes_max: int
    ) -> WebAnswer:
        stream = answer.extensions.get("network_stream")
        certificates = _server_certificates(stream)
        server = stream.get_extra_info("server_addr") if stream and self.proxy is None else None
        body = bytearray()
        for part in answer.iter_raw(_CHUNK_BYTES):
            body += part
            if len(body) > bytes_max:
                break
        wire = RecordedTransfer(
            bytes(network.written),
            _without_interim_responses(network.read),
            certificates,
            str(server[0]) if server else "",
        )
        headers = {
            name.lower(): value[:_HEADER_VALUE_CHARS_MAX] for name, value in answer.headers.items()
        }
        return WebAnswer(
            answer.status_code,
            headers,
            bytes(body[:bytes_max]),
            is_cut=len(body) > bytes_max,
            wire=wire if self.records else None,
        )


def _require_public(address: str) -> bool:
    """Raise NotOnTheWeb for a private address, so that no other address of the name is tried."""
    if not is_public_ip(address):
        raise NotOnTheWeb
    return True


def _is_loopback_address(address: str) -> bool:
    return is_loopback(address.partition("%")[0])


def _without_interim_responses(received: bytearray) -> bytes:
    """Return a response without the interim responses (1xx, RFC 9110 section 15.2) before it."""
    rest = bytes(received)
    while rest[:5] == b"HTTP/" and rest[9:10] == b"1" and b"\r\n\r\n" in rest:
        rest = rest.partition(b"\r\n\r\n")[2]
    return rest


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Translate network errors to SiteDidNotAnswer or NotOnTheWeb, without any address in the
    message.
    """
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
        raise NotOnTheWeb from None
    except httpx.TimeoutException:
        raise SiteDidNotAnswer(why="the site took too long to answer") from None
    except (OnionNeedsProxy, ProxyUnreachable) as error:
        is_down = isinstance(error, ProxyUnreachable)
        why = (
            translatable("the proxy did not answer")
            if is_down
            else translatable("an onion address can only be reached through a proxy")
        )
        raise SiteDidNotAnswer(why=why) from None
    except httpx.HTTPError as error:
        raise SiteDidNotAnswer(why=_describe_failure(error)) from None


def _describe_failure(error: httpx.HTTPError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return translatable("the certificate of the site is not valid")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.RemoteProtocolError):
        return translatable("the site did not answer in HTTP")
    return "no connection"


def _server_certificates(stream: Any) -> tuple[bytes, ...]:
    """Return the certificates that a server showed, in DER, its own first; none over plain HTTP."""
    tls = stream.get_extra_info("ssl_object") if stream is not None else None
    if tls is None:
        return ()
    inner = getattr(tls, "_sslobj", tls)  # get_unverified_chain is public only from Python 3.13 on
    shown = getattr(inner, "get_unverified_chain", lambda: None)() or ()
    chain = tuple(_to_der(one) for one in shown)
    return chain or (tls.getpeercert(binary_form=True),)


def _to_der(certificate: Any) -> bytes:
    if isinstance(certificate, bytes):
        return certificate
    encoding_der = 2  # _ssl.ENCODING_DER
    der: bytes = certificate.public_bytes(encoding_der)
    return der


class _RecordingNetwork(httpcore.NetworkBackend):
    """A network that copies the decrypted bytes sent and received for the last request."""

    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._real = inner
        self.written = bytearray()
        self.read = bytearray()

    def recording_extensions(self) -> dict[str, Any]:
        """Return the httpx extensions that start recording at the request, after any handshake with
        a proxy.
        """

        def clear_before_request(event: str, _: Mapping[str, Any]) -> None:
            if event == "http11.send_request_headers.started":
                self.written.clear()
                self.read.clear()

        return {"trace": clear_before_request}

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._real.connect_tcp(host, port, timeout, local_address, socket_options)
        return _RecordingStream(stream, self)


class _RecordingStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, network: _RecordingNetwork) -> None:
        self._real = inner
        self._line = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._real.read(max_bytes, timeout)
        self._line.read += data
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._line.written += buffer
        self._real.write(buffer, timeout)

    def close(self) -> None:
        self._real.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _RecordingStream(
            self._real.start_tls(ssl_context, server_hostname, timeout), self._line
        )

    def get_extra_info(self, info: str) -> Any:
        return self._real.get_extra_info(info)
