"""Look up the registrar of a name and the host of a site by RDAP, only when the person asks for it.

The standards are RFC 9082 (queries), RFC 9083 (answers) and RFC 9224 (which server to ask). IANA's
lists of servers are fetched for each look-up and not shipped: they change often, and fetching one
tells IANA nothing about the site.
"""

import ipaddress
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import httpx

from entrenous.base.environment import Proxy, is_loopback
from entrenous.base.errors import Unreachable
from entrenous.base.language import translatable, translated
from entrenous.device.client.connections import (
    CONSTANT_HEADERS,
    MinimumRate,
    PerTokenTransport,
    RateCheckedTransport,
    enforce_minimum_rate,
    refusing_cookie_jar,
)
from entrenous.device.client.http_courier import proxy_route_for
from entrenous.respond.abuse_contacts import (
    RDAP_ANSWER_BYTES_MAX,
    AbuseContact,
    AbuseLookUpResult,
    BadRdapAnswer,
    ContactRole,
    contacts_in_rdap,
    sort_host_first,
)
from entrenous.respond.rdap_services import (
    IANA_LISTS_URL,
    RdapServices,
    is_ip_address,
    is_public_address,
    names_to_query,
    parse_rdap_services,
    rdap_server_for_address,
    rdap_server_for_name,
)
from entrenous.wire.text import url_leads_to_this_machine


class RdapFailed(Unreachable):
    """
    {server} was asked who runs {asked}, but gave no answer that can be used ({why}). Nothing was
    changed. Look {asked} up at https://lookup.icann.org, and paste what it shows: entrenous case
    platform URL --pasted -
    """


def look_up_site(
    host: str, address: str, proxy: Proxy | None, lists: str = IANA_LISTS_URL
) -> AbuseLookUpResult:
    """Ask the registries for the abuse contacts of a site's registrar and of its web host.

    :func:`.describe_what_look_up_reveals` says who learns what from these queries.

    ``address`` is what the person typed as the site's network address, or "". If a proxy is used,
    no name is resolved here. Raises RdapFailed, BadRdapAnswer.
    """
    typed = address or (host if is_ip_address(host) else "")
    known = (typed,) if typed else () if proxy is not None else resolve_host(host)
    with open_rdap_client(proxy, lists) as client:
        return client.look_up(host, known)


def resolve_host(host: str) -> tuple[str, ...]:
    """Return the network addresses of a host, as resolved by this machine."""
    try:
        found = socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


@contextmanager
def open_rdap_client(
    proxy: Proxy | None = None,
    bootstrap: str = IANA_LISTS_URL,
    context: ssl.SSLContext | None = None,
) -> Iterator["RdapClient"]:
    """Open a client; ``bootstrap`` is the URL of the lists of RFC 9224, with a final slash."""
    tls = context or httpx.create_ssl_context(trust_env=False)
    transport = PerTokenTransport(
        lambda url: RateCheckedTransport(tls, proxy_route_for(url, proxy))
    )
    with httpx.Client(
        transport=transport,
        timeout=RDAP_STEP_TIMEOUT_S,
        trust_env=False,
        headers={**CONSTANT_HEADERS, "Accept": "application/rdap+json, application/json"},
        cookies=refusing_cookie_jar(),
    ) as client:
        yield RdapClient(client, bootstrap)


RDAP_STEP_TIMEOUT_S: Final = 15.0  # limit for each step; a whole look-up must end within a minute
# limit for a list of servers; IANA's list of names has about 100 KB
SERVER_LIST_BYTES_MAX: Final = 2 * 1024 * 1024
REDIRECTS_MAX: Final = 3
_REDIRECT_STATUSES: Final = frozenset({301, 302, 303, 307, 308})
# A minimum for the bytes in each interval that no answer reaches. So the interval is a time limit
# for the whole look-up.
_UNREACHABLE_BYTES_MIN: Final = 1 << 50


class RdapClient:
    """Asks RDAP servers, with bounds on time, size and redirects."""

    def __init__(self, client: httpx.Client, bootstrap: str = IANA_LISTS_URL) -> None:
        self._client = client
        self._bootstrap = httpx.URL(bootstrap)
        self._local = is_loopback(self._bootstrap.host)  # the lists come from this machine

    def look_up(self, host: str, addresses: Iterable[str]) -> AbuseLookUpResult:
        """Look up the registrar of a name and the network of an address.

        Args:
            host: in ASCII. Of this name and its parent names, the shortest is queried first, e.g.
            "site.example".
            addresses: the network addresses of the host; the first public one is queried.

        Raises:
            RdapFailed, BadRdapAnswer: a query failed, and no contact was found. If several failed,
                the first error is raised.
        """
        failed: list[RdapFailed | BadRdapAnswer] = []
        contacts: list[AbuseContact] = []
        public = next(filter(is_public_address, addresses), "")
        with enforce_minimum_rate(MinimumRate(_UNREACHABLE_BYTES_MIN)):
            for ask, about in ((self._look_up_registrar, host), (self._look_up_network, public)):
                try:
                    contacts += ask(about)
                except (RdapFailed, BadRdapAnswer) as why:
                    failed.append(why)
        if failed and not contacts:
            raise failed[0]
        notes = [" ".join(str(why).split()) for why in failed]
        if not contacts and (public or names_to_query(host)):
            notes.append(translated(NO_CONTACT_NAMED_NOTE))
        if not public:
            notes.append(translated(NO_ADDRESS_NOTE))
        return AbuseLookUpResult(sort_host_first(contacts), tuple(notes))

    def _look_up_registrar(self, host: str) -> tuple[AbuseContact, ...]:
        if not names_to_query(host):
            return ()
        server = rdap_server_for_name(host, self._fetch_service_list("dns.json", host))
        if server is None:
            raise RdapFailed(server=self._bootstrap.host, asked=host, why=NO_SERVER_REASON)
        base = _parse_server_url(server, host)
        for name in names_to_query(host):
            answer = self._get(base.join(f"domain/{name}"), name, RDAP_ANSWER_BYTES_MAX)
            if answer is not None:
                return contacts_in_rdap(answer, ContactRole.REGISTRAR, base.host)
        raise RdapFailed(server=base.host, asked=host, why="it has no such name")

    def _look_up_network(self, address: str) -> tuple[AbuseContact, ...]:
        if not address:
            return ()
        listed = self._fetch_service_list("ipv6.json" if ":" in address else "ipv4.json", address)
        server = rdap_server_for_address(address, listed)
        if server is None:
            raise RdapFailed(server=self._bootstrap.host, asked=address, why=NO_SERVER_REASON)
        url = _parse_server_url(server, address).join(f"ip/{address}")
        answer = self._get(url, address, RDAP_ANSWER_BYTES_MAX)
        if answer is None:
            raise RdapFailed(server=url.host, asked=address, why="it has no such network")
        return contacts_in_rdap(answer, ContactRole.HOST, url.host)

    def _fetch_service_list(self, name: str, subject: str) -> RdapServices:
        listed = self._get(self._bootstrap.join(name), subject, SERVER_LIST_BYTES_MAX)
        if listed is None:
            raise RdapFailed(
                server=self._bootstrap.host, asked=subject, why="its list of servers is missing"
            )
        found = parse_rdap_services(listed)
        if found is None:
            raise BadRdapAnswer(server=self._bootstrap.host)
        return found

    def _get(self, url: httpx.URL, subject: str, bytes_max: int) -> bytes | None:
        """Return the body of an answer, or None if the server knows nothing about what was asked
        (404).
        """
        origin = url
        self._refuse_private(url, None, subject)
        for _ in range(REDIRECTS_MAX + 1):
            try:
                with self._client.stream("GET", url) as answer:
                    if answer.status_code == httpx.codes.NOT_FOUND:
                        return None
                    if answer.status_code == httpx.codes.OK:
                        return _read_body(answer, subject, bytes_max)
                    if answer.status_code not in _REDIRECT_STATUSES:
                        why = f"HTTP status {answer.status_code}"
                        raise RdapFailed(server=url.host, asked=subject, why=why)
                    url = _redirect_target(url, answer.headers.get("Location", ""), subject)
            except httpx.HTTPError:
                raise RdapFailed(server=url.host, asked=subject, why="no connection") from None
            self._refuse_private(url, origin, subject)
        raise RdapFailed(server=origin.host, asked=subject, why="it redirects too often")

    def _refuse_private(self, url: httpx.URL, origin: httpx.URL | None, subject: str) -> None:
        """Raise RdapFailed for plain HTTP, this machine and private networks.

        A server on this machine is allowed if the lists of servers are on this machine too, but not
        after a redirect from another server. A name that resolves to a private address is not
        refused here, but the server there has no valid certificate for the name.
        """
        if origin is not None and _origin(url) == _origin(origin):
            return
        if origin is None and self._local and is_loopback(url.host):
            return
        if (
            url.scheme != "https"
            or url_leads_to_this_machine(str(url))
            or not _may_be_public(url.host)
        ):
            why = "it points to an address that Entrenous does not contact"
            raise RdapFailed(server=(origin or url).host, asked=subject, why=why)


NO_ADDRESS_NOTE: Final = translatable(
    "The web host was not looked up, because no address of the site is known. If you know one, "
    "add: --address"
)
NO_CONTACT_NAMED_NOTE: Final = translatable(
    "The registries answered, but they name no abuse contact. Look for one at the foot of the "
    "site's own pages (contact, imprint, removal), or at https://lookup.icann.org."
)
NO_SERVER_REASON: Final = "no RDAP server is listed for it"


def _read_body(answer: httpx.Response, subject: str, bytes_max: int) -> bytes:
    data = b""
    for part in answer.iter_raw():  # the bytes as sent, without decompression
        data += part
        if len(data) > bytes_max:
            host = answer.request.url.host
            raise RdapFailed(server=host, asked=subject, why="the answer is too long")
    return data


def _parse_server_url(server: str, subject: str) -> httpx.URL:
    try:
        return httpx.URL(server)
    except httpx.InvalidURL:
        raise RdapFailed(
            server=server[:80], asked=subject, why="its address is not valid"
        ) from None


def _redirect_target(url: httpx.URL, location: str, subject: str) -> httpx.URL:
    try:
        return url.join(location)
    except httpx.InvalidURL:
        raise RdapFailed(
            server=url.host, asked=subject, why="it redirects to an invalid address"
        ) from None


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return (url.scheme, url.host, url.port)


def _may_be_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.rstrip(".").endswith((".local", ".internal", ".onion"))
