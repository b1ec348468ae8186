"""Take an item out of a case together with everything that proves since when it exists.

docs/spec/case.md section 3: whoever gets it needs no vault, and no Entrenous.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from entrenous.model.evidence import CustodyAct, Evidence, Stamp
from entrenous.ports import Device
from entrenous.respond.case_file import case_called, item_of
from entrenous.respond.evidence import read_evidence, stamps_of


@dataclass(frozen=True, slots=True)
class TakenOut:
    """An item's bytes, and the stamps over it by their numbers in the case, which count from 1."""

    item: Evidence
    data: bytes
    stamps: Mapping[int, Stamp]


def take_out(
    name: str, number: int, purpose: str, device: Device, write: Callable[[TakenOut], object]
) -> None:
    """Have one item written somewhere, and note that in the custody chain: both, or neither.

    Raises:
        NoSuchCase, NothingThere, EvidenceChanged: as their messages say.
        What ``write`` raises; then nothing is noted.
    """
    with device.vault.together():
        data = read_evidence(name, number, purpose, device, CustodyAct.EXPORTED)
        case = case_called(name, device)
        item = item_of(case, number)
        over = stamps_of(item, case)
        stamps = {at: stamp for at, stamp in enumerate(case.stamps, start=1) if stamp in over}
        write(TakenOut(item, data, stamps))
