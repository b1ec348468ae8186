"""Check a case's chain of custody from its start to the case file that it ends in.

docs/spec/case.md section 2.
"""

from itertools import pairwise

from entrenous.craft.crypto.hashing import sha256
from entrenous.craft.wire.record import pack, unpack
from entrenous.model.case import Case, NoSuchCase
from entrenous.model.evidence import ChainBroken, Custody
from entrenous.model.ids import CaseName
from entrenous.model.record import BadRecord
from entrenous.ports import Device
from entrenous.respond.case_file import CASES
from entrenous.respond.custody import NOTHING, link_hash, link_key, records


def verify_chain(name: CaseName, device: Device) -> tuple[Custody, ...]:
    """Check a case's chain and that the case file is the one it ends in.

    Raises:
        NoSuchCase: there is no such case.
        ChainBroken: says at which link, and why.
    """
    record = device.vault.get(CASES, name)
    if record is None:
        raise NoSuchCase(name=name)
    links = tuple(_whole(name, n, entry) for n, entry in enumerate(records(name, device)))
    _check_neighbours(name, links)
    _check_end(name, record, links)
    return links


def _whole(name: CaseName, number: int, entry: tuple[str, bytes]) -> Custody:
    """One link that hashes to what it says and lies where it belongs."""
    key, record = entry
    try:
        one = unpack(Custody, record)
    except BadRecord:
        raise ChainBroken(name=name, number=number, why="it cannot be read") from None
    if key != link_key(name, number) or one.number != number:
        raise ChainBroken(name=name, number=number, why="it is missing or out of order")
    if pack(one) != record or link_hash(one) != one.hash:
        raise ChainBroken(name=name, number=number, why="it was changed")
    return one


def _check_neighbours(name: CaseName, links: tuple[Custody, ...]) -> None:
    if links and (links[0].previous, links[0].before) != (NOTHING, NOTHING):
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
