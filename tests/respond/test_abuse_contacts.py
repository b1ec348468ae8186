"""Tests of finding abuse contacts in pasted text and RDAP answers, and of finding RDAP servers."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.respond.abuse_contacts import (
    ABUSE_CONTACTS_MAX,
    AbuseContact,
    BadRdapAnswer,
    ContactRole,
    contacts_in_rdap,
    contacts_in_text,
)
from entrenous.respond.rdap_services import (
    names_to_query,
    rdap_server_for_address,
    rdap_server_for_name,
)
from tests.respond.rdap_server import DOMAIN_ANSWER, NETWORK_ANSWER, abuse_entity, jcard

WHOIS_ANSWER = """\
Domain Name: PICTURES.EXAMPLE
Registrar: Example Registrar Inc.
Registrar Abuse Contact Email: abuse@registrar.example
Registrar Abuse Contact Phone: +1.5555551212
Registrant Email: joe.user@pictures.example
Tech Email: admin@pictures.example
>>> Last update of WHOIS database: 2026-11-30T00:00:00Z <<<
"""
ARIN_ANSWER = (
    "OrgAbuseHandle: X\nOrgAbuseEmail:  abuse@host.example\nOrgTechEmail: noc@host.example\n"
)
RIPE_ANSWER = (
    "% Abuse contact for '193.0.0.0 - 193.0.7.255' is 'abuse@ripe.example'\n"
    "abuse-mailbox: abuse@RIPE.example\n"
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["entities", "roles", "vcardArray", "objectClassName", "x"]),
            inner | st.just(["abuse"]) | st.just("abuse"),
            max_size=4,
        )
    ),
    max_leaves=40,
)


def emails_with_roles(text: str) -> list[tuple[ContactRole, str]]:
    return [(one.role, email) for one in contacts_in_text(text) for email in one.emails]


def test_only_the_registrars_abuse_address_is_found_in_whois() -> None:
    assert emails_with_roles(WHOIS_ANSWER) == [(ContactRole.REGISTRAR, "abuse@registrar.example")]


def test_host_is_found_in_the_answers_of_network_registries() -> None:
    assert emails_with_roles(ARIN_ANSWER) == [(ContactRole.HOST, "abuse@host.example")]
    assert emails_with_roles(RIPE_ANSWER) == [(ContactRole.HOST, "abuse@ripe.example")]


@pytest.mark.parametrize(
    ("answer", "contact"),
    [
        (DOMAIN_ANSWER, (ContactRole.REGISTRAR, "abuse@registrar.example")),
        (NETWORK_ANSWER, (ContactRole.HOST, "abuse@host.example")),
    ],
)
def test_pasted_rdap_answer_is_recognized(answer: Any, contact: tuple[ContactRole, str]) -> None:
    assert emails_with_roles(json.dumps(answer, indent=2)) == [contact]


def test_repeated_contact_is_returned_once_and_the_number_of_contacts_is_limited() -> None:
    twice = {**NETWORK_ANSWER, "entities": NETWORK_ANSWER["entities"] * 2}  # type: ignore[operator]
    assert len(contacts_in_text(json.dumps(twice))) == 1
    assert len(contacts_in_text(ARIN_ANSWER * 50)) == 1
    many = "".join(f"abuse: abuse@host{number}.example\n" for number in range(100))
    assert len(contacts_in_text(many)) == ABUSE_CONTACTS_MAX


@pytest.mark.parametrize(
    "email",
    [
        "abuse@host.example\x1b[2J",
        "abuse@host.example\nnext: pay here",
        "abuse@host.example, evil@x.example",
        "mailto:abuse@host.example",
        "abuse@localhost",
        "a" * 200 + "@host.example",
        "",
    ],
)
def test_invalid_address_is_left_out(email: str) -> None:
    answer = {"entities": [abuse_entity(email, "no number")]}
    assert contacts_in_rdap(json.dumps(answer).encode(), ContactRole.HOST, "x") == ()


def test_name_with_control_characters_is_left_out() -> None:
    evil = {
        "roles": ["registrar"],
        "vcardArray": jcard("\x1b[31mBank"),
        "entities": [abuse_entity()],
    }
    found = contacts_in_rdap(json.dumps({"entities": [evil]}).encode(), ContactRole.HOST, "x")
    assert found[0].name == ""


@given(json_values)
def test_any_json_is_read_or_refused(value: Any) -> None:
    raw = json.dumps(value).encode()
    try:
        found = contacts_in_rdap(raw, ContactRole.HOST, "x")
    except BadRdapAnswer:
        assert not isinstance(value, dict)
        return
    assert all(one.emails or one.phones or one.web for one in found)


@given(st.text(max_size=400) | st.text("abuse@.:- \n'x", max_size=200))
def test_any_text_gives_only_addresses_that_are_in_it_and_none_without_abuse(text: str) -> None:
    for _, email in emails_with_roles(text):
        assert email in text
        assert "abuse" in text.casefold()


def test_long_hostile_text_gives_few_contacts() -> None:
    for text in ("a@" * 200_000, "a." * 200_000 + "@", "abuse " * 50_000, "x@" + "y." * 100_000):
        assert len(contacts_in_text(text)) <= ABUSE_CONTACTS_MAX


def test_text_of_a_web_host_says_what_the_host_can_do() -> None:
    contact = AbuseContact(ContactRole.HOST, "Example Hosting", ("abuse@host.example",))
    assert contact.text == (
        "Web host, who can take away the page (Example Hosting): abuse@host.example"
    )


RDAP_SERVICES = (
    (("example", "co.example"), ("http://old.example/", "https://rdap.example/")),
    (("CO.UK",), ("https://uk.example/",)),
    (("8.0.0.0/8",), ("https://big.example/",)),
    (("8.8.8.0/24", "2600::/12"), ("https://small.example/",)),
)


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("a.b.example", "https://rdap.example/"),
        ("x.co.uk", "https://uk.example/"),
        ("x.uk", None),
        ("example.com", None),
    ],
)
def test_server_of_the_longest_listed_suffix_is_chosen(name: str, server: str | None) -> None:
    assert rdap_server_for_name(name, RDAP_SERVICES) == server


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("8.8.8.8", "https://small.example/"),
        ("8.9.9.9", "https://big.example/"),
        ("2600::1", "https://small.example/"),
        ("9.9.9.9", None),
    ],
)
def test_server_of_the_longest_listed_prefix_is_chosen(address: str, server: str | None) -> None:
    assert rdap_server_for_address(address, RDAP_SERVICES) == server


def test_shortest_name_is_queried_first_and_an_ip_address_has_no_names() -> None:
    assert names_to_query("maria.shop.site.example") == (
        "site.example",
        "shop.site.example",
        "maria.shop.site.example",
    )
    assert names_to_query("8.8.8.8") == names_to_query("::1") == ()
