"""Check a report: repeat everything in it, and refuse at the first thing that is not as it says."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from entrenous.craft.crypto.device import verify_device
from entrenous.craft.crypto.hashing import sha256
from entrenous.craft.media.resize import resize
from entrenous.craft.wire.report import read_report
from entrenous.model.picture import Picture
from entrenous.model.receipt import ReceiptStatement
from entrenous.model.report import DisclosedCopy, DoesNotHold, Examined, Report
from entrenous.model.verdict import Finding
from entrenous.spec import ALPHA
from entrenous.trace.explain.made_with import made_with
from entrenous.trace.report.check import finding, made_anew, scored, tail, with_figures
from entrenous.trace.report.examine import examine
from entrenous.trace.report.proof import check_proofs

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
