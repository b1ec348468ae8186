"""Who handled a case file, and what for: an append-only chain of hashes.

Every link carries the hash of the one before and the hashes of the case file around the act, and
the case file counts its links; so a link that was changed, dropped, added or moved shows, and so
does a case file that was changed past the chain (respond/verify_chain.py). Somebody who can write
the whole vault could still write a whole new chain: what holds against that is the stamp, whose
manifest names the chain's head. docs/spec/case.md section 2.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from entrenous.craft.crypto.hashing import sha256
from entrenous.craft.wire.canonical import canonical_json
from entrenous.craft.wire.evidence import write_time
from entrenous.craft.wire.record import pack, unpack
from entrenous.model.case import Case
from entrenous.model.evidence import SHA256_BYTES, ChainBroken, Custody, CustodyAct, Evidence
from entrenous.model.ids import CaseName
from entrenous.ports import Device

LINKS: Final = "custody"
ERASED: Final = "erased-case"
_SCHEMA: Final = "entrenous/custody/1"
NOTHING: Final = bytes(SHA256_BYTES)


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
        before=last.after if last else NOTHING,
        after=after,
        previous=last.hash if last else NOTHING,
        hash=NOTHING,
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
    return tuple(unpack(Custody, record) for _, record in records(name, device))


def add_link(name: CaseName, one: Custody, device: Device) -> None:
    """Append a link; call it inside the vault's ``together``, with the case file it is about."""
    device.vault.put(LINKS, link_key(name, one.number), pack(one))


def last_link(case: Case, device: Device) -> Custody | None:
    """The newest link of a case, or None before the first.

    Raises:
        ChainBroken: the case counts a link that is not there.
    """
    if case.links == 0:
        return None
    record = device.vault.get(LINKS, link_key(case.name, case.links - 1))
    if record is None:
        raise ChainBroken(name=case.name, number=case.links - 1, why="it is missing")
    return unpack(Custody, record)


def remember_erased(name: CaseName, device: Device) -> None:
    """Keep the SHA-256 of a chain's first link, and nothing else (docs/spec/case.md section 1)."""
    first = device.vault.get(LINKS, link_key(name, 0))
    if first is not None:
        device.vault.put(ERASED, sha256(first).hex(), b"")


def forget_chain(name: CaseName, device: Device) -> None:
    """Drop every link of a case that is being erased."""
    for key, _ in list(records(name, device)):
        device.vault.drop(LINKS, key)


def link_key(name: CaseName, number: int) -> str:
    """Where in the drawer of links one of a case lies."""
    return f"{name}/{number:010d}"


def records(name: CaseName, device: Device) -> Iterator[tuple[str, bytes]]:
    """Every link of a case as it is stored, with its key, oldest first."""
    return (entry for entry in device.vault.items(LINKS) if entry[0].startswith(f"{name}/"))
