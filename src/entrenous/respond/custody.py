"""Who handled a case file, and what for: an append-only chain of hashes, checked from its start.

Every link carries the hash of the one before and the hashes of the case file around the act, and
the case file counts its links; so a link that was changed, dropped, added or moved shows, and so
does a case file that was changed past the chain. Somebody who can write the whole vault could still
write a whole new chain: what holds against that is the stamp, whose manifest names the chain's
head. docs/spec/case.md section 2.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from typing import Final

from entrenous.craft.crypto.hashing import sha256
from entrenous.craft.wire.canonical import canonical_json
from entrenous.craft.wire.evidence import write_time
from entrenous.craft.wire.record import pack, unpack
from entrenous.model.case import Case, NoSuchCase
from entrenous.model.evidence import SHA256_BYTES, ChainBroken, Custody, CustodyAct, Evidence
from entrenous.model.ids import CaseName
from entrenous.model.record import BadRecord
from entrenous.ports import Device

CASES: Final = "cases"
LINKS: Final = "custody"
_SCHEMA: Final = "entrenous/custody/1"
_NOTHING: Final = bytes(SHA256_BYTES)


def link(
    last: Custody | None,
    at: datetime,
    act: tuple[str, CustodyAct, str],
    after: bytes,
    item: Evidence | None = None,
) -> Custody:
    """The next link: ``act`` is who, what, what for; ``after`` is the case file's new SHA-256."""
    actor, what, purpose = act
    unsigned = Custody(
        number=last.number + 1 if last else 0,
        at=at,
        actor=actor,
        act=what,
        purpose=purpose,
        before=last.after if last else _NOTHING,
        after=after,
        previous=last.hash if last else _NOTHING,
        hash=_NOTHING,
        item=item.number if item else None,
        item_sha256=item.sha256 if item else None,
    )
    return replace(unsigned, hash=link_hash(unsigned))


def link_hash(one: Custody) -> bytes:
    """SHA-256 over the canonical JSON of everything in a link but its own hash; 32 bytes."""
    return sha256(
        canonical_json(
            {
                "schema": _SCHEMA,
                "number": one.number,
                "at": write_time(one.at),
                "actor": one.actor,
                "act": one.act.value,
                "purpose": one.purpose,
                "before": one.before.hex(),
                "after": one.after.hex(),
                "previous": one.previous.hex(),
                "item": one.item,
                "item_sha256": one.item_sha256.hex() if one.item_sha256 else None,
            }
        )
    )


def chain(name: CaseName, device: Device) -> tuple[Custody, ...]:
    """Every link of a case, oldest first, unchecked; raises BadRecord."""
    return tuple(unpack(Custody, record) for _, record in _records(name, device))


def verify_chain(name: CaseName, device: Device) -> tuple[Custody, ...]:
    """Check a case's chain and that the case file is the one it ends in.

    Raises:
        NoSuchCase: there is no such case.
        ChainBroken: says at which link, and why.
    """
    record = device.vault.get(CASES, name)
    if record is None:
        raise NoSuchCase(name=name)
    links = tuple(_whole(name, n, entry) for n, entry in enumerate(_records(name, device)))
    _check_neighbours(name, links)
    _check_end(name, record, links)
    return links


def add_link(name: CaseName, one: Custody, device: Device) -> None:
    """Append a link; call it inside the vault's ``together``, with the case file it is about."""
    device.vault.put(LINKS, _key(name, one.number), pack(one))


def last_link(case: Case, device: Device) -> Custody | None:
    """The newest link of a case, or None before the first.

    Raises:
        ChainBroken: the case counts a link that is not there.
    """
    if case.links == 0:
        return None
    record = device.vault.get(LINKS, _key(case.name, case.links - 1))
    if record is None:
        raise ChainBroken(name=case.name, number=case.links - 1, why="it is missing")
    return unpack(Custody, record)


def forget_chain(name: CaseName, device: Device) -> None:
    """Drop every link of a case that is being erased."""
    for key, _ in list(_records(name, device)):
        device.vault.drop(LINKS, key)


def _key(name: CaseName, number: int) -> str:
    return f"{name}/{number:010d}"


def _records(name: CaseName, device: Device) -> Iterator[tuple[str, bytes]]:
    return (entry for entry in device.vault.items(LINKS) if entry[0].startswith(f"{name}/"))


def _whole(name: CaseName, number: int, entry: tuple[str, bytes]) -> Custody:
    """One link that hashes to what it says and lies where it belongs."""
    key, record = entry
    try:
        one = unpack(Custody, record)
    except BadRecord:
        raise ChainBroken(name=name, number=number, why="it cannot be read") from None
    if key != _key(name, number) or one.number != number:
        raise ChainBroken(name=name, number=number, why="it is missing or out of order")
    if pack(one) != record or link_hash(one) != one.hash:
        raise ChainBroken(name=name, number=number, why="it was changed")
    return one


def _check_neighbours(name: CaseName, links: tuple[Custody, ...]) -> None:
    if links and (links[0].previous, links[0].before) != (_NOTHING, _NOTHING):
        raise ChainBroken(name=name, number=0, why="it does not begin at the beginning")
    for earlier, later in pairwise(links):
        if (later.previous, later.before) != (earlier.hash, earlier.after):
            raise ChainBroken(
                name=name, number=later.number, why="it does not follow the one before"
            )


def _check_end(name: CaseName, record: bytes, links: tuple[Custody, ...]) -> None:
    number = len(links)
    if not links or sha256(record) != links[-1].after:
        raise ChainBroken(name=name, number=number, why="the case file was changed after it")
    if unpack(Case, record).links != number:
        raise ChainBroken(name=name, number=number, why="the case file counts other entries")
