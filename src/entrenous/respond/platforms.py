"""Platforms: find where to report a leaked picture, by a web address or by a platform's name.

The facts are in respond/facts/platforms.toml; docs/spec/platform.md defines their columns.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec.structs import asdict

from entrenous.base.errors import NotFound
from entrenous.base.language import translatable, translated
from entrenous.respond.fact_tables import BadTable, fact_cautions, read_table, shipped_table


class NoSuchPlatform(NotFound):
    """
    There is no record of a platform called {name}. Nothing was looked up. To list the platforms:
    entrenous case platform
    """


class LookUpNeedsAddress(NoSuchPlatform):
    """
    {name} is the name of a platform, and --look-up needs a web address. Nothing was looked up. To
    see what is known about this platform: entrenous case platform {name}
    """


class PlatformKind(StrEnum):
    """The kind of service that a platform offers."""

    SOCIAL = "social"
    MESSENGER = "messenger"
    SEARCH = "search"
    HOST = "host"
    ADULT = "adult"
    DATING = "dating"
    FORUM = "forum"
    CLOUD = "cloud"
    REGISTRAR = "registrar"
    GENERIC = "generic"  # stands for any site or web host without a record


PLATFORM_KIND_NAMES: Final[Mapping[PlatformKind, str]] = {
    PlatformKind.SOCIAL: translatable("a social network"),
    PlatformKind.MESSENGER: translatable("a messenger"),
    PlatformKind.SEARCH: translatable("a search engine"),
    PlatformKind.HOST: translatable("a site that stores pictures or pages for others"),
    PlatformKind.ADULT: translatable("a site with sexual pictures"),
    PlatformKind.DATING: translatable("a dating app"),
    PlatformKind.FORUM: translatable("a forum"),
    PlatformKind.CLOUD: translatable("a cloud storage"),
    PlatformKind.REGISTRAR: translatable("a company that rents out the names of sites"),
    PlatformKind.GENERIC: translatable("another site"),
}


class ChatModeration(StrEnum):
    """What a platform can do about a copy that was passed on in a chat there."""

    REACHABLE = "reachable"  # its staff can act on a report with a link
    IN_APP = "report in the app"  # only somebody who has the message can report it
    NOT_MODERATED = "not moderated"


class HashProgramme(StrEnum):
    """A hash bank that the platform takes part in."""

    STOPNCII = "stopncii"  # for pictures of adults
    TAKE_IT_DOWN = "takeitdown"  # for pictures taken of people under 18


class FormAnswerKind(StrEnum):
    """The kind of answer that one question of a report form asks for; report_steps.py has the text
    for each kind.
    """

    LINKS = "links"  # where the picture is
    ACCOUNT = "account"  # the account that showed it
    CHAT = "chat"  # in the person's own words
    DOMAIN = "domain"
    COUNTRY = "country"  # where the person lives
    WHY = "why"  # what happened, and when it was seen
    MESSAGE = "message"  # the sentences of WHY, and the links
    WHOSE = "whose"  # the person shown, and who acts for them
    KIND = "kind"  # real, or made or changed by software
    PROOF = "proof"  # proof of what happened, never the picture
    CONFIRM = "confirm"  # the person confirms this only if it is true
    CHOOSE = "choose"  # the person chooses among the form's options
    GAP = "gap"  # only the person knows the answer


@dataclass(frozen=True, slots=True)
class PlatformRecord:
    """The record of a platform. An empty string or None means that the fact was not found, or does
    not exist.

    Attributes:
        id: the key in the table, e.g. "instagram".
        hosts: host names in ASCII; their subdomains belong to it too.
        first_step: the one thing to do first.
        aliases: other names that people type.
        report_url: the form or page for intimate images, or else for any report.
        account_needed: whether a report needs an account there.
        on_behalf: whether somebody else may report for the person shown.
        asks_for: the questions of the form, in order.
        paste: the kind of answer to each of these questions.
        in_app: the path to a report inside the app or site.
        other_channel: other ways, e.g. for pictures that are not intimate.
        dsa_contact: the web or email address of its EU contact point for users.
        tida_process_url: its page for the US TAKE IT DOWN Act.
        time: how long an answer takes, according to the platform.
        receipt: the number, email or answer that comes back.
    """

    id: str
    name: str
    kind: PlatformKind
    hosts: tuple[str, ...]
    first_step: str
    source: str
    read_on: date
    verified: bool
    verified_by: str
    aliases: tuple[str, ...] = ()
    report_url: str = ""
    account_needed: bool | None = None
    on_behalf: bool | None = None
    asks_for: tuple[str, ...] = ()
    paste: tuple[FormAnswerKind, ...] = ()
    in_app: str = ""
    other_channel: str = ""
    hash_programme: tuple[HashProgramme, ...] = ()
    private_messages: ChatModeration | None = None
    dsa_contact: str = ""
    tida_process_url: str = ""
    time: str = ""
    receipt: str = ""

    def __post_init__(self) -> None:
        if len(self.paste) != len(self.asks_for):
            raise ValueError("every question of a form needs its answer in paste")

    @property
    def display_name(self) -> str:
        """The name. A generic record (any site or web host) has a name in the person's language."""
        return translated(self.name) if self.kind is PlatformKind.GENERIC else self.name

    def cautions(self, today: date) -> tuple[str, ...]:
        """Return the cautions to show with this record, e.g. that it is unverified or was read long
        ago.
        """
        return fact_cautions(self.read_on, today, verified=self.verified)


class _PlatformRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str
    kind: PlatformKind
    hosts: tuple[str, ...]
    account_needed: bool | Literal["unknown"]
    on_behalf: bool | Literal["unknown"]
    first_step: str
    source: str
    verified: bool
    verified_by: str
    read_on: date | None = None
    aliases: tuple[str, ...] = ()
    report_url: str = ""
    asks_for: tuple[str, ...] = ()
    paste: tuple[FormAnswerKind, ...] = ()
    in_app: str = ""
    other_channel: str = ""
    hash_programme: tuple[HashProgramme, ...] = ()
    private_messages: ChatModeration | None = None
    dsa_contact: str = ""
    tida_process_url: str = ""
    time: str = ""
    receipt: str = ""


class _PlatformsTable(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: Literal[1]
    read_on: date
    platform: dict[str, _PlatformRow]


@cache
def shipped_platforms() -> tuple[PlatformRecord, ...]:
    """Return every platform in this release, in the order of the table."""
    return read_platforms(shipped_table(PLATFORMS_TABLE_FILE))


def platform_by_id(id_: str) -> PlatformRecord:
    """Return the record with this id, e.g. "instagram"; raises NoSuchPlatform."""
    for record in shipped_platforms():
        if record.id == id_:
            return record
    raise NoSuchPlatform(name=id_[:60])


def find_platform(name_or_url: str) -> PlatformRecord | None:
    """Find a platform by a name as people type it, or by the host of a web address.

    A host belongs to a platform if it is one of the platform's hosts or a subdomain of one; the
    longest match wins. Returns None if nothing matches.

    >>> find_platform("https://www.instagram.com/p/1").id
    'instagram'
    >>> find_platform("Whats App").id
    'whatsapp'
    >>> find_platform("https://instagram.com.evil.example/") is None
    True
    """
    by_name, by_host = _build_indexes()
    named = by_name.get(_fold_name(name_or_url))
    if named is not None:
        return named
    return next(
        (by_host[host] for host in _parent_domains(host_of(name_or_url)) if host in by_host), None
    )


def platform_named_in_text(words: str) -> PlatformRecord | None:
    """Return the platform that a description names first, e.g. "the WhatsApp group of my class".

    Names of fewer than five letters are left out: "line" and "x" mean other things too.
    """
    by_name, _ = _build_indexes()
    spoken = [_fold_name(word) for word in re.findall(r"\w+", words[:SEARCHED_TEXT_CHARS_MAX])]
    for at in range(len(spoken)):
        for count in (3, 2, 1):  # "Only Fans" is one name
            name = "".join(spoken[at : at + count])
            if len(name) >= NAME_IN_TEXT_CHARS_MIN and name in by_name:
                return by_name[name]
    return None


def host_of(url: str) -> str:
    """Return the host that a browser would contact for a typed address, in ASCII; "" if there is
    none.

    As in the WHATWG URL standard, a backslash ends the host like a slash, and a host may have
    percent escapes and full-width letters. Addresses with a scheme other than http or https count
    as having no host.

    >>> host_of("HTTPS://me:secret@WWW.Example.org.:8443/a?b")
    'www.example.org'
    """
    typed = "".join(url[:URL_CHARS_MAX].split()).replace("\\", "/")
    scheme, colon, rest = typed.partition(":")
    if colon and scheme.lower() in ("http", "https"):
        typed = rest
    elif colon and rest.startswith("//") and _SCHEME_PATTERN.fullmatch(scheme):
        return ""
    try:
        # As in a browser, the number of slashes after the scheme does not matter.
        parts = urlsplit(f"https://{typed.lstrip('/')}")
        host = _ascii_host(unquote(parts.hostname or ""))
    except ValueError:  # UnicodeError included
        return ""
    return host if _HOST_PATTERN.fullmatch(host) else ""


def read_platforms(data: bytes) -> tuple[PlatformRecord, ...]:
    """Parse a table of platforms, in its order.

    Raises BadTable for invalid TOML, an invalid column, or a host or name of two platforms.
    """
    table = read_table(_PlatformsTable, data, PLATFORMS_TABLE_FILE)
    records = tuple(_parse_record(id_, row, table.read_on) for id_, row in table.platform.items())
    _unique_index(_hosts_of_records(records))
    _unique_index(_names_of_records(records))
    return records


PLATFORMS_TABLE_FILE: Final = "platforms.toml"
_IGNORED_IN_NAMES: Final = str.maketrans("", "", "-_'\N{RIGHT SINGLE QUOTATION MARK}")
URL_CHARS_MAX: Final = 4096
SEARCHED_TEXT_CHARS_MAX: Final = 2000
NAME_IN_TEXT_CHARS_MIN: Final = 5
HOST_CHARS_MAX: Final = 254  # RFC 1035 section 2.3.4, with a final dot
_SCHEME_PATTERN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")  # RFC 3986 section 3.1
_HOST_PATTERN: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def _parse_record(id_: str, row: _PlatformRow, read_on: date) -> PlatformRecord:
    columns: dict[str, Any] = asdict(row)
    unknown = {name: None for name in ("account_needed", "on_behalf") if columns[name] == "unknown"}
    columns |= {**unknown, "read_on": row.read_on or read_on}
    try:
        return PlatformRecord(id=id_, **columns)
    except ValueError as why:
        raise BadTable(table=PLATFORMS_TABLE_FILE, entry=f"{id_}: {why}") from None


def _ascii_host(host: str) -> str:
    """Return a host in lower-case ASCII, without a final dot; raises ValueError.

    Python's own codec maps by the older IDNA 2003, which makes another name of one with an "ß".
    """
    if len(host) > HOST_CHARS_MAX:
        raise ValueError("a host name is shorter")
    if not host.isascii():
        from idna import uts46_remap  # noqa: PLC0415 - loads large tables, and is rarely needed

        labels = uts46_remap(host, std3_rules=False).split(".")
        host = ".".join(map(_ascii_label, labels))
    return host.lower().removesuffix(".")


def _ascii_label(label: str) -> str:
    return label if label.isascii() else f"xn--{label.encode('punycode').decode()}"


def _parent_domains(host: str) -> Iterator[str]:
    """Yield a host and the domains that contain it, the longest first."""
    labels = host.split(".")
    return (".".join(labels[cut:]) for cut in range(len(labels)))


def _fold_name(name: str) -> str:
    """Return a name for comparison, without case, spaces, hyphens, underscores and apostrophes."""
    plain = unicodedata.normalize("NFKC", name[:URL_CHARS_MAX]).casefold()
    return "".join(plain.translate(_IGNORED_IN_NAMES).split())


@cache
def _build_indexes() -> tuple[Mapping[str, PlatformRecord], Mapping[str, PlatformRecord]]:
    records = shipped_platforms()
    return _unique_index(_names_of_records(records)), _unique_index(_hosts_of_records(records))


def _names_of_records(records: tuple[PlatformRecord, ...]) -> Iterator[tuple[str, PlatformRecord]]:
    for record in records:
        for name in {_fold_name(one) for one in (record.id, record.name, *record.aliases)}:
            yield name, record


def _hosts_of_records(records: tuple[PlatformRecord, ...]) -> Iterator[tuple[str, PlatformRecord]]:
    return ((host, record) for record in records for host in record.hosts)


def _unique_index(pairs: Iterator[tuple[str, PlatformRecord]]) -> Mapping[str, PlatformRecord]:
    found: dict[str, PlatformRecord] = {}
    for key, record in pairs:
        if key in found:
            raise BadTable(
                table=PLATFORMS_TABLE_FILE, entry=f"{record.id}: {key} belongs to {found[key].id}"
            )
        found[key] = record
    return MappingProxyType(found)
