"""Targets for registry data about a site: RDAP answers, RDAP server lists, WHOIS text."""

import json
from typing import Final

from entrenous.base.errors import Malformed
from entrenous.base.screen_text import is_terminal_control
from entrenous.respond.abuse_contacts import (
    ABUSE_CONTACTS_MAX,
    AbuseContact,
    ContactRole,
    contacts_in_rdap,
    contacts_in_text,
)
from entrenous.respond.rdap_services import (
    RdapServices,
    parse_rdap_services,
    rdap_server_for_address,
    rdap_server_for_name,
)
from tests.fuzz.mutate import change_json
from tests.fuzz.target import Target, property_check
from tests.respond.rdap_server import DOMAIN_ANSWER, NETWORK_ANSWER

_WHOIS_TEXT: Final = (
    b"Registrar Abuse Contact Email: abuse@registrar.example\n% abuse: a@b.example\n"
)
_SERVER_LIST: Final = (
    b'{"version":"1.0","services":[[["example","8.8.8.0/24"],["https://r.example/"]]]}'
)


class _NotAServerList(Malformed):
    """This is no list of servers."""


def _read_rdap_answer(untrusted: bytes) -> tuple[AbuseContact, ...]:
    return contacts_in_rdap(untrusted, ContactRole.HOST, "registry.example")


def _read_pasted_text(untrusted: bytes) -> tuple[AbuseContact, ...]:
    return contacts_in_text(untrusted.decode(errors="replace"))


def _read_server_list(untrusted: bytes) -> RdapServices:
    services = parse_rdap_services(untrusted)
    if services is None:
        raise _NotAServerList
    return services


def _are_valid_contacts(contacts: tuple[AbuseContact, ...]) -> bool:
    texts = [one.text for one in contacts]
    are_reachable = all(one.emails or one.phones or one.web for one in contacts)
    return (
        are_reachable
        and len(contacts) <= ABUSE_CONTACTS_MAX
        and not any(is_terminal_control(char) for text in texts for char in text)
    )


def _has_valid_servers(services: RdapServices) -> bool:
    """Return whether each server is None or the address of a web server."""
    servers = (
        rdap_server_for_name("a.example", services),
        rdap_server_for_address("8.8.8.8", services),
    )
    return all(server is None or server.startswith(("https://", "http://")) for server in servers)


TARGETS: Final = (
    Target(
        "rdap-answer",
        property_check(_read_rdap_answer, _are_valid_contacts),
        lambda: [json.dumps(one).encode() for one in (DOMAIN_ANSWER, NETWORK_ANSWER)],
        change_json,
    ),
    Target(
        "rdap-pasted",
        property_check(_read_pasted_text, _are_valid_contacts),
        lambda: [_WHOIS_TEXT],
        input_bytes_max=2048,
    ),
    Target(
        "rdap-list",
        property_check(_read_server_list, _has_valid_servers),
        lambda: [_SERVER_LIST],
        change_json,
        input_bytes_max=1024,
    ),
)
