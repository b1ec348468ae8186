"""Make the fingerprints of a case's pictures, and decide whether a picture found on the web matches
one.

Fingerprints are made once for each item and stored in the vault; a found picture is decoded in a
sandbox, compared, and discarded.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from entrenous.base.errors import EntrenousError
from entrenous.base.limits import PDQ_QUALITY_MIN, PDQ_RADIUS_BITS
from entrenous.base.picture import DecoderDidNotStart, NotAPicture, Picture
from entrenous.device.device import Device
from entrenous.device.vault_tables import Table
from entrenous.fingerprint.borders import pictures_inside_frames
from entrenous.fingerprint.nouns import Fingerprint
from entrenous.fingerprint.pdq import (
    UNCHANGED_ORIENTATION_NAME,
    Pixels,
    orientation_fingerprints_of_pixels,
    pixels_on_white,
)
from entrenous.fingerprint.picture_record import read_picture_record
from entrenous.media.file_kind import picture_format_of
from entrenous.respond.custody import ChainBroken
from entrenous.respond.evidence import EvidenceChanged, read_evidence, read_verified_bytes
from entrenous.respond.nouns import Case, EvidenceItem
from entrenous.respond.watch.records import CASE_HASHES_TABLE

WATCH_READ_PURPOSE: Final = "to compare it with watched pages"


@dataclass(frozen=True, slots=True)
class CaseHashes:
    """PDQ hashes of a case's pictures (32 bytes each). ``items`` are the numbers of the items that
    were hashed.
    """

    hashes: tuple[bytes, ...] = ()
    items: tuple[int, ...] = ()


_TYPED_CASE_HASHES_TABLE: Final = Table(CASE_HASHES_TABLE, CaseHashes)


def hash_case_pictures(case: Case, device: Device) -> CaseHashes:
    """Return the fingerprints of every picture stored in a case, and of the pictures in the message
    to which its trace led.

    Reading an item for the first time is recorded in the chain of custody. Items that are not
    pictures, or have too little detail, have no fingerprint. Items that were changed or are missing
    are left out, and tried again by the next call.

    Raises DecoderDidNotStart; the next call tries the item again.
    """
    known = _TYPED_CASE_HASHES_TABLE.load(case.name, device.vault) or CaseHashes()
    updated = _with_hashes(known, _traced_picture_hashes(case, device))
    try:
        for item in case.evidence:
            found = None if item.number in known.items else _item_hashes(case, item, device)
            if found is not None:
                updated = _with_hashes(updated, found, item.number)
    finally:  # also after an error, so that no item is read twice
        if updated != known:
            _TYPED_CASE_HASHES_TABLE.store(updated, case.name, device.vault)
    return updated


def _with_hashes(known: CaseHashes, found: Iterable[bytes], *items: int) -> CaseHashes:
    return CaseHashes(tuple(dict.fromkeys((*known.hashes, *found))), (*known.items, *items))


def _traced_picture_hashes(case: Case, device: Device) -> Iterator[bytes]:
    """Yield the hashes of the pictures in the message that the trace found."""
    if case.trace is None or case.trace.message is None:
        return
    try:
        message = device.ledger.message_named(case.trace.message)
    except EntrenousError:
        return  # the message was sent from another device, or was deleted
    for index in range(len(message.pictures)):
        stored = device.ledger.picture_record(message.id, index)
        record = None if stored is None else read_picture_record(stored)
        if record is not None and any(record.bits):
            yield record.bits


def _item_hashes(case: Case, item: EvidenceItem, device: Device) -> tuple[bytes, ...] | None:
    """Return the hashes of an item, and record that it was read; None if it is not as it was
    stored, or if the reading cannot be recorded. Raises DecoderDidNotStart.
    """
    try:
        data = read_verified_bytes(case, item, device)
        if not has_picture_format(data):
            return ()
        hashes = _hashes_of_picture(data, device.read_picture)
        read_evidence(case.name, item.number, WATCH_READ_PURPOSE, device)
    except (EvidenceChanged, ChainBroken):  # the check of the case reports both
        return None
    return hashes


def _hashes_of_picture(data: bytes, read: Callable[[bytes], Picture]) -> tuple[bytes, ...]:
    """Return the hashes of a picture with enough detail; none if it cannot be decoded. Raises
    DecoderDidNotStart.
    """
    picture = _read_unless_damaged(data, read)
    views = () if picture is None else _hashes_with_and_without_borders(picture)
    unchanged = (orientations[UNCHANGED_ORIENTATION_NAME] for orientations in views)
    return tuple(view.bits for view in unchanged if view.quality >= PDQ_QUALITY_MIN)


def _read_unless_damaged(data: bytes, read: Callable[[bytes], Picture]) -> Picture | None:
    """Return the decoded picture; None if the file is damaged. Raises DecoderDidNotStart, which
    says nothing about the file.
    """
    try:
        return read(data)
    except DecoderDidNotStart:
        raise
    except EntrenousError:
        return None


def has_picture_format(untrusted_data: bytes) -> bool:
    """Return whether the first bytes are those of a supported picture format."""
    try:
        picture_format_of(untrusted_data)
    except NotAPicture:
        return False
    return True


def shows_case_picture(
    untrusted_data: bytes, references: CaseHashes, read: Callable[[bytes], Picture]
) -> bool:
    """Return whether these bytes are a picture that looks like one in the case, in any orientation.

    ``read`` decodes in a sandbox. Bytes that are not a complete picture match nothing. Raises
    DecoderDidNotStart.
    """
    if not references.hashes or not has_picture_format(untrusted_data):
        return False
    picture = _read_unless_damaged(untrusted_data, read)
    return picture is not None and any(
        _matches_case_hash(view, references)
        for orientations in _hashes_with_and_without_borders(picture)
        for view in orientations.values()
    )


HashesByOrientation = dict[str, Fingerprint]


def _hashes_with_and_without_borders(picture: Picture) -> Iterator[HashesByOrientation]:
    """Yield the hashes of a picture in eight orientations, then those of the area inside each plain
    border.
    """
    pixels: Pixels = pixels_on_white(picture)
    yield dict(orientation_fingerprints_of_pixels(pixels, picture.original_size, picture.shrunk_by))
    for inner in pictures_inside_frames(pixels):
        yield dict(orientation_fingerprints_of_pixels(inner))


def _matches_case_hash(view: Fingerprint, references: CaseHashes) -> bool:
    if view.quality < PDQ_QUALITY_MIN:
        return False
    bits = int.from_bytes(view.bits, "big")
    return any(
        (bits ^ int.from_bytes(known, "big")).bit_count() <= PDQ_RADIUS_BITS
        for known in references.hashes
    )
