"""Check a report: repeat everything in it, and refuse at the first difference.

Recipients' own signatures prove what became of the copies that it names (docs/spec/receipts.md 3).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from entrenous.base.copies import Copy, CopyProof, Receipted, ReceiptEvent, ReceiptStatement
from entrenous.base.identifiers import PersonId, RecipientId
from entrenous.base.identity import Card, DeviceKey, DeviceList, ListedDevice, Person
from entrenous.base.limits import ALPHA
from entrenous.base.picture import Picture
from entrenous.crypto.hashing import mark_commitment, marks_hash, sha256
from entrenous.crypto.identity_keys import verify_device
from entrenous.crypto.statements import head_of, verify_card, verify_receipt
from entrenous.media.resize import resize
from entrenous.trace.report.examine import examine, made_with
from entrenous.trace.report.nouns import DisclosedCopy, DoesNotHold, Examined, Report
from entrenous.trace.report.recompute import finding, made_anew, scored, tail, with_figures
from entrenous.trace.report.report_format import read_report
from entrenous.watermark.verdict import Finding
from entrenous.wire.key_bundle import read_card
from entrenous.wire.receipt import (
    read_receipt_proof,
    read_receipt_statement,
    write_commitments,
    write_mark,
)


def proof_for(copy: Copy, proofs: Iterable[CopyProof]) -> CopyProof | None:
    """The proof of one copy, if its device was sent it: with the place of its commitment, or with
    the first if the ledger opens none.
    """
    for proof in proofs:
        if copy.nonce is not None and (proof.person, proof.device) == (copy.person, copy.device):
            places = range(1, len(proof.marks) + 1)
            fits = (
                place for place in places if _commitment(proof, place, copy) == _at(proof, place)
            )
            return replace(proof, place=next(fits, 1), nonce=copy.nonce)
    return None


def cards_for(copies: Iterable[DisclosedCopy], cards: Iterable[bytes]) -> tuple[bytes, ...]:
    """Those of these cards that prove a receipt of these copies: one for each list."""
    proofs = [copy.proof for copy in copies if copy.proof is not None]
    said = [read_receipt_statement(one.statement) for proof in proofs for one in proof.receipts]
    heads = {one.head for one in said}
    return tuple(card for card in cards if heads & _lists(read_card(card)).keys())


def check_proofs(
    copies: Iterable[DisclosedCopy], cards: Iterable[bytes]
) -> Mapping[str, tuple[ReceiptStatement, ...]]:
    """What the devices of these copies signed, by label, once everything about it holds; nothing is
    listed for a copy without receipts.

    Raises:
        DoesNotHold: a seed, a nonce and a hash do not open the commitment that a receipt covers, or
            a receipt is for another copy, or of nobody whose card is there; or they do not name one
            sender.
        BadSignature, BadCard, BadReceipt.
    """
    people = [(verify_card(card), card) for card in map(read_card, cards)]
    signed = {}
    for copy in copies:
        if copy.proof is not None and copy.proof.receipts:
            _opens(copy, copy.proof)
            receipts = copy.proof.receipts
            signed[copy.to] = tuple(_held(one, copy, copy.proof, people) for one in receipts)
    _one_sender(one.sender for said in signed.values() for one in said)
    return signed


def signer(signed: Iterable[ReceiptStatement]) -> PersonId | None:
    """Whose keys signed for one copy, as her card proves; None if nobody's did. A label is only
    what the sender calls her.
    """
    return next((one.recipient for one in signed), None)


def was_opened(signed: Iterable[ReceiptStatement]) -> bool:
    """Whether a device signed that it opened its copy."""
    return any(one.event in {ReceiptEvent.OPENED, ReceiptEvent.EXPORTED} for one in signed)


def _one_sender(senders: Iterable[PersonId]) -> None:
    several = set(senders)
    if len(several) > 1:
        found = ", ".join(sorted(one.hex() for one in several))
        raise DoesNotHold(what="who sent what was signed for", said="one sender", found=found)


def _opens(copy: DisclosedCopy, proof: CopyProof) -> None:
    """Return only if the commitment is to this copy's seed and file."""
    said = _at(proof, proof.place)
    if proof.nonce is None or said is None:
        raise _refused(copy, "a commitment with its nonce", "none")
    made = Copy(
        RecipientId(copy.to), copy.seed, copy.sha256, proof.person, proof.device, proof.nonce
    )
    found = _commitment(proof, proof.place, made)
    if found != said:
        raise _refused(copy, f"commitment {said.hex()}", f"{found.hex()} for this mark and file")


def _commitment(proof: CopyProof, place: int, copy: Copy) -> bytes:
    return mark_commitment(write_mark(proof.message, place, copy))


def _at(proof: CopyProof, place: int) -> bytes | None:
    return proof.marks[place - 1]


def _held(
    receipt: Receipted,
    copy: DisclosedCopy,
    proof: CopyProof,
    people: Iterable[tuple[Person, Card]],
) -> ReceiptStatement:
    said = read_receipt_statement(receipt.statement)
    wanted = (
        *(proof.message, proof.person, proof.device),
        marks_hash(write_commitments(proof.marks)),
    )
    if (said.message, said.recipient, said.device, said.marks) != wanted:
        raise _refused(copy, "a receipt for this copy", "one for another copy")
    key = _key(said, copy, people)
    verify_receipt(receipt.statement, read_receipt_proof(receipt.proof), key)
    return said


def _key(
    said: ReceiptStatement, copy: DisclosedCopy, people: Iterable[tuple[Person, Card]]
) -> DeviceKey:
    for person, card in people:
        listed = _lists(card).get(said.head)
        if person.id != said.recipient or listed is None:
            continue
        for key, now in zip(person.devices, card.newest.said.devices, strict=True):
            if key.device == said.device and _same_device(now, listed):
                return key
    raise _refused(copy, "a device of its recipient's list", "no card with that list")


def _lists(card: Card) -> Mapping[bytes, DeviceList]:
    """The lists of a card, by head: the newest, and those that led to it."""
    return {head_of(one.statement): one.said for one in card.lists}


def _same_device(now: ListedDevice, listed: DeviceList) -> bool:
    """Whether a list has the device with the certificate that it has now."""
    return (now.device, now.proof) in {(one.device, one.proof) for one in listed.devices}


def _refused(copy: DisclosedCopy, said: str, found: str) -> DoesNotHold:
    return DoesNotHold(what=f"what the device of {copy.to} signed", said=said, found=found)


SIGNED: Final = b"entrenous/1 verdict report"
MOST: Final = 10**15  # copies; a larger number tells nobody more
_SCORE_AWAY: Final = (0.02, 1e-3)  # absolute, and relative to the score
_MISFIT_AWAY: Final = 0.01
_CORNER_AWAY_PX: Final = 0.05
ReadPicture = Callable[[bytes], Picture]


@dataclass(frozen=True, slots=True)
class Files:
    """What a check is given: the report, the found file, the original, perhaps a copy."""

    untrusted_report: bytes
    untrusted_leak: bytes
    untrusted_original: bytes
    untrusted_copy: bytes | None = None


@dataclass(frozen=True, slots=True)
class Repeated:
    """A report that holds.

    ``elsewhere`` maps what is different here from where the report was made to (there, here); empty
    means that everything agreed bit for bit. ``copy_of`` are the labels of the copy in hand: copies
    of a tiny plain picture may be one file.
    ``most`` is how many copies could have been compared with the same copies named, up to ``MOST``;
    None when none is named. ``signed`` is, by label, what the devices of copies signed.
    """

    report: Report
    digest: bytes
    signed_by: bytes | None
    elsewhere: Mapping[str, tuple[str, str]]
    copy_of: tuple[str, ...]
    most: int | None
    signed: Mapping[str, tuple[ReceiptStatement, ...]]


def check_report(
    files: Files, read_picture: ReadPicture, tell: Callable[[int, int], None] = lambda _, __: None
) -> Repeated:
    """Repeat a report from the files that it is about.

    Args:
        files: as they were handed over.
        read_picture: decodes what strangers made.
        tell: is told how many copies were made anew, and of how many.

    Raises:
        BadReport: it can't be read, or its digest does not fit.
        OlderReport, NewerReport: another version of Entrenous wrote it.
        DoesNotHold: something else is not as it says.
        BadSignature: its signature is not that of the key beside it, or a receipt's is none.
        BadCard, BadReceipt: what it says of receipts can't be read.
        NotAPicture, CutShort, TooManyPixels, DecoderGaveUp.
    """
    report, digest, signature = read_report(files.untrusted_report, sha256)
    signed = check_proofs(report.copies, report.cards)
    if signature is not None:
        verify_device(signature.device, SIGNED, digest, signature.signature, what="report")
    _same_file("the found file", files.untrusted_leak, report.given.leak_sha256)
    _same_file("the original", files.untrusted_original, report.given.original_sha256)
    elsewhere = _differences(report.made_with, made_with())
    original = _reduced(read_picture(files.untrusted_original), report.given.size_px)
    evidence = examine(read_picture(files.untrusted_leak), original)
    if evidence is None:
        raise _differs("how the found file lies on the original", "that it does", "not found")
    exact = not elsewhere
    _same_evidence(report.examined, evidence.figures, original, exact=exact)
    anew = scored(report.copies, original, evidence.per_chip, report.given.compared, ALPHA)
    _same_figures(report, anew, exact=exact)
    for number, copy in enumerate(report.copies, 1):
        _same_copy(copy, made_anew(report.given, original, evidence.prepared, copy.seed))
        tell(number, len(report.copies))
    return Repeated(
        report=report,
        digest=digest,
        signed_by=signature.device if signature else None,
        elsewhere=elsewhere,
        copy_of=() if files.untrusted_copy is None else _whose(files.untrusted_copy, report),
        most=_most(report),
        signed=signed,
    )


def _same_file(what: str, data: bytes, said: bytes) -> None:
    found = sha256(data)
    if found != said:
        raise _differs(what, f"SHA-256 {said.hex()}", f"{found.hex()}")


def _differences(there: Mapping[str, str], here: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    names = sorted({*there, *here})
    pairs = {name: (there.get(name, "nothing"), here.get(name, "nothing")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _reduced(picture: Picture, size_px: int | None) -> Picture:
    return picture if size_px is None else resize(picture, size_px)


def _same_evidence(said: Examined, found: Examined, original: Picture, *, exact: bool) -> None:
    if said.chips != found.chips:
        raise _differs("the number of a mark's steps", said.chips, found.chips)
    if exact and said != found:
        raise _differs("the evidence of the found file", _short(said), _short(found))
    if abs(said.misfit - found.misfit) > _MISFIT_AWAY or not _close(said, found, original):
        raise _differs("how the found file lies on the original", _short(said), _short(found))


def _close(said: Examined, found: Examined, original: Picture) -> bool:
    """Whether both homographies put the original's corners on the same places."""
    right, bottom = original.width_px - 1.0, original.height_px - 1.0
    corners = np.array([[0, right, right, 0], [0, 0, bottom, bottom], [1, 1, 1, 1]], np.float64)
    with np.errstate(all="ignore"):  # a report may hold any nine numbers; NaN is not close
        one, other = (np.reshape(figures.homography, (3, 3)) @ corners for figures in (said, found))
        away = np.abs(one[:2] / one[2] - other[:2] / other[2])
    return bool(np.all(away <= _CORNER_AWAY_PX))


def _same_figures(report: Report, anew: Sequence[DisclosedCopy], *, exact: bool) -> None:
    """Scores as computed here; chances and ratios as they follow from the report's own scores."""
    follow = anew if exact else with_figures(report.copies, report.given.compared)
    for said, found, own in zip(report.copies, anew, follow, strict=True):
        rounds = said.round, found.round
        if rounds[0] != rounds[1]:
            raise _differs(f"the round of the copy for {said.to}", *rounds)
        for one, other in ((said.first_score, found.first_score), (said.score, found.score)):
            allowed = 0.0 if exact else max(_SCORE_AWAY[0], _SCORE_AWAY[1] * abs(one))
            if abs(one - other) > allowed:
                raise _differs(f"the score of the copy for {said.to}", one, other)
        if said.chance != own.chance or said.likelihood_ratio != own.likelihood_ratio:
            raise _differs(f"the chance for {said.to}", said.chance, own.chance)
    if report.alpha != ALPHA:
        raise _differs("the accepted chance", report.alpha, ALPHA)
    for copies in (report.copies, anew):
        verdict, named = finding(copies, report.alpha)
        if (verdict, named) != (report.finding, report.named):
            raise _differs(
                "the finding", _verdict(report.finding, report.named), _verdict(verdict, named)
            )


def _same_copy(copy: DisclosedCopy, data: bytes) -> None:
    if sha256(data) != copy.sha256:
        raise _differs(
            f"the copy for {copy.to}, made anew from its secret and the original",
            f"SHA-256 {copy.sha256.hex()} when it was made",
            sha256(data).hex(),
        )


def _whose(untrusted_copy: bytes, report: Report) -> tuple[str, ...]:
    found = sha256(untrusted_copy)
    whose = tuple(copy.to for copy in report.copies if copy.sha256 == found)
    if not whose:
        raise _differs("the copy in hand", "which copies there are", f"none of them: {found.hex()}")
    return whose


def _most(report: Report) -> int | None:
    """How many copies could have been compared with the same copies named, up to ``MOST``."""
    if not report.named:
        return None
    named = (copy for copy in report.copies if copy.to in report.named)
    return min(MOST, *(_most_for(copy, report.alpha) for copy in named))


def _most_for(copy: DisclosedCopy, alpha: float) -> int:
    spent = alpha / 2.0 ** min(copy.round + 1, 1000)
    return int(-math.log1p(-spent) / tail(copy.score))


def _differs(what: str, said: object, found: object) -> DoesNotHold:
    return DoesNotHold(what=what, said=said, found=found)


def _verdict(verdict: Finding, named: Sequence[str]) -> str:
    return f"{verdict}: {', '.join(named)}" if named else str(verdict)


def _short(figures: Examined) -> str:
    return (
        f"evidence {figures.evidence_sha256.hex()[:16]}, {figures.inliers} points, misfit "
        f"{figures.misfit!r}"
    )
