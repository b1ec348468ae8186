"""Targets for pages of hash exchanges and partners (docs/spec/exchange.md)."""

import json
from typing import Any, Final

from entrenous.connectors.exchange.fetch_ncmec import parse_ncmec_entry
from entrenous.connectors.exchange.fetchers import (
    parse_hash_line,
    parse_missing_content,
    parse_stopncii_record,
    parse_threatexchange_update,
)
from entrenous.connectors.exchange.untrusted_pages import (
    BadSourceRecord,
    XmlElement,
    page_list,
    parse_json_page,
    parse_records,
    read_xml,
)
from entrenous.stop.exchange_nouns import SourceRecord
from tests.fuzz.target import MALFORMED, Target, satisfies

_HASH: Final = "0123456789abcdef" * 4
_ENTRY: Final = (
    "<queryResult xmlns='urn:x'><images maxTimestamp='2026-01-01T00:00:00Z'>"
    "<image><member id='7'>m</member><timestamp>2026-01-01T00:00:00Z</timestamp><id>a</id>"
    f"<fingerprints><pdq>{_HASH}</pdq></fingerprints></image>"
    "<deletedImage><member id='7'/><timestamp>2026-01-01T00:00:00Z</timestamp><id>b</id>"
    "</deletedImage></images><paging><next>/v2/entries?start=1&amp;size=2&amp;max=3</next>"
    "</paging></queryResult>"
)
_STOPNCII: Final[dict[str, Any]] = {
    "lastModtimestamp": 5,
    "signalType": "ImagePDQ",
    "hashValue": _HASH,
    "hashStatus": "Active",
}
_UPDATE: Final[dict[str, Any]] = {
    "id": "1",
    "indicator": _HASH,
    "type": "HASH_PDQ",
    "last_updated": 5,
    "should_delete": False,
    "descriptors": {},
}

Read = tuple[tuple[SourceRecord, ...], tuple[str, ...]]


def _entries(untrusted: bytes) -> Read:
    root = read_xml(untrusted, 8192)
    images = [child for one in root.children_named("images") for child in one.children]
    return parse_records(images, parse_ncmec_entry)


def _page(untrusted: bytes, of: str) -> Read:
    found = page_list("fuzz", parse_json_page("fuzz", untrusted), of)
    first = parse_records(found, parse_stopncii_record)
    second = parse_records(found, parse_threatexchange_update)
    return first[0] + second[0], first[1] + second[1]


def _lines(untrusted: bytes) -> Read:
    return parse_records(untrusted.decode("utf-8", errors="replace").split("\n"), parse_hash_line)


def _is_well_formed(read: Read) -> bool:
    """Check hashes, keys and versions, and that the reasons for refusals are short and ASCII."""
    records, refused = read
    sound = all(
        all(len(bits) == 32 for bits in one.hashes)
        and 0 < len(one.key) <= 410
        and 0 <= one.version < 2**53
        for one in records
    )
    return sound and all(len(why) < 100 and why.isascii() for why in refused)


def _advances(number_and_gap: tuple[int, int]) -> bool:
    """Check that reading goes on or ends, from number 41 with three missing in a row."""
    number, missing = number_and_gap
    return (number > 41 and missing in (0, 4)) or (number == 41 and missing >= 1000)


def _shallow(root: XmlElement) -> bool:
    return bool(root.name) and _depth(root) <= 16


def _depth(element: XmlElement) -> int:
    return 1 + max((_depth(child) for child in element.children), default=0)


TARGETS: Final = (
    Target(
        "exchange-xml",
        satisfies(lambda data: read_xml(data, 8192), _shallow),
        lambda: [_ENTRY.encode(), b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"],
    ),
    Target("exchange-entries", satisfies(_entries, _is_well_formed), lambda: [_ENTRY.encode()]),
    Target(
        "exchange-pages",
        satisfies(lambda data: _page(data, "data"), _is_well_formed, (*MALFORMED, BadSourceRecord)),
        lambda: [json.dumps({"data": [one, 7]}).encode() for one in (_STOPNCII, _UPDATE)],
    ),
    Target(
        "exchange-lines",
        satisfies(_lines, _is_well_formed),
        lambda: [f"hash\n{_HASH},1\npdq {_HASH}\n".encode()],
    ),
    Target(
        "exchange-missing",
        satisfies(lambda data: parse_missing_content(data).next_number_and_gap(41, 3), _advances),
        lambda: [b'{"message": "no", "next": 77}', b'{"next": null}', b'{"message": "no"}'],
    ),
)
