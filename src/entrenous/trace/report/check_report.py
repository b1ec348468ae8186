"""Check a report: repeat every computation, and stop at the first difference.

Receipts that the recipients' devices signed prove what happened to the named copies
(docs/spec/receipts.md section 3). A "card" is a recipient's key bundle.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from entrenous.base.copies import Copy, CopyProof, ReceiptEvent, ReceiptStatement, SignedReceipt
from entrenous.base.identifiers import PersonId, RecipientId
from entrenous.base.identity import CertifiedDevice, KeyBundle, Person
from entrenous.base.limits import FALSE_NAMING_CHANCE_MAX
from entrenous.base.picture import Picture
from entrenous.crypto.hashing import mark_commitment, mark_commitments_hash, sha256
from entrenous.crypto.identity_keys import verify_device_ed25519_signature
from entrenous.crypto.statements import (
    device_list_head,
    devices_on_list,
    verify_key_bundle,
    verify_receipt,
)
from entrenous.media.resize import shrink_picture
from entrenous.trace.report.examine import examine_found_picture, program_versions
from entrenous.trace.report.nouns import DisclosedCopy, ExaminedEvidence, Report, ReportCheckFailed
from entrenous.trace.report.recompute import (
    finding_and_named,
    remake_copy,
    score_copies,
    upper_tail,
    with_recomputed_figures,
)
from entrenous.trace.report.report_format import read_report
from entrenous.watermark.verdict import Finding
from entrenous.wire.key_bundle import read_key_bundle
from entrenous.wire.receipt import (
    read_receipt_proof,
    read_receipt_statement,
    write_committed_mark,
    write_mark_commitments,
)


def proof_of_copy(copy: Copy, proofs: Iterable[CopyProof]) -> CopyProof | None:
    """Return the proof of one copy; None if no proof is about the device that the copy was sent to.

    The proof has no receipts if that device signed none. Its ``place`` is the position of the
    commitment that opens to this copy, or 1 if no commitment does.
    """
    for proof in proofs:
        if copy.nonce is not None and (proof.person, proof.device) == (copy.person, copy.device):
            places = range(1, len(proof.marks) + 1)
            fits = (
                place
                for place in places
                if _recomputed_commitment(proof, place, copy) == _commitment_at(proof, place)
            )
            return replace(proof, place=next(fits, 1), nonce=copy.nonce)
    return None


def key_bundles_for_receipts(
    copies: Iterable[DisclosedCopy], cards: Iterable[bytes]
) -> tuple[bytes, ...]:
    """Return those cards that contain a device list named in a receipt for one of these copies."""
    proofs = [copy.proof for copy in copies if copy.proof is not None]
    said = [read_receipt_statement(one.statement) for proof in proofs for one in proof.receipts]
    heads = {one.head for one in said}
    return tuple(card for card in cards if heads & _list_heads(read_key_bundle(card)))


def check_copy_receipts(
    copies: Iterable[DisclosedCopy], cards: Iterable[bytes]
) -> Mapping[str, tuple[ReceiptStatement, ...]]:
    """Check the receipts of these copies.

    Returns: for each label, what the copy's devices signed. Copies without receipts are left out.

    Raises:
        ReportCheckFailed: a seed, nonce and hash do not open the commitment that a receipt covers;
            a receipt is for a different copy; its signer's card is missing; or the receipts name
            several senders.
        BadSignature, BadKeyBundle, BadReceipt.
    """
    people = [(verify_key_bundle(card), card) for card in map(read_key_bundle, cards)]
    signed = {}
    for copy in copies:
        if copy.proof is not None and copy.proof.receipts:
            _check_commitment(copy, copy.proof)
            receipts = copy.proof.receipts
            signed[copy.to] = tuple(
                _check_receipt(one, copy, copy.proof, people) for one in receipts
            )
    _require_one_sender(one.sender for said in signed.values() for one in said)
    return signed


def receipt_signer(signed: Iterable[ReceiptStatement]) -> PersonId | None:
    """Return the person whose keys signed the receipts of one copy; None without receipts.

    The person's card proves this. A label, in contrast, is only the sender's name for that person.
    """
    return next((one.recipient for one in signed), None)


def was_opened(signed: Iterable[ReceiptStatement]) -> bool:
    """Return whether a device signed that it opened its copy."""
    return any(one.event in {ReceiptEvent.OPENED, ReceiptEvent.EXPORTED} for one in signed)


def _require_one_sender(senders: Iterable[PersonId]) -> None:
    several = set(senders)
    if len(several) > 1:
        found = ", ".join(sorted(one.hex() for one in several))
        raise ReportCheckFailed(what="the sender in the receipts", said="one sender", found=found)


def _check_commitment(copy: DisclosedCopy, proof: CopyProof) -> None:
    """Check that the commitment is to this copy's seed and file."""
    said = _commitment_at(proof, proof.place)
    if proof.nonce is None or said is None:
        raise _receipt_error(copy, "a commitment with its nonce", "none")
    made = Copy(
        RecipientId(copy.to), copy.seed, copy.sha256, proof.person, proof.device, proof.nonce
    )
    found = _recomputed_commitment(proof, proof.place, made)
    if found != said:
        raise _receipt_error(
            copy, f"commitment {said.hex()}", f"{found.hex()} for this mark and file"
        )


def _recomputed_commitment(proof: CopyProof, place: int, copy: Copy) -> bytes:
    return mark_commitment(write_committed_mark(proof.message, place, copy))


def _commitment_at(proof: CopyProof, place: int) -> bytes | None:
    return proof.marks[place - 1]


def _check_receipt(
    receipt: SignedReceipt,
    copy: DisclosedCopy,
    proof: CopyProof,
    people: Iterable[tuple[Person, KeyBundle]],
) -> ReceiptStatement:
    said = read_receipt_statement(receipt.statement)
    wanted = (
        *(proof.message, proof.person, proof.device),
        mark_commitments_hash(write_mark_commitments(proof.marks)),
    )
    if (said.message, said.recipient, said.device, said.marks) != wanted:
        raise _receipt_error(copy, "a receipt for this copy", "one for another copy")
    key = _signing_key(said, copy, people)
    verify_receipt(receipt.statement, read_receipt_proof(receipt.proof), key)
    return said


def _signing_key(
    statement: ReceiptStatement, copy: DisclosedCopy, people: Iterable[tuple[Person, KeyBundle]]
) -> CertifiedDevice:
    for person, card in people:
        if person.id == statement.recipient:
            for key in devices_on_list(person, card, statement.head):
                if key.device == statement.device:
                    return key
    raise _receipt_error(copy, "a device of its recipient's list", "no card with that list")


def _list_heads(card: KeyBundle) -> set[bytes]:
    """Return the heads (hashes) of all device lists in a card."""
    return {device_list_head(one.statement) for one in card.lists}


def _receipt_error(copy: DisclosedCopy, said: str, found: str) -> ReportCheckFailed:
    return ReportCheckFailed(what=f"what the device of {copy.to} signed", said=said, found=found)


SIGNATURE_CONTEXT: Final = b"entrenous/1 verdict report"
# the largest number of compared copies that a check states; a larger one would say no more
COMPARED_COPIES_MAX: Final = 10**15
# largest accepted differences from the report's score, absolute and relative; the larger one counts
_SCORE_TOLERANCES: Final = (0.02, 1e-3)
_MISFIT_TOLERANCE: Final = 0.01
_CORNER_TOLERANCE_PX: Final = 0.05
ReadPicture = Callable[[bytes], Picture]


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """The input of a check: the report, the found file, the original, and perhaps a copy."""

    untrusted_report: bytes
    untrusted_leak: bytes
    untrusted_original: bytes
    untrusted_copy: bytes | None = None


@dataclass(frozen=True, slots=True)
class CheckedReport:
    """The result of checking a report in which nothing was wrong.

    ``program_differences`` has the parts of the program that differ: for each part's name, the two
    versions (there, here). If it is empty, everything agreed bit for bit. ``copy_of`` are the
    labels of the given copy. They may be several, because copies of a tiny plain picture may be
    identical files. ``compared_max`` is the largest number of compared copies, up to
    ``COMPARED_COPIES_MAX``, with which the same copies would be named; it is None if no copy is
    named. ``signed`` has, by label, what the recipients' devices signed.
    """

    report: Report
    digest: bytes
    signed_by: bytes | None
    program_differences: Mapping[str, tuple[str, str]]
    copy_of: tuple[str, ...]
    compared_max: int | None
    signed: Mapping[str, tuple[ReceiptStatement, ...]]


def check_report(
    files: ReportInputs,
    read_picture: ReadPicture,
    report_progress: Callable[[int, int], None] = lambda _, __: None,
) -> CheckedReport:
    """Repeat a report from the files that it is about.

    Args:
        files: the files as they were handed over.
        read_picture: a decoder for untrusted pictures.
        report_progress: called with the number of copies recreated so far, and the number of all
            copies.

    Raises:
        BadReport: the report cannot be read, or its digest is wrong.
        OlderReport, NewerReport: the report has a different format version.
        ReportCheckFailed: something else in the report is not true, or a file is not the one that
            the report is about.
        BadSignature: the report's or a receipt's signature is wrong.
        BadKeyBundle, BadReceipt: its receipts or cards cannot be read.
        NotAPicture, IncompletePicture, TooManyPixels, PictureDecodingFailed.
    """
    report, digest, signature = read_report(files.untrusted_report, sha256)
    signed = check_copy_receipts(report.copies, report.cards)
    if signature is not None:
        verify_device_ed25519_signature(
            signature.device, SIGNATURE_CONTEXT, digest, signature.signature, what="report"
        )
    _require_same_file("the found file", files.untrusted_leak, report.given.leak_sha256)
    _require_same_file("the original", files.untrusted_original, report.given.original_sha256)
    program_differences = _version_differences(report.made_with, program_versions())
    original = _resize_as_sent(read_picture(files.untrusted_original), report.given.size_px)
    evidence = examine_found_picture(read_picture(files.untrusted_leak), original)
    if evidence is None:
        raise _difference_error(
            "how the found file matches the original", "it matches", "it does not"
        )
    exact = not program_differences
    _require_same_evidence(report.examined, evidence.figures, original, exact=exact)
    recomputed = score_copies(
        report.copies, original, evidence.per_chip, report.given.compared, FALSE_NAMING_CHANCE_MAX
    )
    _require_same_figures(report, recomputed, exact=exact)
    for number, copy in enumerate(report.copies, 1):
        _require_same_copy(copy, remake_copy(report.given, original, evidence.prepared, copy.seed))
        report_progress(number, len(report.copies))
    return CheckedReport(
        report=report,
        digest=digest,
        signed_by=signature.device if signature else None,
        program_differences=program_differences,
        copy_of=()
        if files.untrusted_copy is None
        else _labels_of_copy(files.untrusted_copy, report),
        compared_max=_largest_compared_count(report),
        signed=signed,
    )


def _require_same_file(what: str, data: bytes, said: bytes) -> None:
    found = sha256(data)
    if found != said:
        raise _difference_error(what, f"SHA-256 {said.hex()}", f"{found.hex()}")


def _version_differences(
    there: Mapping[str, str], here: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    names = sorted({*there, *here})
    pairs = {name: (there.get(name, "nothing"), here.get(name, "nothing")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _resize_as_sent(picture: Picture, size_px: int | None) -> Picture:
    return picture if size_px is None else shrink_picture(picture, size_px)


def _require_same_evidence(
    said: ExaminedEvidence, found: ExaminedEvidence, original: Picture, *, exact: bool
) -> None:
    if said.chips != found.chips:
        raise _difference_error("the number of a mark's steps", said.chips, found.chips)
    if exact and said != found:
        raise _difference_error(
            "the evidence of the found file",
            _shorten_evidence_figures(said),
            _shorten_evidence_figures(found),
        )
    if abs(said.misfit - found.misfit) > _MISFIT_TOLERANCE or not _have_same_corners(
        said, found, original
    ):
        raise _difference_error(
            "how the found file matches the original",
            _shorten_evidence_figures(said),
            _shorten_evidence_figures(found),
        )


def _have_same_corners(
    reported: ExaminedEvidence, found: ExaminedEvidence, original: Picture
) -> bool:
    """Return whether both homographies map the original's corners to the same places."""
    right, bottom = original.width_px - 1.0, original.height_px - 1.0
    corners = np.array([[0, right, right, 0], [0, 0, bottom, bottom], [1, 1, 1, 1]], np.float64)
    # a report may contain any nine numbers; with NaN, the comparison below fails
    with np.errstate(all="ignore"):
        one, other = (
            np.reshape(figures.homography, (3, 3)) @ corners for figures in (reported, found)
        )
        distance = np.abs(one[:2] / one[2] - other[:2] / other[2])
    return bool(np.all(distance <= _CORNER_TOLERANCE_PX))


def _require_same_figures(
    report: Report, recomputed: Sequence[DisclosedCopy], *, exact: bool
) -> None:
    """Compare scores with those computed here, and chances with those that the scores imply."""
    follow = recomputed if exact else with_recomputed_figures(report.copies, report.given.compared)
    for said, found, own in zip(report.copies, recomputed, follow, strict=True):
        rounds = said.round, found.round
        if rounds[0] != rounds[1]:
            raise _difference_error(f"the round of the copy for {said.to}", *rounds)
        for one, other in ((said.first_score, found.first_score), (said.score, found.score)):
            allowed = 0.0 if exact else max(_SCORE_TOLERANCES[0], _SCORE_TOLERANCES[1] * abs(one))
            if abs(one - other) > allowed:
                raise _difference_error(f"the score of the copy for {said.to}", one, other)
        if said.chance != own.chance or said.likelihood_ratio != own.likelihood_ratio:
            raise _difference_error(f"the chance for {said.to}", said.chance, own.chance)
    if report.alpha != FALSE_NAMING_CHANCE_MAX:
        raise _difference_error("the accepted chance", report.alpha, FALSE_NAMING_CHANCE_MAX)
    for copies in (report.copies, recomputed):
        verdict, named = finding_and_named(copies, report.alpha)
        if (verdict, named) != (report.finding, report.named):
            raise _difference_error(
                "the finding",
                _describe_verdict(report.finding, report.named),
                _describe_verdict(verdict, named),
            )


def _require_same_copy(copy: DisclosedCopy, data: bytes) -> None:
    if sha256(data) != copy.sha256:
        raise _difference_error(
            f"the copy for {copy.to}, made again from its secret and the original",
            f"SHA-256 {copy.sha256.hex()} when it was made",
            sha256(data).hex(),
        )


def _labels_of_copy(untrusted_copy: bytes, report: Report) -> tuple[str, ...]:
    found = sha256(untrusted_copy)
    whose = tuple(copy.to for copy in report.copies if copy.sha256 == found)
    if not whose:
        raise _difference_error(
            "the copy that you gave",
            f"the SHA-256 hashes of {len(report.copies)} copies",
            f"SHA-256 {found.hex()}, which is none of these",
        )
    return whose


def _largest_compared_count(report: Report) -> int | None:
    """Return the largest number of compared copies with which the same copies would be named."""
    if not report.named:
        return None
    named = (copy for copy in report.copies if copy.to in report.named)
    return min(
        COMPARED_COPIES_MAX, *(_largest_compared_count_for(copy, report.alpha) for copy in named)
    )


def _largest_compared_count_for(copy: DisclosedCopy, alpha: float) -> int:
    spent = alpha / 2.0 ** min(copy.round + 1, 1000)
    return int(-math.log1p(-spent) / upper_tail(copy.score))


def _difference_error(what: str, said: object, found: object) -> ReportCheckFailed:
    return ReportCheckFailed(what=what, said=said, found=found)


def _describe_verdict(verdict: Finding, named: Sequence[str]) -> str:
    return f"{verdict}: {', '.join(named)}" if named else str(verdict)


def _shorten_evidence_figures(figures: ExaminedEvidence) -> str:
    return (
        f"evidence {figures.evidence_sha256.hex()[:16]}, {figures.inliers} points, misfit "
        f"{figures.misfit!r}"
    )
