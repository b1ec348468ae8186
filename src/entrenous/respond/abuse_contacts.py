"""Find the abuse contacts of a site without a platform record, in RDAP answers and in pasted text.

RFC 9083 defines RDAP; RFC 7095 defines jCard, the format of its contact cards. Everything that this
module reads comes from strangers.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from entrenous.base.errors import Malformed, quote_for_shell
from entrenous.base.language import translatable, translated
from entrenous.base.screen_text import is_terminal_control


class BadRdapAnswer(Malformed):
    """
    {server}, which was asked who runs this address, sent an answer that is invalid or too large.
    The answer was not used. Look the address up at https://lookup.icann.org, and paste what it
    shows: entrenous case platform URL --pasted -
    """


class ContactRole(StrEnum):
    """To whom an abuse contact belongs: the web host or the registrar."""

    REGISTRAR = "registrar"  # can only take down the whole domain name
    HOST = "host"  # can take down the page
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class AbuseContact:
    """Where to report abuse: at least an email address, a telephone number or a web page."""

    role: ContactRole
    name: str = ""
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    web: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The contact as one line of plain text."""
        reached = ", ".join((*self.emails, *self.phones, *self.web))
        role, name = (
            translated(CONTACT_ROLE_NAMES[self.role]),
            f" ({self.name})" if self.name else "",
        )
        return f"{role}{name}: {reached}"


@dataclass(frozen=True, slots=True)
class AbuseLookUpResult:
    """The result of a look-up: abuse contacts, the host's first, and notes on what is missing."""

    contacts: tuple[AbuseContact, ...]
    notes: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """The result as lines of text: each contact, the notes, and what to do."""
        advice = (translated(WRITE_TO_HOST_ADVICE),) if self.contacts else ()
        return (*(contact.text for contact in self.contacts), *self.notes, *advice)


def sort_host_first(contacts: Iterable[AbuseContact]) -> tuple[AbuseContact, ...]:
    """Return the contacts sorted: those who can take down the page come before those who can only
    take down the domain name.
    """
    return tuple(sorted(contacts, key=lambda one: list(CONTACT_ROLE_NAMES).index(one.role)))


def read_contacts_in_text(untrusted_text: str) -> AbuseLookUpResult:
    """Return the contacts in a pasted answer, or a note that there are none."""
    contacts = contacts_in_text(untrusted_text)
    return AbuseLookUpResult(contacts, () if contacts else (translated(NO_ABUSE_ADDRESS_NOTE),))


def explain_how_to_find_host(typed: str) -> str:
    """Say how to find out who hosts a site that has no record."""
    site = quote_for_shell(typed)
    return translated(
        "Who hosts the site can be looked up; you are told first who will see what: "
        "entrenous case platform {site} --look-up. Or look it up yourself, for example at "
        "https://lookup.icann.org, and paste what it says: entrenous case platform {site} "
        "--pasted -"
    ).format(site=site)


NO_ABUSE_ADDRESS_NOTE: Final = translatable(
    "There is no abuse address in this text. Look for a line with the word abuse in "
    "it, or paste more of it."
)
WRITE_TO_HOST_ADVICE: Final = translatable(
    "Write to the web host first: it can take the page down. A registrar can only switch off "
    "the whole site's name. The command entrenous case platform generic_host shows what to "
    "say."
)
CONTACT_ROLE_NAMES: Final[Mapping[ContactRole, str]] = {
    ContactRole.HOST: translatable("Web host, who can take away the page"),
    ContactRole.UNKNOWN: translatable("Abuse contact"),
    ContactRole.REGISTRAR: translatable("Registrar, who can only take away the whole name"),
}


def contacts_in_rdap(
    untrusted_answer: bytes, role: ContactRole, server: str
) -> tuple[AbuseContact, ...]:
    """Return the contacts with the role "abuse" in an RDAP answer, in the order of the answer,
    without duplicates.

    Args:
        untrusted_answer: JSON.
        role: the role of the contacts: REGISTRAR for an answer about a domain name, HOST for an
            answer about a network.
        server: the name of the server, for the error message.

    Raises:
        BadRdapAnswer: the answer is not a JSON object, or is too large.
    """
    answer = _decode_json_object(untrusted_answer)
    if answer is None:
        raise BadRdapAnswer(server=server)
    found = (_parse_contact(entity, parent, role) for entity, parent in _abuse_entities(answer))
    return tuple(dict.fromkeys(one for one in found if one is not None))[:ABUSE_CONTACTS_MAX]


def contacts_in_text(untrusted_text: str) -> tuple[AbuseContact, ...]:
    """Return the abuse addresses in a pasted WHOIS or RDAP answer, the host's first, without
    duplicates.

    In RDAP, the contacts with the role "abuse" count. In any other text, an email address counts if
    its line contains "abuse". The result is empty if nothing counts.
    """
    text = untrusted_text[:PASTED_CHARS_MAX]
    answer = _decode_json_object(text.encode(errors="replace"))
    if answer is not None:
        role = _ROLE_BY_RDAP_OBJECT_CLASS.get(
            str(answer.get("objectClassName"))[:40], ContactRole.UNKNOWN
        )
        entities = _abuse_entities(answer)
        contacts = (_parse_contact(entity, parent, role) for entity, parent in entities)
        return sort_host_first(dict.fromkeys(filter(None, contacts)))[:ABUSE_CONTACTS_MAX]
    found: dict[str, AbuseContact] = {}
    for line in text.splitlines():
        for email in _EMAIL_PATTERN.findall(line[:PASTED_LINE_CHARS_MAX]):
            if "abuse" in line.casefold():
                found.setdefault(
                    email.casefold(), AbuseContact(_role_in_line(line), emails=(email,))
                )
    return sort_host_first(found.values())[:ABUSE_CONTACTS_MAX]


RDAP_ANSWER_BYTES_MAX: Final = 256 * 1024
PASTED_CHARS_MAX: Final = 256 * 1024
PASTED_LINE_CHARS_MAX: Final = 1000
ABUSE_CONTACTS_MAX: Final = 8
_ENTITY_DEPTH_MAX: Final = 6  # levels of entities inside entities; real answers have 2
_ENTITIES_MAX: Final = 500
_PROPERTY_CHARS_MAX: Final = 120  # characters of a name, an address, a number
_EMAIL_PATTERN: Final = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9_.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6}"
)
_PHONE_PATTERN: Final = re.compile(r"\+?[0-9][0-9 ().;=extEXT-]{4,40}")
_ROLE_BY_RDAP_OBJECT_CLASS: Final[Mapping[str, ContactRole]] = {
    "domain": ContactRole.REGISTRAR,
    "ip network": ContactRole.HOST,
}


def _decode_json_object(untrusted: bytes) -> dict[str, Any] | None:
    if len(untrusted) > RDAP_ANSWER_BYTES_MAX:
        return None
    try:
        answer = msgspec.json.decode(untrusted)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    return answer if isinstance(answer, dict) else None


def _abuse_entities(answer: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each entity with the role "abuse" and its parent entity, level by level."""
    level, seen = [answer], 0
    for _ in range(_ENTITY_DEPTH_MAX):
        below: list[dict[str, Any]] = []
        for parent in level:
            for entity in _only_dicts(parent.get("entities")):
                seen += 1
                if seen > _ENTITIES_MAX:
                    return
                if "abuse" in _short_texts(entity.get("roles")):
                    yield entity, parent
                below.append(entity)
        level = below


def _parse_contact(
    entity: dict[str, Any], parent: dict[str, Any], role: ContactRole
) -> AbuseContact | None:
    card = _parse_jcard(entity)
    name = next(iter((*_parse_jcard(parent).get("fn", ()), *card.get("fn", ()))), "")
    emails = tuple(one for one in card.get("email", ()) if _EMAIL_PATTERN.fullmatch(one))
    phones = (one.removeprefix("tel:") for one in card.get("tel", ()))
    web = tuple(one for one in card.get("contact-uri", ()) if one.startswith("https://"))
    found = AbuseContact(role, name, emails, tuple(filter(_PHONE_PATTERN.fullmatch, phones)), web)
    return found if found.emails or found.phones or found.web else None


def _parse_jcard(entity: dict[str, Any]) -> dict[str, list[str]]:
    """Return the texts of a jCard by property, e.g. {"email": ["abuse@host.example"]}."""
    vcard = entity.get("vcardArray")
    properties = vcard[1] if isinstance(vcard, list) and len(vcard) > 1 else None
    found: dict[str, list[str]] = {}
    for one in properties[:_ENTITIES_MAX] if isinstance(properties, list) else ():
        if isinstance(one, list) and len(one) > 3 and isinstance(one[0], str):
            found.setdefault(one[0][:_PROPERTY_CHARS_MAX].lower(), []).extend(
                _short_texts([one[3]])
            )
    return found


def _only_dicts(value: object) -> Iterator[dict[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())


def _short_texts(value: object) -> list[str]:
    """Return the short texts in a list, each as one line. Texts with control characters are left
    out.
    """
    texts = (one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
    lines = (" ".join(one.split()) for one in texts if len(one) <= _PROPERTY_CHARS_MAX)
    return [one for one in lines if one and not any(map(is_terminal_control, one))]


def _role_in_line(line: str) -> ContactRole:
    label = line.casefold()
    if "registrar" in label:
        return ContactRole.REGISTRAR
    network = ("orgabuse", "abuse-mailbox", "abuse contact for", "netabuse")
    return ContactRole.HOST if any(one in label for one in network) else ContactRole.UNKNOWN
