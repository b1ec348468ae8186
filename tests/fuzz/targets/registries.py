"""Targets for what registries say about a site: RDAP answers, RDAP server lists, WHOIS text."""

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
from tests.fuzz.target import Target, satisfies
from tests.respond.rdap_room import DOMAIN_ANSWER, NETWORK_ANSWER

_WHOIS: Final = b"Registrar Abuse Contact Email: abuse@registrar.example\n% abuse: a@b.example\n"
_LIST: Final = b'{"version":"1.0","services":[[["example","8.8.8.0/24"],["https://r.example/"]]]}'


class _NoList(Malformed):
    """This is no list of servers."""


def _answer(untrusted: bytes) -> tuple[AbuseContact, ...]:
    return contacts_in_rdap(untrusted, ContactRole.HOST, "registry.example")


def _pasted(untrusted: bytes) -> tuple[AbuseContact, ...]:
    return contacts_in_text(untrusted.decode(errors="replace"))


def _list(untrusted: bytes) -> RdapServices:
    services = parse_rdap_services(untrusted)
    if services is None:
        raise _NoList
    return services


def _can_be_shown(found: tuple[AbuseContact, ...]) -> bool:
    texts = [one.text for one in found]
    reached = all(one.emails or one.phones or one.web for one in found)
    return (
        reached
        and len(found) <= ABUSE_CONTACTS_MAX
        and not any(is_terminal_control(char) for text in texts for char in text)
    )


def _names_servers(services: RdapServices) -> bool:
    """Check that the server for a site is always a URL or None."""
    servers = (
        rdap_server_for_name("a.example", services),
        rdap_server_for_address("8.8.8.8", services),
    )
    return all(server is None or "://" in server or server.startswith("//") for server in servers)


TARGETS: Final = (
    Target(
        "rdap-answer",
        satisfies(_answer, _can_be_shown),
        lambda: [json.dumps(one).encode() for one in (DOMAIN_ANSWER, NETWORK_ANSWER)],
        change_json,
    ),
    Target("rdap-pasted", satisfies(_pasted, _can_be_shown), lambda: [_WHOIS], longest=2048),
    Target(
        "rdap-list", satisfies(_list, _names_servers), lambda: [_LIST], change_json, longest=1024
    ),
)
