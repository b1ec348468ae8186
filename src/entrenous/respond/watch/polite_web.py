"""Access the web politely: obey robots.txt, pause between requests to one host, and check each
redirect.

A redirect from the public web to this machine or to a private network is not followed.
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import urljoin, urlsplit, urlunsplit

from entrenous.base.environment import is_loopback
from entrenous.base.errors import Refused, Unreachable
from entrenous.respond.watch.robots import (
    EVERYTHING_ALLOWED,
    NOTHING_ALLOWED,
    ROBOTS_BYTES_MAX,
    ROBOTS_PATH,
    RobotsRules,
    read_robots,
)
from entrenous.wire.text import url_leads_to_this_machine


class SiteDidNotAnswer(Unreachable):
    """
    The page could not be fetched: {why}. Nothing was stored. If the reason names a proxy, set up
    the proxy first. Otherwise the address may be wrong, or the site may be down or may block
    programs: check the address, then try again later.
    """


class RobotsForbid(Refused):
    """
    The site's file robots.txt asks programs not to visit this page, so the page was not fetched.
    Open the page in your browser instead.
    """


class NotOnTheWeb(Refused):
    """
    This is not an address on the public web, or it leads into a private network, for example to a
    device in your own network. Nothing was fetched. Check the address: it has to begin with
    https:// or http://.
    """


@dataclass(frozen=True, slots=True)
class RecordedTransfer:
    """The bytes transferred for one request: the request and the response, the server's
    certificates (DER, its own first) if the connection was encrypted, and the server's IP address
    if known.
    """

    request: bytes
    response: bytes
    certificates: tuple[bytes, ...] = ()
    ip: str = ""


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """One HTTP response. Header names are in lower case; ``is_cut``: the body was longer than the
    requested limit.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_cut: bool = False
    wire: RecordedTransfer | None = None

    @property
    def content_type(self) -> str:
        """The media type in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_encoded(self) -> bool:
        """Whether the body is compressed although compression was not requested."""
        return self.headers.get("content-encoding", "identity").strip().lower() != "identity"


class WebAccess(Protocol):
    """Access to the public web: one request at a time, without following redirects. An
    implementation may record the bytes.
    """

    def get(
        self, url: str, headers: Mapping[str, str], bytes_max: int, *, allow_loopback: bool
    ) -> WebAnswer:
        """Request an address. ``allow_loopback`` means that the address may be on this machine.

        Raises:
            SiteDidNotAnswer: there was no answer, or none in time.
            NotOnTheWeb: the address is on this machine or in a private network.
        """


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """An answer, and the address from which it was received after redirects."""

    answer: WebAnswer
    url: str


REDIRECTS_MAX: Final = 5
HOST_PAUSE_S: Final = 2.0  # seconds between two requests to one host
_REDIRECT_STATUSES: Final = frozenset({301, 302, 303, 307, 308})
_CLIENT_ERROR_STATUSES: Final = range(400, 500)
_TOO_MANY_REQUESTS_STATUS: Final = 429
_ADDRESS_CHARS_MAX: Final = 4096


@dataclass(slots=True)
class PoliteWeb:
    """Requests pages with pauses between requests to the same host, and follows redirects. Each
    object serves one run, and remembers the robots.txt of each site. ``received_bytes`` counts the
    bodies of all answers.

    ``heeds_robots`` is false for a page that the person requests once, as with a browser:
    robots.txt is about programs that visit pages by themselves (RFC 9309 section 1).
    """

    web: WebAccess
    now_s: Callable[[], float]
    sleep_s: Callable[[float], None]
    heeds_robots: bool = True
    pause_s: float = HOST_PAUSE_S
    received_bytes: int = field(default=0, init=False)
    _robots: dict[str, RobotsRules | SiteDidNotAnswer] = field(default_factory=dict)
    _asked_s: dict[str, float] = field(default_factory=dict)

    def fetch(
        self,
        url: str,
        bytes_max: int,
        headers: Mapping[str, str] | None = None,
        *,
        allow_loopback: bool = False,
    ) -> FetchedPage:
        """Get an address, following up to five redirects. ``bytes_max`` limits the answer and those
        of the redirects together.

        ``allow_loopback``: the person gave an address on this machine, so other addresses on it may
        be requested. ``headers`` are sent to the site of ``url`` alone.

        Raises:
            SiteDidNotAnswer: there was no answer, or none to the request for robots.txt, or there
                were too many or too large redirects.
            RobotsForbid: robots.txt forbids the request.
            NotOnTheWeb: the address, or one that it redirects to, is not on the public web.
        """
        current, left = normalize_web_address(url), bytes_max
        for _ in range(REDIRECTS_MAX + 1):
            if self.heeds_robots and not self._robots_rules_for(
                current, allow_loopback=allow_loopback
            ).allows(current):
                raise RobotsForbid
            sent = headers if headers and _origin_of_url(current) == _origin_of_url(url) else {}
            answer = self._get(current, sent, left, allow_loopback=allow_loopback)
            target = _redirect_target(answer, current)
            if not target:
                return FetchedPage(answer, current)
            left -= len(answer.body)
            if left <= 0:
                raise SiteDidNotAnswer(why="the answer is too long")
            current = normalize_web_address(target)
        raise SiteDidNotAnswer(why="the site redirected the request too many times")

    def _get(
        self, url: str, headers: Mapping[str, str], bytes_max: int, *, allow_loopback: bool
    ) -> WebAnswer:
        host = urlsplit(url).netloc
        last_s = self._asked_s.get(host)
        pause_left_s = 0.0 if last_s is None else last_s + self.pause_s - self.now_s()
        if pause_left_s > 0:
            self.sleep_s(pause_left_s)
        try:
            answer = self.web.get(url, headers, bytes_max, allow_loopback=allow_loopback)
        finally:
            self._asked_s[host] = self.now_s()
        self.received_bytes += len(answer.body)
        return answer

    def _robots_rules_for(self, url: str, *, allow_loopback: bool) -> RobotsRules:
        """Return a site's rules, requested once (RFC 9309 section 2.3); raises SiteDidNotAnswer."""
        site = _origin_of_url(url)
        if site not in self._robots:
            self._robots[site] = self._fetch_robots_rules(
                site + ROBOTS_PATH, allow_loopback=allow_loopback
            )
        known = self._robots[site]
        if isinstance(known, SiteDidNotAnswer):
            raise known
        return known

    def _fetch_robots_rules(
        self, url: str, *, allow_loopback: bool
    ) -> RobotsRules | SiteDidNotAnswer:
        current = url
        try:
            for _ in range(REDIRECTS_MAX + 1):
                answer = self._get(current, {}, ROBOTS_BYTES_MAX, allow_loopback=allow_loopback)
                target = _redirect_target(answer, current)
                if not target:
                    return _parse_robots_rules(answer)
                current = normalize_web_address(target)
        except SiteDidNotAnswer as error:
            return error
        except NotOnTheWeb:
            # more than five redirects, or an invalid redirect, count as a site without rules (RFC
            # 9309 section 2.3.1.2)
            pass
        return EVERYTHING_ALLOWED


def _parse_robots_rules(answer: WebAnswer) -> RobotsRules | SiteDidNotAnswer:
    if answer.status in _CLIENT_ERROR_STATUSES and answer.status != _TOO_MANY_REQUESTS_STATUS:
        return EVERYTHING_ALLOWED
    if answer.status >= 500 or answer.status == _TOO_MANY_REQUESTS_STATUS:
        return SiteDidNotAnswer(
            why="the site did not provide its rules for programs (robots.txt)",
            retry_after=answer.headers.get("retry-after", ""),
        )
    return NOTHING_ALLOWED if answer.is_encoded else read_robots(answer.body)


def _redirect_target(answer: WebAnswer, url: str) -> str:
    """Return the address that a redirect leads to, or ""."""
    target = answer.headers.get("location", "")
    if answer.status not in _REDIRECT_STATUSES or not target:
        return ""
    try:
        return urljoin(url, target)
    except ValueError:
        raise NotOnTheWeb from None


def normalize_web_address(url: str) -> str:
    """Return an address in the form in which it is requested: without user name, password and
    fragment.

    Raises NotOnTheWeb unless it is http or https with a host.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise NotOnTheWeb from None
    is_web = parts.scheme in {"http", "https"} and parts.hostname and len(url) <= _ADDRESS_CHARS_MAX
    if not is_web or not url.isprintable():
        raise NotOnTheWeb
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))


def refuse_private_address(url: str, *, allow_loopback: bool) -> None:
    """Raise NotOnTheWeb if the host of an address is this machine or in a private network; host
    names are not resolved. ``allow_loopback``: this machine is allowed.
    """
    host = _host_of_url(url)
    if allow_loopback and is_loopback(host):
        return
    if url_leads_to_this_machine(url) or _is_private_ip(host):
        raise NotOnTheWeb


def _is_private_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return not is_public_ip(host)


_NAT64_NETWORK: Final = ipaddress.ip_network(
    "64:ff9b::/96"
)  # RFC 6052; each address in it contains an IPv4 address
# all public addresses are in it (RFC 4291 section 2.4); is_global also accepts unassigned ones
_PUBLIC_IPV6_NETWORK: Final = ipaddress.ip_network("2000::/3")
_IPV6_DOCUMENTATION_NETWORK: Final = ipaddress.ip_network("3fff::/20")  # RFC 9637


def is_public_ip(address: str) -> bool:
    """Return whether an IP address is on the public internet.

    If an IPv6 address contains an IPv4 address (mapped, 6to4, NAT64), the IPv4 address decides.
    Teredo addresses, and addresses that are not assigned, do not count as public.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ipv4 = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64_NETWORK:
            ipv4 = ipaddress.IPv4Address(ip.packed[-4:])
        if ipv4 is not None:
            return is_public_ip(str(ipv4))
        if ip.teredo is not None or ip in _IPV6_DOCUMENTATION_NETWORK:
            return False
        if ip not in _PUBLIC_IPV6_NETWORK:
            return False
    return ip.is_global and not ip.is_multicast


def is_loopback_url(url: str) -> bool:
    """Return whether an address is on this machine."""
    return is_loopback(_host_of_url(url))


def _host_of_url(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _origin_of_url(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def is_same_page(first: str, second: str) -> bool:
    """Return whether two addresses differ only in http/https, "www." and a slash at the end."""

    def comparable_parts(url: str) -> tuple[str, str, str]:
        parts = urlsplit(normalize_web_address(url))
        return parts.netloc.lower().removeprefix("www."), parts.path.rstrip("/"), parts.query

    return comparable_parts(first) == comparable_parts(second)
