"""Export one item of evidence as it was stored, with its stamps and the files that are needed to
check them.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from entrenous.base.language import translated
from entrenous.device.device import Device
from entrenous.respond.capture.saved_page import file_suffix
from entrenous.respond.case_file import find_case, find_item
from entrenous.respond.custody import CustodyAct
from entrenous.respond.evidence import read_evidence, stamps_of
from entrenous.respond.nouns import Evidence
from entrenous.respond.timestamps import Stamp


@dataclass(frozen=True, slots=True)
class ExportedItem:
    """An item's bytes, and the stamps over it by their number in the case, from 1."""

    item: Evidence
    data: bytes
    stamps: Mapping[int, Stamp]


def export_item(
    name: str, number: int, purpose: str, device: Device, write: Callable[[ExportedItem], object]
) -> None:
    """Pass one item to ``write``, and record the export in the custody chain. If either fails,
    neither is done.

    Raises NoSuchCase, NoSuchCaseEntry, EvidenceChanged, and the errors of ``write``.
    """
    with device.vault.transaction():
        data = read_evidence(name, number, purpose, device, CustodyAct.EXPORTED)
        case = find_case(name, device)
        item = find_item(case, number)
        over = stamps_of(item, case)
        stamps = {
            number_: stamp for number_, stamp in enumerate(case.stamps, start=1) if stamp in over
        }
        write(ExportedItem(item, data, stamps))


def authorities_pem(stamp: Stamp) -> bytes:
    """Return the certificates that prove a stamp in PEM, the format that openssl reads. They may be
    stored in DER.
    """
    if b"-----BEGIN" in stamp.authorities:
        return stamp.authorities
    from ssl import DER_cert_to_PEM_cert  # noqa: PLC0415 - slow to load, and rarely needed

    return DER_cert_to_PEM_cert(stamp.authorities).encode()


def exported_files(exported: ExportedItem, prefix: str = "") -> dict[str, bytes]:
    """Return the files of an export by name, the item first, then its salt, then for each stamp its
    manifest, token and certificates.
    """
    item = f"{prefix}item-{exported.item.number}"
    files = {item + file_suffix(exported.data): exported.data}
    if exported.stamps:
        files[f"{item}.salt"] = exported.item.salt.reveal()
    for number, stamp in exported.stamps.items():
        files[f"{prefix}stamp-{number}.json"] = stamp.manifest
        files[f"{prefix}stamp-{number}.tsr"] = stamp.token
        files[f"{prefix}stamp-{number}.pem"] = authorities_pem(stamp)
    return files


def how_to_check_stamp(files: Sequence[str]) -> tuple[str, ...]:
    """Return instructions with which the recipient of the exported files can check the first stamp.

    ``files`` are the names of the files, in the order of :func:`exported_files`.
    """
    item, *beside = files
    if not beside:
        return (translated("It is not stamped, so nothing goes with it that proves a time."),)
    salt, manifest, token, ca = beside[:4]
    verify = ["openssl", "ts", "-verify", "-in", token, "-data", manifest, "-CAfile", ca]
    return (
        translated("Whoever gets these can check the stamp, with the authority's certificate:"),
        f"  {shlex.join(verify)}",
        translated("The hash that the stamped file has of this item is printed by:"),
        f"  {shlex.join(['cat', salt, item])} | sha256sum",
    )
