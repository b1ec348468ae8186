"""Take in an archive's cases, each with its chain of custody, byte for byte as they were hashed."""

from collections.abc import Sequence
from dataclasses import dataclass

from entrenous.craft.crypto.hashing import sha256
from entrenous.craft.wire.record import unpack
from entrenous.model.archive import BadArchive
from entrenous.model.case import Case
from entrenous.ports import Device
from entrenous.send.archive.parts import CASES, CUSTODY, ERASED_DRAWER, Item, within


@dataclass(frozen=True, slots=True)
class Cases:
    """Cases that were new or further on, and the names of those that were left out: others are
    here of that name, or they were erased here as cases of somebody under 18.
    """

    new: tuple[Case, ...]
    others: tuple[str, ...]
    erased: tuple[str, ...]


def take_cases(items: Sequence[Item], device: Device) -> Cases:
    """Store the cases that are new, or further on than they are here.

    Raises:
        BadArchive: one lies under another's name, or a link under another's number.
    """
    chains = _chains(items)
    new, others, erased = list[Case](), list[str](), list[str]()
    for item in within(CASES, items):
        case: Case = item.noun
        if item.key != case.name:
            raise BadArchive
        links = chains.get(case.name, [])
        if _was_erased(links, device):
            erased.append(case.name)
        elif _is_other(case, links, device):
            others.append(case.name)
        else:
            new.extend(_stored(item, links, device))
    return Cases(tuple(new), tuple(others), tuple(erased))


def _chains(items: Sequence[Item]) -> dict[str, list[Item]]:
    """The links of each case, by its name."""
    chains = dict[str, list[Item]]()
    for item in within(CUSTODY, items):
        name, _, number = item.key.partition("/")
        if number != f"{item.noun.number:010d}":
            raise BadArchive
        chains.setdefault(name, []).append(item)
    return chains


def _was_erased(links: Sequence[Item], device: Device) -> bool:
    """Whether a chain begins as one that is never to come back (docs/spec/case.md section 1)."""
    begin = sha256(links[0].data).hex() if links else ""
    return device.vault.get(ERASED_DRAWER, begin) is not None


def _is_other(case: Case, links: Sequence[Item], device: Device) -> bool:
    """Whether there is a case of this name here that is not this one, earlier or later."""
    record = device.vault.get(CASES, case.name)
    if record is None:
        return False
    last = min(unpack(Case, record).links, case.links, len(links)) - 1
    here = device.vault.get(CUSTODY, f"{case.name}/{last:010d}") if last >= 0 else None
    return here is None or here != links[last].data


def _stored(item: Item, links: Sequence[Item], device: Device) -> tuple[Case, ...]:
    """The case, if it was stored; one that is here and as far on stays."""
    case: Case = item.noun
    here = device.vault.get(CASES, case.name)
    if here is not None and unpack(Case, here).links >= case.links:
        return ()
    device.vault.put(CASES, case.name, item.data)
    for one in links:
        device.vault.put(CUSTODY, one.key, one.data)
    return (case,)
