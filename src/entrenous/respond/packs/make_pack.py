"""Make packs of a case: one without any picture for a platform, or one with all evidence for a
court or the police.

The format, and what each file is for, is in docs/spec/pack.md. Every pack is recorded in the
custody chain, with the fingerprint by which it can be recognised.
"""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Final

from entrenous.base.errors import Refused
from entrenous.crypto.hashing import log_leaf_hash, merkle_root, sha256
from entrenous.device.device import Device
from entrenous.respond.age_gate import refuse_unless_adults
from entrenous.respond.capture.saved_page import file_suffix
from entrenous.respond.case_file import find_case, find_notice, find_sighting, save_case
from entrenous.respond.custody import CustodyAct, CustodyLink, link_json, verify_chain
from entrenous.respond.evidence import (
    evidence_commitment,
    read_verified_bytes,
    stamp_certificates_pem,
    verify_case,
)
from entrenous.respond.law.legal_route import RouteKind
from entrenous.respond.nouns import Case, EvidenceItem, Notice, Sighting, Stamp
from entrenous.respond.packs.cover_sheet import PackSummary, readme_text, render_cover_sheet
from entrenous.wire.encodings import canonical_json, write_time


class NothingToPack(Refused):
    """Case {name} has nothing to put into this pack yet. A pack for a platform needs a letter: see
    entrenous law routes {name}. A pack for a court needs evidence: entrenous case add {name} FILE
    """


class LettersNotChosen(Refused):
    """
    A pack for a platform contains only letters to that platform, and case {name} does not show
    which ones these are. No pack was made. Give the number of each letter, and repeat --notice for
    further ones: entrenous evidence pack {name} --for platform --notice NUMBER --out DIR
    """


class PackTooLarge(Refused):
    """
    The evidence of case {name} is larger than the {limit_mb} MB that a pack can hold (it is about
    {size_mb} MB), so no pack was made. Export the largest items one by one instead: entrenous
    evidence export {name} NUMBER --out DIR
    """


PACK_SCHEMA: Final = "entrenous/pack/1"
VERIFIER_FILE: Final = "verify.py"
_SUMS_FILE: Final = "SHA256SUMS"
_BYTES_PER_MB: Final = 1024 * 1024
PACK_BYTES_MAX: Final = 1024 * _BYTES_PER_MB  # limited because a pack is in memory while it is made
_ROUTE_KINDS_TO_PLATFORMS: Final = frozenset(
    {RouteKind.COPYRIGHT, RouteKind.PLATFORM, RouteKind.DATA, RouteKind.SEARCH}
)
PackFiles = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack's files by name; ``fingerprint`` is the SHA-256 of SHA256SUMS, which lists all other
    files.
    """

    files: Mapping[str, bytes]

    @property
    def fingerprint(self) -> bytes:
        return sha256(self.files[_SUMS_FILE])

    def zipped(self) -> bytes:
        """Return the ZIP file."""
        return zip_files(self.files)


def zip_files(files: Mapping[str, bytes]) -> bytes:
    """Return a ZIP file, uncompressed; the same files give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3  # always Unix, so that the bytes do not depend on the system
            entry.external_attr = 0o600 << 16
            packed.writestr(entry, files[name])
    return out.getvalue()


def make_pack_for_court(
    name: str,
    to: str,
    device: Device,
    check: Callable[[Stamp], object],
    write: Callable[[Pack], object],
) -> Pack:
    """Pass a pack with all evidence to ``write``, and record the pack in the custody chain. Nothing
    is recorded if ``write`` fails.

    Args:
        name: the case, which may be closed.
        to: the recipient's name for the record.
        device: its vault has the case.
        check: verifies a stamp.
        write: writes the pack, encrypted.

    Raises:
        NoSuchCase, NotAllAdults, NothingToPack, PackTooLarge.
        ChainBroken, EvidenceChanged, ItemDiffersFromStamp, InvalidTimestamp: the case is not valid.
    """
    with device.vault.transaction():
        case = _case_to_pack(name, device)
        if not case.evidence:
            raise NothingToPack(name=name)
        _refuse_large_evidence(case)
        verify_case(name, device, check)
        links = verify_chain(case.name, device)
        pack = _build_pack(case, _court_contents(case, links, device), device.clock.now())
        write(pack)
        _record_pack(case, f"for a court or the police, to {to}", pack, device)
    return pack


def make_pack_for_platform(
    name: str,
    notices: Sequence[int],
    sightings: Sequence[int],
    device: Device,
    write: Callable[[Pack], object],
) -> Pack:
    """Pass a pack without any picture to ``write``, and record the pack in the custody chain.
    Nothing is recorded if ``write`` fails.

    Args:
        name: the case, which may be closed.
        notices: numbers of the letters to include; may be empty if the case has only one letter,
            and this letter is to a platform.
        sightings: numbers of the sightings to include; if empty, those that the letters name.
        device: its vault has the case.
        write: writes the pack.

    Raises NoSuchCase, NotAllAdults, NoSuchCaseEntry, NothingToPack, LettersNotChosen,
    EvidenceChanged.
    """
    with device.vault.transaction():
        case = _case_to_pack(name, device)
        letters = _letters_to_pack(case, notices)
        named_sightings = {one.number: one for letter in letters for one in letter.named_sightings}
        seen = [find_sighting(case, number) for number in sightings]
        contents = _platform_contents(case, letters, seen or [*named_sightings.values()], device)
        pack = _build_pack(case, contents, device.clock.now())
        write(pack)
        _record_pack(case, "for a platform, without pictures", pack, device)
    return pack


def _case_to_pack(name: str, device: Device) -> Case:
    case = find_case(name, device)
    refuse_unless_adults(case, device.clock.now().date())
    return case


def _refuse_large_evidence(case: Case) -> None:
    size = sum(item.size_bytes for item in case.evidence)
    if size > PACK_BYTES_MAX:
        raise PackTooLarge(
            name=case.name, size_mb=size // _BYTES_PER_MB, limit_mb=PACK_BYTES_MAX // _BYTES_PER_MB
        )


def _letters_to_pack(case: Case, numbers: Sequence[int]) -> list[Notice]:
    if not case.notices:
        raise NothingToPack(name=case.name)
    if numbers:
        return [find_notice(case, number) for number in numbers]
    letter = only_letter_to_platform(case)
    if letter is None:
        raise LettersNotChosen(name=case.name)
    return [letter]


def only_letter_to_platform(case: Case) -> Notice | None:
    """Return the case's letter if there is only one, and this letter is to a platform."""
    only = case.notices[0] if len(case.notices) == 1 else None
    return only if only is not None and only.route.kind in _ROUTE_KINDS_TO_PLATFORMS else None


def _record_pack(case: Case, purpose: str, pack: Pack, device: Device) -> None:
    text = f"{purpose}; its fingerprint is {pack.fingerprint.hex()}"
    save_case(case, device, CustodyAct.PACKED, text)


@dataclass(frozen=True, slots=True)
class _PackContents:
    """The contents for one kind of recipient (``recipient_kind``). ``tree`` has the length, the
    last hash and the Merkle root of the custody chain, or is None.
    """

    recipient_kind: str
    items: list[dict[str, object]]
    files: PackFiles
    letters: Sequence[Notice]
    seen: Sequence[Sighting]
    tree: dict[str, object] | None = None


def _court_contents(case: Case, links: tuple[CustodyLink, ...], device: Device) -> _PackContents:
    lines = [link_json(link) for link in links]
    files: PackFiles = {"custody.jsonl": b"".join(line + b"\n" for line in lines)}
    rows = []
    for item in case.evidence:
        data = read_verified_bytes(case, item, device)
        file, salt = f"items/{item.number}{file_suffix(data)}", f"items/{item.number}.salt"
        files |= {file: data, salt: item.salt.reveal()}
        rows.append(_item_row(item, data) | {"file": file, "salt": salt, "what": item.what})
    tree: dict[str, object] = {
        "size": len(links),
        "head": links[-1].hash.hex(),
        "root": merkle_root([log_leaf_hash(line) for line in lines]).hex(),
    }
    return _PackContents("court", rows, files, case.notices, case.sightings, tree)


def _platform_contents(
    case: Case, letters: Sequence[Notice], sightings: Sequence[Sighting], device: Device
) -> _PackContents:
    rows = [
        _item_row(item, read_verified_bytes(case, item, device)) | {"file": None}
        for item in case.evidence
    ]
    return _PackContents("platform", rows, {}, letters, sightings)


def _build_pack(case: Case, contents: _PackContents, now: datetime) -> Pack:
    """Add what every pack contains: letters, stamps, the description, the cover, the verifier."""
    files = dict(contents.files)
    for letter in contents.letters:
        files[f"letters/{letter.number}.txt"] = letter.letter.encode()
    for number, stamp in enumerate(case.stamps, start=1):
        files[f"stamps/{number}.json"] = stamp.manifest
        files[f"stamps/{number}.tsr"] = stamp.token
        files[f"stamps/{number}.pem"] = stamp_certificates_pem(stamp)
    files["pack.json"] = canonical_json(_describe_pack(case, contents, now))
    return _finish_pack(files, _pack_summary(case, contents, now))


def _describe_pack(case: Case, contents: _PackContents, now: datetime) -> dict[str, object]:
    return {
        "schema": PACK_SCHEMA,
        "for": contents.recipient_kind,
        "case": case.name,
        "packed_at": write_time(now),
        "custody": contents.tree,
        "items": contents.items,
        "stamps": [_stamp_row(number, one) for number, one in enumerate(case.stamps, start=1)],
        "letters": [_letter_row(one) for one in contents.letters],
        "sightings": [_sighting_row(one) for one in contents.seen],
    }


def _finish_pack(files: PackFiles, summary: PackSummary) -> Pack:
    files["cover.pdf"] = render_cover_sheet(summary)
    files["README.txt"] = readme_text(summary).encode()
    files[VERIFIER_FILE] = verifier_source()
    sums = "".join(f"{sha256(files[name]).hex()}  {name}\n" for name in sorted(files))
    return Pack({**files, _SUMS_FILE: sums.encode()})


def verifier_source() -> bytes:
    """Return the verifier that packs contain: one file that does not import Entrenous."""
    return resources.files("entrenous.respond.packs").joinpath("verify_pack.py").read_bytes()


def _pack_summary(case: Case, contents: _PackContents, now: datetime) -> PackSummary:
    tree = contents.tree
    return PackSummary(
        case=case.name,
        for_court=tree is not None,
        packed_at=now,
        items=case.evidence,
        stamps=case.stamps,
        letters=len(contents.letters),
        sightings=len(contents.seen),
        tree=None if tree is None else str(tree["root"]),
        links=case.links if tree else 0,
    )


def _item_row(item: EvidenceItem, data: bytes) -> dict[str, object]:
    """Return an item's row, with the same names and values as in a stamped manifest
    (docs/spec/case.md section 3).
    """
    return {
        "item": item.number,
        "level": item.level.value,
        "added_at": write_time(item.added_at),
        "salted_sha256": evidence_commitment(item.salt, data).hex(),
    }


def _stamp_row(number: int, stamp: Stamp) -> dict[str, object]:
    return {"stamp": number, "at": write_time(stamp.at), "authority": stamp.authority_url}


def _letter_row(letter: Notice) -> dict[str, object]:
    return {
        "notice": letter.number,
        "file": f"letters/{letter.number}.txt",
        "route": letter.route.id,
        "state": letter.state.value,
        "sent_at": None if letter.sent_at is None else write_time(letter.sent_at),
    }


def _sighting_row(sighting: Sighting) -> dict[str, object]:
    return {
        "sighting": sighting.number,
        "where": sighting.where,
        "account": sighting.handle,
        "first_seen_at": write_time(sighting.first_seen_at),
    }
