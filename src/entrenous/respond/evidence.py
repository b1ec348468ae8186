"""Preserve evidence: have it timestamped (RFC 3161), verify it, and export an item with its stamps
and the files that are needed to check them.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from entrenous.base.errors import (
    InvalidTimestamp,
    NoSuchBlob,
    ProxyUnreachable,
    Refused,
    Unproven,
    Unreachable,
)
from entrenous.base.identifiers import CaseName
from entrenous.base.language import moment_in_words, plural, translatable, translated
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.crypto.nouns import DecryptionFailed
from entrenous.device.device import Device
from entrenous.respond.capture.saved_page import file_suffix
from entrenous.respond.case_file import (
    case_summaries,
    find_case,
    find_item,
    find_open_case,
    save_case,
)
from entrenous.respond.custody import CustodyAct, CustodyLink, verify_chain
from entrenous.respond.manifest_format import (
    BadManifest,
    EvidenceManifest,
    ManifestItem,
    read_manifest,
    write_manifest,
)
from entrenous.respond.nouns import Case, CaseState, EvidenceItem, EvidenceLevel, Stamp
from entrenous.wire.encodings import write_time


class EvidenceChanged(Unproven):
    """
    Item {number} of case {name} is no longer what was stored: its bytes were changed or are
    missing, so the item no longer proves anything. If you have the original somewhere else, add it
    again as a new item.
    """


class NothingToStamp(Refused):
    """Case {name} contains no evidence yet, so there is nothing to stamp. Add a file first:
    entrenous case add {name} FILE
    """


class ItemDiffersFromStamp(Unproven):
    """
    Item {number} of case {name} does not match its time stamp. In the stamp: {stamped}. In the
    case: {recorded}. Somebody changed the case after it was stamped. Do not change anything more in
    it. Copy the device's folder, and show the copy to somebody you trust.
    """


class AuthorityUnreachable(Unreachable):
    """
    The stamp authority at {url} did not answer. Your evidence is still stored, but has no new
    stamp. Check the address, then try again soon: a stamp proves only that the evidence existed
    when it was stamped.
    """


class StampRefused(Unreachable):
    """
    The stamp authority at {url} answered, but issued no stamp ({why}). Your evidence is still
    stored, but has no new stamp. Try again later, or use another authority.
    """


class NoAuthorityAnswered(Unreachable):
    """
    None of the stamp authorities issued a stamp: {why}. Your evidence is still stored, but has no
    new stamp. Make sure that this device is online, and try again later.
    """


class StampPostponed(Unreachable):
    """
    No stamp was issued: {why}. Your evidence is safe, and case {name} is noted as waiting for a
    stamp. To stamp its evidence later, when this device is online: entrenous evidence stamp {name}
    """


def no_answer_text(authority: object) -> str:
    """Return why a stamp authority issued no stamp: it did not answer."""
    return translated("{authority} did not answer").format(authority=authority)


WHAT_STAMP_PROVES: Final = translatable(
    "This proves that the evidence existed by then, not that what it shows is true."
)
WHAT_STAMP_AUTHORITY_SEES: Final = translatable(
    "The stamp authority sees one number, made from your evidence, and the address of your internet"
    " connection. It sees neither the evidence nor who you are."
)
# a device's clock may be this far ahead of an authority's
CLOCK_DIFFERENCE_MAX: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class ExportedItem:
    """An item's bytes, and the stamps over it. The keys of ``stamps`` are their numbers in the
    case, counted from 1.
    """

    item: EvidenceItem
    data: bytes
    stamps: Mapping[int, Stamp]


def evidence_commitment(salt: Secret, data: bytes) -> bytes:
    """Return the SHA-256 over the salt (32 bytes) and the item's bytes, which commits to the item
    without revealing it.
    """
    return sha256(salt.reveal() + data)


def stamp_evidence(name: str, stamp: Callable[[bytes], Stamp], device: Device) -> Case:
    """Make a manifest of all of a case's evidence, have it timestamped by ``stamp``, and store the
    stamp.

    Raises:
        NoSuchCase, NotAllAdults, CaseClosed.
        NothingToStamp: the case has no evidence.
        AuthorityUnreachable, StampRefused, NoAuthorityAnswered, ProxyUnreachable: there is no
            stamp; nothing was changed.
        InvalidTimestamp: the stamp is invalid, or older than the manifest by more than
            CLOCK_DIFFERENCE_MAX; it was not stored.
        ChainBroken, EvidenceChanged: the case is not as it was stored.
    """
    case = find_open_case(name, device)
    if not case.evidence:
        raise NothingToStamp(name=name)
    manifest = make_manifest(case, device)
    new = stamp(write_manifest(manifest))  # may take seconds, so it is outside the transaction
    refuse_stamp_before_manifest(new, manifest)
    with device.vault.transaction():
        fresh = find_open_case(name, device)
        stamped = replace(fresh, stamps=(*fresh.stamps, new), stamp_wanted_at=None)
        step = f"stamped by {new.authority_url}"
        return save_case(stamped, device, CustodyAct.STAMPED, step)


def stamp_evidence_or_postpone(name: str, stamp: Callable[[bytes], Stamp], device: Device) -> Case:
    """Call :func:`stamp_evidence`. If there is no valid stamp (AuthorityUnreachable, StampRefused,
    NoAuthorityAnswered, ProxyUnreachable, InvalidTimestamp), record that the case waits for one,
    and raise StampPostponed instead.

    The case stores the time of the first such failure since its last stamp.
    """
    try:
        return stamp_evidence(name, stamp, device)
    except ProxyUnreachable:
        reason: object = translated("the proxy did not answer")
    except (AuthorityUnreachable, StampRefused, NoAuthorityAnswered, InvalidTimestamp) as error:
        reason = error.facts.get("why") or no_answer_text(error.facts["url"])
    _record_pending_stamp(name, device)
    raise StampPostponed(name=name, why=reason)


def cases_to_stamp(device: Device) -> tuple[CaseName, ...]:
    """Return the names of open cases that wait for a stamp, the longest-waiting first."""
    waiting = [
        (case.stamp_wanted_at, case.name)
        for case in case_summaries(device)
        if case.stamp_wanted_at is not None and case.state is CaseState.OPEN
    ]
    return tuple(name for _, name in sorted(waiting))


def pending_stamp_text(case: Case) -> str:
    """Return a sentence which says that an open case waits for a stamp; "" for any other case."""
    if case.stamp_wanted_at is None or case.state is CaseState.CLOSED:
        return ""
    since = moment_in_words(case.stamp_wanted_at)
    return translated(
        "To be stamped since {since}, when online: entrenous evidence stamp {name}"
    ).format(since=since, name=case.name)


def _record_pending_stamp(name: str, device: Device) -> None:
    with device.vault.transaction():
        case = find_open_case(name, device)
        if case.stamp_wanted_at is None:
            waiting = replace(case, stamp_wanted_at=device.clock.now())
            step = "asked for a stamp, and no authority could be reached"
            save_case(waiting, device, CustodyAct.CHANGED, step)


def make_manifest(case: Case, device: Device) -> EvidenceManifest:
    """Verify a case, and list its evidence in a manifest; raises ChainBroken, EvidenceChanged."""
    links = verify_chain(case.name, device)
    items = tuple(
        ManifestItem(
            item.number,
            item.level,
            item.added_at,
            evidence_commitment(item.salt, read_verified_bytes(case, item, device)),
        )
        for item in case.evidence
    )
    return EvidenceManifest(device.clock.now(), links[-1].hash, items)


def read_evidence(
    name: str,
    number: int,
    purpose: str,
    device: Device,
    act: CustodyAct = CustodyAct.READ,
) -> bytes:
    """Return the bytes of one item, and record the access and its purpose in the custody chain.

    Raises NoSuchCase, NoSuchCaseEntry, EvidenceChanged.
    """
    with device.vault.transaction():
        case = find_case(name, device)
        item = find_item(case, number)
        data = read_verified_bytes(case, item, device)
        save_case(case, device, act, purpose, item)
        return data


def verify_case(name: str, device: Device, check: Callable[[Stamp], object] | None = None) -> Case:
    """Verify a case's custody chain, items and manifests. ``check`` verifies the token of a stamp.

    If ``check`` is None, the tokens are not verified, so do not call the stamps valid. Raises
    ChainBroken, EvidenceChanged, ItemDiffersFromStamp or InvalidTimestamp, which say what is
    invalid.
    """
    links = verify_chain(CaseName(name), device)
    case = find_case(name, device)
    for item in case.evidence:
        read_verified_bytes(case, item, device)
    for stamp in case.stamps:
        _verify_stamped_manifest(case, stamp, links, device)
        if check is not None:
            check(stamp)
    return case


def verification_in_words(case: Case) -> tuple[str, ...]:
    """Return, in sentences, what :func:`verify_case` found to be valid."""
    items, stamps = len(case.evidence), len(case.stamps)
    return (
        plural(
            "The list of who handled this case has {count} entry and no gap.",
            "The list of who handled this case has {count} entries and no gap.",
            case.links,
        ),
        plural(
            "{count} item is byte for byte as it was kept.",
            "{count} items are byte for byte as they were kept.",
            items,
        ),
        plural(
            "{count} stamp is genuine, and is about these items.",
            "{count} stamps are genuine, and are about these items.",
            stamps,
        )
        if stamps
        else translated("There is no stamp yet, so nothing here proves a time."),
        translated(
            "So nothing was changed since it was kept. This does not say who made a picture, or"
            " that what it shows is true."
        ),
    )


def evidence_level_in_words(item: EvidenceItem, case: Case) -> str:
    """Describe what one item proves, and the time of its earliest stamp."""
    stamps = stamps_over_item(item, case)
    since = (
        translated("; stamped {time} UTC").format(time=f"{stamps[0].at:%Y-%m-%d %H:%M:%S}")
        if stamps
        else translated("; not stamped yet")
    )
    return f"{item.level.value}, {item.level.proves}{since}"


def item_history_in_words(item: EvidenceItem, case: Case) -> str:
    """Return, in sentences, since when an item has been kept, where it came from, and whether a
    stamp confirms a time.

    The names of the evidence levels (A0 to A4) are not mentioned.
    """
    stamps = stamps_over_item(item, case)
    kept = translated("Kept {when}. Unchanged since then.").format(
        when=moment_in_words(item.added_at.astimezone())
    )
    proof = (
        translated("An outside service confirms that it existed on {when}.").format(
            when=moment_in_words(stamps[0].at.astimezone())
        )
        if stamps
        else translated("No outside proof of time yet.")
    )
    return " ".join(filter(None, (kept, translated(_ORIGIN_TEXTS[item.level]), proof)))


_ORIGIN_TEXTS: Final[Mapping[EvidenceLevel, str]] = {
    EvidenceLevel.A0: translatable("These are your own words."),
    EvidenceLevel.A1: translatable("You added it yourself."),
    EvidenceLevel.A2: translatable("The app took it from the page itself."),
    EvidenceLevel.A3: translatable("Somebody else saved the same, too."),
    EvidenceLevel.A4: translatable("It is the answer of the platform itself."),
}


def stamps_over_item(item: EvidenceItem, case: Case) -> tuple[Stamp, ...]:
    """Return the stamps over one item, earliest first.

    Stamps that are older than their manifest by more than CLOCK_DIFFERENCE_MAX are left out.
    """
    read = ((stamp, read_manifest(stamp.manifest)) for stamp in case.stamps)
    over = [
        stamp
        for stamp, manifest in read
        if item.number in {line.number for line in manifest.items}
        and not _is_stamp_before_manifest(stamp, manifest)
    ]
    return tuple(sorted(over, key=lambda stamp: stamp.at))


def read_verified_bytes(case: Case, item: EvidenceItem, device: Device) -> bytes:
    """Return an item's bytes; raises EvidenceChanged if they changed or are missing."""
    try:
        data = device.vault.read_stored_file(item.blob)
    except (NoSuchBlob, DecryptionFailed):
        raise EvidenceChanged(name=case.name, number=item.number) from None
    if sha256(data) != item.sha256:
        raise EvidenceChanged(name=case.name, number=item.number)
    return data


def _verify_stamped_manifest(
    case: Case, stamp: Stamp, links: tuple[CustodyLink, ...], device: Device
) -> None:
    """Check that the manifest describes this case: its chain, and its items as they are now."""
    try:
        manifest = read_manifest(stamp.manifest)
    except BadManifest:
        raise InvalidTimestamp(why="its manifest cannot be read") from None
    if manifest.custody_head not in {one.hash for one in links}:
        raise InvalidTimestamp(why="its manifest belongs to another chain of custody")
    refuse_stamp_before_manifest(stamp, manifest)
    items_by_number = {item.number: item for item in case.evidence}
    for line in manifest.items:
        item = items_by_number.get(line.number)
        if item is None:
            raise InvalidTimestamp(why="its manifest lists an item that is not in the case")
        if line.commitment != evidence_commitment(
            item.salt, read_verified_bytes(case, item, device)
        ):
            raise EvidenceChanged(name=case.name, number=item.number)
        stamped, recorded = _level_and_time_added(line), _level_and_time_added(item)
        if stamped != recorded:
            raise ItemDiffersFromStamp(
                name=case.name, number=item.number, stamped=stamped, recorded=recorded
            )


def _level_and_time_added(item: EvidenceItem | ManifestItem) -> str:
    """Return the data about an item, besides its bytes, that a stamped manifest commits to."""
    return f"{item.level.value}, added at {write_time(item.added_at)}"


def _is_stamp_before_manifest(stamp: Stamp, manifest: EvidenceManifest) -> bool:
    return stamp.at < manifest.written_at - CLOCK_DIFFERENCE_MAX


def refuse_stamp_before_manifest(stamp: Stamp, manifest: EvidenceManifest) -> None:
    """Raise InvalidTimestamp if the stamp is older than its manifest by more than
    CLOCK_DIFFERENCE_MAX.
    """
    if _is_stamp_before_manifest(stamp, manifest):
        why = translated(
            "it says {at:%Y-%m-%d %H:%M} UTC, but the list of items that it stamps was "
            "written here at {written_at:%Y-%m-%d %H:%M} UTC, so one of the two clocks is "
            "wrong; check this device's first"
        ).format(at=stamp.at, written_at=manifest.written_at)
        raise InvalidTimestamp(why=why)


def export_item(
    name: str, number: int, purpose: str, device: Device, write: Callable[[ExportedItem], object]
) -> None:
    """Pass one item to ``write``, and record the export in the custody chain. Nothing is recorded
    if ``write`` fails.

    Raises NoSuchCase, NoSuchCaseEntry, EvidenceChanged, and the errors of ``write``.
    """
    with device.vault.transaction():
        data = read_evidence(name, number, purpose, device, CustodyAct.EXPORTED)
        case = find_case(name, device)
        item = find_item(case, number)
        over = stamps_over_item(item, case)
        stamps = {
            number_: stamp for number_, stamp in enumerate(case.stamps, start=1) if stamp in over
        }
        write(ExportedItem(item, data, stamps))


def stamp_certificates_pem(stamp: Stamp) -> bytes:
    """Return, in PEM (the format that openssl reads), the certificates that prove a stamp. Those
    that are stored in DER are converted.
    """
    if b"-----BEGIN" in stamp.authorities:
        return stamp.authorities
    from ssl import DER_cert_to_PEM_cert  # noqa: PLC0415 - slow to load, and rarely needed

    return DER_cert_to_PEM_cert(stamp.authorities).encode()


def exported_files(exported: ExportedItem, prefix: str = "") -> dict[str, bytes]:
    """Return the files of an export by name. The item comes first.

    If the item is stamped, its salt follows, and then the manifest, token and certificates of each
    stamp.
    """
    item = f"{prefix}item-{exported.item.number}"
    files = {item + file_suffix(exported.data): exported.data}
    if exported.stamps:
        files[f"{item}.salt"] = exported.item.salt.reveal()
    for number, stamp in exported.stamps.items():
        files[f"{prefix}stamp-{number}.json"] = stamp.manifest
        files[f"{prefix}stamp-{number}.tsr"] = stamp.token
        files[f"{prefix}stamp-{number}.pem"] = stamp_certificates_pem(stamp)
    return files


def explain_how_to_check_stamp(files: Sequence[str]) -> tuple[str, ...]:
    """Return instructions with which the recipient of the exported files can check the first stamp.

    ``files`` are the names of the files, in the order of :func:`exported_files`.
    """
    item, *beside = files
    if not beside:
        return (translated("It is not stamped, so no file beside it proves a time."),)
    salt, manifest, token, ca = beside[:4]
    verify = ["openssl", "ts", "-verify", "-in", token, "-data", manifest, "-CAfile", ca]
    return (
        translated(
            "Anyone who has these files can check the stamp, with the authority's certificate:"
        ),
        f"  {shlex.join(verify)}",
        translated("To print the hash of this item, which is also in the stamped file:"),
        f"  {shlex.join(['cat', salt, item])} | sha256sum",
    )
