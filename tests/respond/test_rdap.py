"""Tests of RDAP look-ups against an HTTP server that imitates the registries."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import httpx
import pytest

from entrenous.base.environment import Proxy
from entrenous.base.errors import EntrenousError, ProxyUnreachable
from entrenous.respond.abuse_contacts import AbuseLookUpResult, BadRdapAnswer, ContactRole
from entrenous.respond.client.rdap import (
    NO_ADDRESS_NOTE,
    REDIRECTS_MAX,
    SERVER_LIST_BYTES_MAX,
    RdapClient,
    RdapFailed,
    open_rdap_client,
)
from entrenous.respond.rdap_services import IANA_LISTS_URL, describe_what_look_up_reveals
from tests.respond.rdap_room import DOMAIN, NETWORK, Registry, abuse, registry

pytestmark = pytest.mark.real

SITE = "maria.pictures.example"
ADDRESS = "8.8.8.8"


@pytest.fixture
def played() -> Iterator[Registry]:
    with registry() as one:
        one.lists()
        one.says("/rdap/domain/pictures.example", DOMAIN)
        one.says(f"/rdap/ip/{ADDRESS}", NETWORK)
        yield one


def look_up(played: Registry, host: str = SITE, *addresses: str) -> AbuseLookUpResult:
    with open_rdap_client(bootstrap=played.url) as client:
        return client.look_up(host, addresses)


def refused(played: Registry, why: str) -> None:
    """Check that the look-up of the name fails for this reason, and the network's does not."""
    found = look_up(played, SITE, ADDRESS)
    assert [contact.role for contact in found.contacts] == [ContactRole.HOST]
    assert why in " ".join(found.notes)
    with pytest.raises((RdapFailed, BadRdapAnswer)):
        look_up(played)


def test_registrar_and_host_are_found(played: Registry) -> None:
    host, registrar = look_up(played, SITE, ADDRESS).contacts
    assert registrar.role is ContactRole.REGISTRAR
    assert registrar.name == "Example Registrar Inc."
    assert registrar.emails == ("abuse@registrar.example",)
    assert registrar.phones == ("+1.5555551212",)
    assert (host.role, host.emails) == (ContactRole.HOST, ("abuse@host.example",))
    assert "joe.user" not in str((registrar, host))


def test_registry_never_sees_more_of_the_name_than_it_needs(played: Registry) -> None:
    look_up(played, SITE)
    assert played.asked == ["/dns.json", "/rdap/domain/pictures.example"]
    assert all("maria" not in " ".join(sent.values()) for sent in played.headers)
    assert not any({"Cookie", "Referer"} & set(sent) for sent in played.headers)


def test_public_ending_that_is_no_name_leads_to_the_next_longer_one(played: Registry) -> None:
    played.says("/rdap/domain/shop.pictures.example", DOMAIN)
    del played.answers["/rdap/domain/pictures.example"]
    assert look_up(played, "shop.pictures.example").contacts
    assert played.asked[1:] == [
        "/rdap/domain/pictures.example",
        "/rdap/domain/shop.pictures.example",
    ]


def test_without_an_address_the_host_is_not_asked_for_and_that_is_said(played: Registry) -> None:
    found = look_up(played, SITE, "127.0.0.1", "10.0.0.1", "nonsense")
    assert NO_ADDRESS_NOTE in found.notes
    assert not any("/ip/" in path for path in played.asked)


def test_address_in_place_of_a_name_asks_for_no_name(played: Registry) -> None:
    found = look_up(played, ADDRESS, ADDRESS)
    assert [contact.role for contact in found.contacts] == [ContactRole.HOST]
    assert not any("domain" in path for path in played.asked)


def test_redirect_within_the_same_server_is_followed(played: Registry) -> None:
    played.says("/rdap/domain/pictures.example", b"", 302, {"Location": "/moved"})
    played.says("/moved", DOMAIN)
    assert look_up(played).contacts


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:1/admin",
        "http://localhost/admin",
        "https://127.0.0.1/admin",
        "https://[::1]/admin",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://2130706433/",
        "https://router.local/",
        "https://intranet/",
        "http://rdap.public.example/",
        "file:///etc/passwd",
        "//127.1/",
    ],
)
def test_redirect_to_this_machine_or_network_is_refused(played: Registry, location: str) -> None:
    played.says("/rdap/domain/pictures.example", b"", 302, {"Location": location})
    refused(played, "gave no information about")


def test_redirect_to_another_port_of_this_machine_is_never_asked(played: Registry) -> None:
    with registry() as inner:
        inner.says("/secret", DOMAIN)
        where = {"Location": f"{inner.url}secret"}
        played.says("/rdap/domain/pictures.example", b"", 307, where)
        refused(played, "it points to an address that Entrenous does not contact")
        assert inner.asked == []


def test_endless_redirects_end(played: Registry) -> None:
    played.says(
        "/rdap/domain/pictures.example", b"", 302, {"Location": "/rdap/domain/pictures.example"}
    )
    refused(played, "it redirects too often")
    name = [path for path in played.asked if path.endswith("pictures.example")]
    assert len(name) == 2 * (REDIRECTS_MAX + 1)


def test_list_may_not_name_servers_without_https() -> None:
    """A forged list of IANA names a server on loopback; only a list from loopback may do so."""
    client = httpx.Client(transport=httpx.MockTransport(_forged))
    with pytest.raises(RdapFailed, match="does not contact"):
        RdapClient(client, IANA_LISTS_URL).look_up(SITE, ())


def _forged(request: httpx.Request) -> httpx.Response:
    assert request.url.host == "data.iana.org"  # anything else would be the forged server
    forged = b'{"services": [[["example"], ["http://127.0.0.1:8000/"]]]}'
    return httpx.Response(200, stream=httpx.ByteStream(forged))


def _endless(handler: BaseHTTPRequestHandler) -> None:
    for _ in range(100_000):
        handler.wfile.write(b" " * 65536)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'"text"',
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b'{"entities":' + b'[{"entities":' * 5000,
        b"\xff\xfe",
        b'{"entities": NaN}',
    ],
)
def test_answer_that_is_no_rdap_is_refused(played: Registry, body: bytes) -> None:
    played.says("/rdap/domain/pictures.example", body)
    refused(played, "was asked who runs this address")


def test_endless_answer_ends_at_the_limit(played: Registry) -> None:
    played.says("/rdap/domain/pictures.example", _endless)
    started = time.monotonic()
    refused(played, "the answer is too long")
    assert time.monotonic() - started < 60  # the whole answer has 6.5 GB


@pytest.mark.parametrize(
    "listed",
    [
        b"",
        b"[]",
        b'{"services": 7}',
        b'{"services": [[["example"]]]}',
        b'{"services": [[["example"], ["ftp://x/"]]]}',
        b'{"services": [[["example"], ["https://"]]]}',
        b'{"services": [[["example"], ["http://[::1/"]]]}',
        b'{"services": [[["other"], ["https://rdap.example/"]]]}',
        b" " * (SERVER_LIST_BYTES_MAX + 1),
    ],
)
def test_list_that_is_none_is_refused(played: Registry, listed: bytes) -> None:
    played.says("/dns.json", listed)
    with pytest.raises((RdapFailed, BadRdapAnswer)):
        look_up(played)


@pytest.mark.parametrize("status", [400, 403, 429, 500, 503])
def test_refusal_by_the_server_is_told(played: Registry, status: int) -> None:
    played.says("/rdap/domain/pictures.example", DOMAIN, status)
    refused(played, f"HTTP status {status}")


def test_server_that_is_away_is_told_with_what_to_do() -> None:
    with (
        pytest.raises(RdapFailed) as told,
        open_rdap_client(bootstrap="http://127.0.0.1:9/") as client,
    ):
        client.look_up(SITE, ())
    assert "--pasted" in str(told.value)
    assert isinstance(told.value, EntrenousError)


def test_proxy_that_is_away_is_never_bypassed(played: Registry) -> None:
    with pytest.raises(ProxyUnreachable), open_rdap_client(Proxy("127.0.0.1", 9)) as client:
        client.look_up(SITE, ())
    assert played.asked == []


def test_abuse_contact_of_a_network_may_be_its_own_entity(played: Registry) -> None:
    played.says(f"/rdap/ip/{ADDRESS}", {**NETWORK, "entities": [abuse("abuse@net.example")]})
    contact = look_up(played, ADDRESS, ADDRESS).contacts[0]
    assert contact.emails == ("abuse@net.example",)


def test_who_sees_what_is_said_for_every_way() -> None:
    plain = " ".join(describe_what_look_up_reveals(SITE, None))
    assert "data.iana.org" in plain
    assert "name server of your own network: maria.pictures.example" in plain
    tor = describe_what_look_up_reveals(SITE, Proxy("127.0.0.1", 9050))
    assert all("your network address" not in line for line in tor)
    assert not any("name server" in line or "site's network" in line for line in tor)
    typed = " ".join(describe_what_look_up_reveals(SITE, Proxy("127.0.0.1", 9050), ADDRESS))
    assert "site's network" in typed
