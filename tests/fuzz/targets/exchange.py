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
from tests.fuzz.target import MALFORMED, Target, property_check

_HASH: Final = "0123456789abcdef" * 4
_NCMEC_XML: Final = (
    "<queryResult xmlns='urn:x'><images maxTimestamp='2026-01-01T00:00:00Z'>"
    "<image><member id='7'>m</member><timestamp>2026-01-01T00:00:00Z</timestamp><id>a</id>"
    f"<fingerprints><pdq>{_HASH}</pdq></fingerprints></image>"
    "<deletedImage><member id='7'/><timestamp>2026-01-01T00:00:00Z</timestamp><id>b</id>"
    "</deletedImage></images><paging><next>/v2/entries?start=1&amp;size=2&amp;max=3</next>"
    "</paging></queryResult>"
)
_STOPNCII_RECORD: Final[dict[str, Any]] = {
    "lastModtimestamp": 5,
    "signalType": "ImagePDQ",
    "hashValue": _HASH,
    "hashStatus": "Active",
}
_THREATEXCHANGE_UPDATE: Final[dict[str, Any]] = {
    "id": "1",
    "indicator": _HASH,
    "type": "HASH_PDQ",
    "last_updated": 5,
    "should_delete": False,
    "descriptors": {},
}

RecordsAndRefusals = tuple[tuple[SourceRecord, ...], tuple[str, ...]]


def _read_ncmec_entries(untrusted: bytes) -> RecordsAndRefusals:
    root = read_xml(untrusted, 8192)
    images = [child for one in root.children_named("images") for child in one.children]
    return parse_records(images, parse_ncmec_entry)


def _read_page(untrusted: bytes, list_name: str) -> RecordsAndRefusals:
    found = page_list("fuzz", parse_json_page("fuzz", untrusted), list_name)
    first = parse_records(found, parse_stopncii_record)
    second = parse_records(found, parse_threatexchange_update)
    return first[0] + second[0], first[1] + second[1]


def _read_hash_lines(untrusted: bytes) -> RecordsAndRefusals:
    return parse_records(untrusted.decode("utf-8", errors="replace").split("\n"), parse_hash_line)


def _is_well_formed(result: RecordsAndRefusals) -> bool:
    """Return whether all records are valid, and all reasons for refusals are short and ASCII."""
    records, refused = result
    are_records_valid = all(
        all(len(bits) == 32 for bits in one.hashes)
        and 0 < len(one.key) <= 410
        and 0 <= one.version < 2**53
        for one in records
    )
    return are_records_valid and all(len(why) < 100 and why.isascii() for why in refused)


def _advances_or_ends(number_and_gap: tuple[int, int]) -> bool:
    """Return whether the next number is above 41, or the end is reached at 41.

    The reader is at number 41, and three numbers before 41 were missing. The gap becomes 4 if the
    answer has no usable hint, and 0 if the answer names the next number.
    """
    number, missing = number_and_gap
    return (number > 41 and missing in (0, 4)) or (number == 41 and missing >= 1000)


def _is_shallow(root: XmlElement) -> bool:
    return bool(root.name) and _depth(root) <= 16


def _depth(element: XmlElement) -> int:
    return 1 + max((_depth(child) for child in element.children), default=0)


TARGETS: Final = (
    Target(
        "exchange-xml",
        property_check(lambda data: read_xml(data, 8192), _is_shallow),
        lambda: [_NCMEC_XML.encode(), b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"],
    ),
    Target(
        "exchange-entries",
        property_check(_read_ncmec_entries, _is_well_formed),
        lambda: [_NCMEC_XML.encode()],
    ),
    Target(
        "exchange-pages",
        property_check(
            lambda data: _read_page(data, "data"), _is_well_formed, (*MALFORMED, BadSourceRecord)
        ),
        lambda: [
            json.dumps({"data": [one, 7]}).encode()
            for one in (_STOPNCII_RECORD, _THREATEXCHANGE_UPDATE)
        ],
    ),
    Target(
        "exchange-lines",
        property_check(_read_hash_lines, _is_well_formed),
        lambda: [f"hash\n{_HASH},1\npdq {_HASH}\n".encode()],
    ),
    Target(
        "exchange-missing",
        property_check(
            lambda data: parse_missing_content(data).next_number_and_gap(41, 3), _advances_or_ends
        ),
        lambda: [b'{"message": "no", "next": 77}', b'{"next": null}', b'{"message": "no"}'],
    ),
)
