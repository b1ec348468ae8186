"""What a fetched page means for a bank (docs/spec/exchange.md section 6.4). Pure.

Records are merged by rank: a later generation, then a higher version, then withdrawn, then the
larger hashes. The highest rank that was ever seen of a key is what holds. So pages may come again
and in any order, after a kill or from a server that repeats itself, and the bank is the same.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from entrenous.model.exchange import Known, Record
from entrenous.model.ids import ClaimId
from entrenous.stop.exchange.brought import claim_name

_PROMISED: Final = b""

Rank = tuple[int, int, bool, bytes]


@dataclass(frozen=True, slots=True)
class Merged:
    """What is to be done: claims to make, with their hashes; claims to withdraw; what to keep."""

    make: Mapping[ClaimId, tuple[bytes, ...]]
    withdraw: tuple[ClaimId, ...]
    known: tuple[Known, ...]


def key_sha256(key: str) -> bytes:
    """What is kept of a record's key, which may be the hash itself: its SHA-256, 32 bytes."""
    return hashlib.sha256(key.encode()).digest()


def merge(
    source: str, generation: int, records: Iterable[Record], known: Mapping[bytes, Known]
) -> Merged:
    """What these records change, given what is known of their keys (by :func:`key_sha256`)."""
    now = dict(known)
    make = dict[ClaimId, tuple[bytes, ...]]()
    withdraw = dict[ClaimId, None]()
    for record in records:
        key = key_sha256(record.key)
        before, after = now.get(key), _known(source, generation, record)
        if before is not None and _rank(after) <= _rank(before):
            continue
        now[key] = after = _kept(before, after)
        _change(before, after, record, make, withdraw)
    return Merged(
        make, tuple(withdraw), tuple(now[key] for key in now if now[key] != known.get(key))
    )


def promised(known: Known) -> Known:
    """What is kept of a record while its claim is being registered. It ranks below the record, so
    that a page that comes again after a kill registers what is missing.
    """
    return replace(known, hashes_sha256=_PROMISED)


def _change(
    before: Known | None,
    after: Known,
    record: Record,
    make: dict[ClaimId, tuple[bytes, ...]],
    withdraw: dict[ClaimId, None],
) -> None:
    old = before.claim if before else None
    if old == after.claim and not (before and before.hashes_sha256 == _PROMISED):
        return
    if old not in (None, after.claim) and make.pop(old, None) is None:
        withdraw[old] = None
    if after.claim is not None:
        make[after.claim] = record.hashes


def _kept(before: Known | None, after: Known) -> Known:
    """The same hashes stay the same claim."""
    same = before is not None and before.hashes_sha256 == after.hashes_sha256
    if before is not None and before.claim is not None and same:
        return replace(after, claim=before.claim)
    return after


def _known(source: str, generation: int, record: Record) -> Known:
    key, hashes = key_sha256(record.key), tuple(sorted(set(record.hashes)))
    of_hashes = hashlib.sha256(b"".join(hashes)).digest()
    said = f"{generation} {record.version}".encode()
    claim = None if record.gone else claim_name(source.encode(), key, said, of_hashes)
    return Known(key, generation, record.version, of_hashes, claim)


def _rank(known: Known) -> Rank:
    return (known.generation, known.version, known.claim is None, known.hashes_sha256)
