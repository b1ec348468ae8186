"""Add a second capture of a page, made by somebody else. Its evidence level is A3 if it has the
same content as a capture by this program (docs/spec/case.md section 8).

WACZ files come from other people, so all sizes are limited. Only one fact is taken from such a
file: which content it has for which address.
"""

import io
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

from entrenous.base.errors import Malformed
from entrenous.crypto.hashing import sha256
from entrenous.device.device import Device
from entrenous.respond.case_file import find_open_case
from entrenous.respond.evidence import read_evidence
from entrenous.respond.nouns import Case, EvidenceItem, EvidenceLevel
from entrenous.respond.open_case import store_evidence_item

UNPACKED_BYTES_MAX: Final = 256 * 1024 * 1024  # for each WARC, and for all contents together
_RECORDS_MAX: Final = 20_000
_WARCS_MAX: Final = 16
_STATUS_OK: Final = "200"
_READ_PURPOSE: Final = "to compare it with a second capture"
_PARSE_ERRORS: Final = (
    *(zipfile.BadZipFile, zlib.error, ArchiveLoadFailed, EOFError, OSError),
    *(ValueError, KeyError, IndexError, AttributeError, TypeError, NotImplementedError),
    *(RuntimeError, UnicodeError, OverflowError, MemoryError),
)


class NotAWebArchive(Malformed):
    """
    This file is not a web archive (WACZ) that Entrenous can read, or it is damaged or too large.
    Nothing was added. To add the file as ordinary evidence, leave out --captured-by.
    """


def add_second_capture(name: str, untrusted_wacz: bytes, who: str, device: Device) -> Case:
    """Store somebody else's capture. Its evidence level is A3 if it shares content with a capture
    that this device made for the case, else A1 (a file that the person added).

    Args:
        name: the case.
        untrusted_wacz: the file.
        who: who captured it, in the person's words; stored with the item.
        device: its vault stores it.

    Raises:
        NoSuchCase, NotAllAdults, CaseClosed, TooLargeToKeep, EvidenceChanged.
        NotAWebArchive: nothing was stored.
    """
    case = find_open_case(name, device)
    theirs = content_hashes_by_address(untrusted_wacz)
    own_captures = [item for item in case.evidence if item.level is EvidenceLevel.A2]
    with device.vault.transaction():
        shared = [
            (_count_addresses_with_same_content(case, one, theirs, device), one.number)
            for one in own_captures
        ]
        level, what = _level_and_description(who, *max(shared, default=(0, 0)))
        return store_evidence_item(name, untrusted_wacz, (level, what, None), device)


def _level_and_description(who: str, shared: int, number: int) -> tuple[EvidenceLevel, str]:
    by = f"a web archive by {' '.join(who.split())}"
    if not shared:
        return EvidenceLevel.A1, f"{by}; no content in it is the same as in a capture here"
    count = "1 answer is" if shared == 1 else f"{shared} answers are"
    return EvidenceLevel.A3, f"{by}; {count} the same as in item {number}"


def _count_addresses_with_same_content(
    case: Case, item: EvidenceItem, theirs: Mapping[str, set[bytes]], device: Device
) -> int:
    """Return how many addresses have the same content in an item and in the other capture."""
    ours = content_hashes_by_address(read_evidence(case.name, item.number, _READ_PURPOSE, device))
    return sum(not hashes.isdisjoint(theirs.get(url, ())) for url, hashes in ours.items())


def content_hashes_by_address(untrusted_wacz: bytes) -> Mapping[str, set[bytes]]:
    """Return the SHA-256 of each unpacked content of each address, only for answers with status 200
    and a body. An address may have been requested several times.

    Raises NotAWebArchive.
    """
    hashes = defaultdict[str, set[bytes]](set)
    try:
        for url, digest in _content_hashes(untrusted_wacz):
            hashes[url].add(digest)
    except _PARSE_ERRORS:
        raise NotAWebArchive from None
    return hashes


def _content_hashes(untrusted_wacz: bytes) -> Iterator[tuple[str, bytes]]:
    left = UNPACKED_BYTES_MAX
    records = 0
    for warc in _warc_files(untrusted_wacz):
        for record in ArchiveIterator(io.BytesIO(warc)):
            records += 1
            if records > _RECORDS_MAX:
                raise ValueError("too many records")
            if record.rec_type != "response" or record.http_headers is None:
                continue
            if record.http_headers.get_statuscode() != _STATUS_OK:
                continue
            content = record.content_stream().read(left + 1)
            left -= len(content)
            if left < 0:
                raise ValueError("too much content")
            if content:
                yield record.rec_headers.get_header("WARC-Target-URI"), sha256(content)


def _warc_files(untrusted_wacz: bytes) -> Iterator[bytes]:
    with zipfile.ZipFile(io.BytesIO(untrusted_wacz)) as container:
        names = [name for name in container.namelist() if name.startswith("archive/")]
        files = [name for name in names if not name.endswith("/")]
        for name in files[:_WARCS_MAX]:
            with container.open(name) as file:
                data = file.read(UNPACKED_BYTES_MAX + 1)
            if len(data) > UNPACKED_BYTES_MAX:
                raise ValueError("too large")
            yield data
