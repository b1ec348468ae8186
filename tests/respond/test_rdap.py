"""Tests of RDAP look-ups with an HTTP server that stands in for IANA and registries."""

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
    NO_CONTACT_NAMED_NOTE,
    REDIRECTS_MAX,
    SERVER_LIST_BYTES_MAX,
    RdapClient,
    RdapFailed,
    open_rdap_client,
)
from entrenous.respond.rdap_services import IANA_LISTS_URL, describe_what_look_up_reveals
from tests.respond.rdap_server import (
    DOMAIN_ANSWER,
    NETWORK_ANSWER,
    RdapServer,
    abuse_entity,
    run_rdap_server,
)

pytestmark = pytest.mark.real

SITE_HOST = "maria.pictures.example"
IP_ADDRESS = "8.8.8.8"


@pytest.fixture
def server() -> Iterator[RdapServer]:
    with run_rdap_server() as rdap_server:
        rdap_server.set_server_lists()
        rdap_server.set_answer("/rdap/domain/pictures.example", DOMAIN_ANSWER)
        rdap_server.set_answer(f"/rdap/ip/{IP_ADDRESS}", NETWORK_ANSWER)
        yield rdap_server


def look_up(server: RdapServer, host: str = SITE_HOST, *addresses: str) -> AbuseLookUpResult:
    with open_rdap_client(bootstrap=server.url) as client:
        return client.look_up(host, addresses)


def assert_name_look_up_fails(server: RdapServer, why: str) -> None:
    """Check that looking up the name fails with ``why``, and that looking up the address works."""
    found = look_up(server, SITE_HOST, IP_ADDRESS)
    assert [contact.role for contact in found.contacts] == [ContactRole.HOST]
    assert why in " ".join(found.notes)
    with pytest.raises((RdapFailed, BadRdapAnswer)):
        look_up(server)


def test_registrar_and_host_are_found(server: RdapServer) -> None:
    host, registrar = look_up(server, SITE_HOST, IP_ADDRESS).contacts
    assert registrar.role is ContactRole.REGISTRAR
    assert registrar.name == "Example Registrar Inc."
    assert registrar.emails == ("abuse@registrar.example",)
    assert registrar.phones == ("+1.5555551212",)
    assert (host.role, host.emails) == (ContactRole.HOST, ("abuse@host.example",))
    assert "joe.user" not in str((registrar, host))


def test_registry_never_sees_more_of_the_name_than_it_needs(server: RdapServer) -> None:
    look_up(server, SITE_HOST)
    assert server.requested_paths == ["/dns.json", "/rdap/domain/pictures.example"]
    assert all("maria" not in " ".join(sent.values()) for sent in server.request_headers)
    assert not any({"Cookie", "Referer"} & set(sent) for sent in server.request_headers)


def test_name_without_a_record_leads_to_the_next_longer_name(server: RdapServer) -> None:
    server.set_answer("/rdap/domain/shop.pictures.example", DOMAIN_ANSWER)
    del server.answers["/rdap/domain/pictures.example"]
    assert look_up(server, "shop.pictures.example").contacts
    assert server.requested_paths[1:] == [
        "/rdap/domain/pictures.example",
        "/rdap/domain/shop.pictures.example",
    ]


def test_without_a_public_address_the_host_is_not_looked_up(server: RdapServer) -> None:
    found = look_up(server, SITE_HOST, "127.0.0.1", "10.0.0.1", "nonsense")
    assert NO_ADDRESS_NOTE in found.notes
    assert not any("/ip/" in path for path in server.requested_paths)


def test_answers_without_an_abuse_contact_are_reported(server: RdapServer) -> None:
    server.set_answer("/rdap/domain/pictures.example", {"objectClassName": "domain"})
    server.set_answer(f"/rdap/ip/{IP_ADDRESS}", {"objectClassName": "ip network", "entities": []})
    found = look_up(server, SITE_HOST, IP_ADDRESS)
    assert found == AbuseLookUpResult((), (NO_CONTACT_NAMED_NOTE,))
    assert NO_CONTACT_NAMED_NOTE not in look_up(server, "192.168.1.1", "192.168.1.1").notes
    server.set_answer("/rdap/domain/pictures.example", DOMAIN_ANSWER)
    assert look_up(server, SITE_HOST, IP_ADDRESS).notes == ()


def test_address_instead_of_a_name_looks_up_no_name(server: RdapServer) -> None:
    found = look_up(server, IP_ADDRESS, IP_ADDRESS)
    assert [contact.role for contact in found.contacts] == [ContactRole.HOST]
    assert not any("domain" in path for path in server.requested_paths)


def test_redirect_within_the_same_server_is_followed(server: RdapServer) -> None:
    server.set_answer("/rdap/domain/pictures.example", b"", 302, {"Location": "/moved"})
    server.set_answer("/moved", DOMAIN_ANSWER)
    assert look_up(server).contacts


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
def test_redirect_without_https_or_into_the_local_network_is_refused(
    server: RdapServer, location: str
) -> None:
    server.set_answer("/rdap/domain/pictures.example", b"", 302, {"Location": location})
    assert_name_look_up_fails(server, "gave no answer")


def test_redirect_to_another_port_of_this_machine_is_not_followed(server: RdapServer) -> None:
    with run_rdap_server() as inner:
        inner.set_answer("/secret", DOMAIN_ANSWER)
        where = {"Location": f"{inner.url}secret"}
        server.set_answer("/rdap/domain/pictures.example", b"", 307, where)
        assert_name_look_up_fails(server, "it points to an address that Entrenous does not contact")
        assert inner.requested_paths == []


def test_endless_redirects_end_in_an_error(server: RdapServer) -> None:
    server.set_answer(
        "/rdap/domain/pictures.example", b"", 302, {"Location": "/rdap/domain/pictures.example"}
    )
    assert_name_look_up_fails(server, "it redirects too often")
    name = [path for path in server.requested_paths if path.endswith("pictures.example")]
    assert len(name) == 2 * (REDIRECTS_MAX + 1)


def test_server_list_may_not_name_servers_without_https() -> None:
    """The list names an http server on loopback, which only a list from loopback may do."""
    client = httpx.Client(transport=httpx.MockTransport(_answer_with_forged_list))
    with pytest.raises(RdapFailed, match="does not contact"):
        RdapClient(client, IANA_LISTS_URL).look_up(SITE_HOST, ())


def _answer_with_forged_list(request: httpx.Request) -> httpx.Response:
    assert request.url.host == "data.iana.org"  # the client must not contact 127.0.0.1
    forged = b'{"services": [[["example"], ["http://127.0.0.1:8000/"]]]}'
    return httpx.Response(200, stream=httpx.ByteStream(forged))


def _send_endless_answer(handler: BaseHTTPRequestHandler) -> None:
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
def test_invalid_rdap_answer_is_refused(server: RdapServer, body: bytes) -> None:
    server.set_answer("/rdap/domain/pictures.example", body)
    assert_name_look_up_fails(server, "was asked who runs this address")


def test_endless_answer_ends_at_the_limit(server: RdapServer) -> None:
    server.set_answer("/rdap/domain/pictures.example", _send_endless_answer)
    started = time.monotonic()
    assert_name_look_up_fails(server, "the answer is too long")
    assert time.monotonic() - started < 60  # the whole answer would be 6.5 GB long


@pytest.mark.parametrize(
    "server_list",
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
def test_invalid_server_list_and_one_without_the_name_are_refused(
    server: RdapServer, server_list: bytes
) -> None:
    server.set_answer("/dns.json", server_list)
    with pytest.raises((RdapFailed, BadRdapAnswer)):
        look_up(server)


def test_server_address_without_a_scheme_is_skipped(server: RdapServer) -> None:
    services = [[["example"], ["  //x/", f"{server.url}rdap/"]]]
    server.set_answer("/dns.json", {"services": services})
    assert look_up(server).contacts


@pytest.mark.parametrize("status", [400, 403, 429, 500, 503])
def test_http_error_status_is_reported(server: RdapServer, status: int) -> None:
    server.set_answer("/rdap/domain/pictures.example", DOMAIN_ANSWER, status)
    assert_name_look_up_fails(server, f"HTTP status {status}")


def test_error_for_an_unreachable_server_suggests_pasting() -> None:
    with (
        pytest.raises(RdapFailed) as raised,
        open_rdap_client(bootstrap="http://127.0.0.1:9/") as client,
    ):
        client.look_up(SITE_HOST, ())
    assert "--pasted" in str(raised.value)
    assert isinstance(raised.value, EntrenousError)


def test_unreachable_proxy_is_never_bypassed(server: RdapServer) -> None:
    with pytest.raises(ProxyUnreachable), open_rdap_client(Proxy("127.0.0.1", 9)) as client:
        client.look_up(SITE_HOST, ())
    assert server.requested_paths == []


def test_abuse_contact_of_a_network_may_be_its_own_entity(server: RdapServer) -> None:
    server.set_answer(
        f"/rdap/ip/{IP_ADDRESS}",
        {**NETWORK_ANSWER, "entities": [abuse_entity("abuse@net.example")]},
    )
    contact = look_up(server, IP_ADDRESS, IP_ADDRESS).contacts[0]
    assert contact.emails == ("abuse@net.example",)


def test_description_says_who_sees_what_with_and_without_a_proxy() -> None:
    plain = " ".join(describe_what_look_up_reveals(SITE_HOST, None))
    assert "data.iana.org" in plain
    assert "name server of your own network: maria.pictures.example" in plain
    tor = describe_what_look_up_reveals(SITE_HOST, Proxy("127.0.0.1", 9050))
    assert all("your network address" not in line for line in tor)
    assert not any("name server" in line or "site's network" in line for line in tor)
    with_address = " ".join(
        describe_what_look_up_reveals(SITE_HOST, Proxy("127.0.0.1", 9050), IP_ADDRESS)
    )
    assert "site's network" in with_address
