"""The custody chain of a case: an append-only hash chain, and its verification.

Each link of the chain records who handled which item, when, and why (docs/spec/case.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Final

from entrenous.base.errors import BadRecord, Unproven
from entrenous.base.identifiers import CaseName
from entrenous.crypto.hashing import sha256
from entrenous.device.device import Device
from entrenous.device.vault_tables import pack, unpack
from entrenous.respond.nouns import SHA256_BYTES, Case, EvidenceItem, NoSuchCase
from entrenous.wire.encodings import canonical_json, write_time


class CustodyAct(StrEnum):
    """What was done to a case file or one of its items."""

    OPENED = "opened the case"
    STORED = "stored an item"
    READ = "read an item"
    EXPORTED = "exported an item"
    PACKED = "made a pack"
    STAMPED = "stamped the evidence"
    CHANGED = "changed the case file"


@dataclass(frozen=True, slots=True)
class CustodyLink:
    """One link of the chain; docs/spec/case.md section 2.

    ``before`` and ``after`` are the SHA-256 of the case file before and after the act. ``previous``
    is the previous link's hash, and ``hash`` is this link's hash. In the first link, ``before`` and
    ``previous`` are zeros. ``item`` and ``item_sha256`` are None unless the act concerned one item.
    """

    number: int
    at: datetime
    actor: str
    act: CustodyAct
    purpose: str
    before: bytes
    after: bytes
    previous: bytes
    hash: bytes
    item: int | None = None
    item_sha256: bytes | None = None


class ChainBroken(Unproven):
    """
    The record of who handled case {name} is not valid from entry {number} on: {why}. Somebody
    changed it, or it is damaged, so from there on it proves nothing. Change nothing in this case.
    Copy the device's folder, and show the copy to somebody you trust.
    """


CASES_TABLE: Final = "cases"  # the vault's table; keys are case names
CUSTODY_LINKS_TABLE: Final = "custody"
ERASED_CASES_TABLE: Final = "erased-case"
_SCHEMA: Final = "entrenous/custody/1"
ZERO_HASH: Final = bytes(SHA256_BYTES)


def next_custody_link(
    last: CustodyLink | None,
    at: datetime,
    act: tuple[str, CustodyAct, str],
    after: bytes,
    item: EvidenceItem | None = None,
) -> CustodyLink:
    """Return the next link. ``act`` says who did what and why; ``after`` is the case file's new
    SHA-256.
    """
    actor, what, purpose = act
    unsigned = CustodyLink(
        number=last.number + 1 if last else 0,
        at=at,
        actor=actor,
        act=what,
        purpose=purpose,
        before=last.after if last else ZERO_HASH,
        after=after,
        previous=last.hash if last else ZERO_HASH,
        hash=ZERO_HASH,
        item=item.number if item else None,
        item_sha256=item.sha256 if item else None,
    )
    return replace(unsigned, hash=link_hash(unsigned))


def link_hash(link: CustodyLink) -> bytes:
    """Return the SHA-256 (32 bytes) over the canonical JSON of a link's fields without its hash."""
    return sha256(link_json(link))


def link_json(link: CustodyLink) -> bytes:
    """Return the canonical JSON of a link's fields, without its hash."""
    return canonical_json(
        {
            "schema": _SCHEMA,
            "number": link.number,
            "at": write_time(link.at),
            "actor": link.actor,
            "act": link.act.value,
            "purpose": link.purpose,
            "before": link.before.hex(),
            "after": link.after.hex(),
            "previous": link.previous.hex(),
            "item": link.item,
            "item_sha256": link.item_sha256.hex() if link.item_sha256 else None,
        }
    )


def custody_chain(name: CaseName, device: Device) -> tuple[CustodyLink, ...]:
    """Return all links of a case, oldest first, unverified; raises BadRecord."""
    return tuple(unpack(CustodyLink, record) for _, record in custody_link_records(name, device))


def append_link(name: CaseName, link: CustodyLink, device: Device) -> None:
    """Append a link; call it in the transaction that stores the case file."""
    device.vault.put(CUSTODY_LINKS_TABLE, link_key(name, link.number), pack(link))


def last_link(case: Case, device: Device) -> CustodyLink | None:
    """Return the newest link of a case, or None if the case has no links. Raises ChainBroken if the
    link is missing.
    """
    if case.links == 0:
        return None
    record = device.vault.get(CUSTODY_LINKS_TABLE, link_key(case.name, case.links - 1))
    if record is None:
        raise ChainBroken(name=case.name, number=case.links - 1, why="that entry is missing")
    return unpack(CustodyLink, record)


def record_erased_case(name: CaseName, device: Device) -> None:
    """Record that a case was erased. Only the SHA-256 of its first link is stored
    (docs/spec/case.md section 1).
    """
    first = device.vault.get(CUSTODY_LINKS_TABLE, link_key(name, 0))
    if first is not None:
        device.vault.put(ERASED_CASES_TABLE, sha256(first).hex(), b"")


def delete_chain(name: CaseName, device: Device) -> None:
    for key, _ in list(custody_link_records(name, device)):
        device.vault.drop(CUSTODY_LINKS_TABLE, key)


def link_key(name: CaseName, number: int) -> str:
    return f"{name}/{number:010d}"


def custody_link_records(name: CaseName, device: Device) -> Iterator[tuple[str, bytes]]:
    """Return the stored records of a case's links with their keys, oldest first."""
    return (
        entry
        for entry in device.vault.items(CUSTODY_LINKS_TABLE)
        if entry[0].startswith(f"{name}/")
    )


def verify_chain(name: CaseName, device: Device) -> tuple[CustodyLink, ...]:
    """Verify a case's chain, and that it ends in the stored case file.

    Raises:
        NoSuchCase: there is no such case.
        ChainBroken: the chain is not valid; the error says at which link, and why.
    """
    record = device.vault.get(CASES_TABLE, name)
    if record is None:
        raise NoSuchCase(name=name)
    links = tuple(
        _verify_link(name, n, entry) for n, entry in enumerate(custody_link_records(name, device))
    )
    _verify_links_follow(name, links)
    _verify_chain_end(name, record, links)
    return links


def _verify_link(name: CaseName, number: int, entry: tuple[str, bytes]) -> CustodyLink:
    """Decode one link and check its hash and position."""
    key, record = entry
    try:
        link = unpack(CustodyLink, record)
    except BadRecord:
        raise ChainBroken(name=name, number=number, why="that entry cannot be read") from None
    if key != link_key(name, number) or link.number != number:
        raise ChainBroken(name=name, number=number, why="that entry is missing or out of order")
    if pack(link) != record or link_hash(link) != link.hash:
        raise ChainBroken(name=name, number=number, why="that entry was changed")
    return link


def _verify_links_follow(name: CaseName, links: tuple[CustodyLink, ...]) -> None:
    if links and (links[0].previous, links[0].before) != (ZERO_HASH, ZERO_HASH):
        raise ChainBroken(
            name=name, number=0, why="that entry is the first, but refers to an earlier one"
        )
    for earlier, later in pairwise(links):
        if (later.previous, later.before) != (earlier.hash, earlier.after):
            raise ChainBroken(
                name=name, number=later.number, why="that entry does not follow the one before it"
            )


def _verify_chain_end(name: CaseName, record: bytes, links: tuple[CustodyLink, ...]) -> None:
    number = len(links)
    if not links or sha256(record) != links[-1].after:
        raise ChainBroken(
            name=name, number=number, why="the case file was changed after the last entry"
        )
    if unpack(Case, record).links != number:
        raise ChainBroken(
            name=name, number=number, why="the case file gives a different number of entries"
        )
