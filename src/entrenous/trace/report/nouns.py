"""The parts of a report, and its errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from entrenous.base.copies import CopyProof
from entrenous.base.errors import Malformed, NotFound, Refused, Unproven
from entrenous.base.secret import Secret
from entrenous.watermark.verdict import Finding


@dataclass(frozen=True, slots=True)
class DisclosedCopy:
    """One copy: whom it was made for, the secret of its mark, its file's SHA-256, and its figures.

    ``first_score`` is the score in round 0; ``score`` and ``chance`` belong to round ``round``.
    ``proof`` is None if the copy was not sent by Entrenous, or if its label is blinded. If no
    device signed a receipt for the copy, ``proof`` contains no receipts.
    """

    to: str
    seed: Secret
    sha256: bytes
    first_score: float
    round: int
    score: float
    chance: float
    likelihood_ratio: float
    proof: CopyProof | None = None


@dataclass(frozen=True, slots=True)
class CommonReportFacts:
    """The facts in a report that do not belong to one copy: the two files, and shared settings.

    ``size_px`` and ``finer`` are as in SentPicture. ``compared`` is the number of copies that the
    chances are corrected for.
    """

    leak_sha256: bytes
    original_sha256: bytes
    size_px: int | None
    finer: int
    dither: Secret
    compared: int


@dataclass(frozen=True, slots=True)
class ExaminedEvidence:
    """What was found without any secret: the registration and the evidence.

    ``homography`` has 9 numbers; ``evidence_sha256`` is the SHA-256 of the evidence as
    little-endian float32.
    """

    homography: tuple[float, ...]
    inliers: int
    misfit: float
    chips: int
    evidence_sha256: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """A report without its digest and signature, which exist only in the written form."""

    made_at: datetime
    made_with: Mapping[str, str]
    trace: int
    message: str
    given: CommonReportFacts
    examined: ExaminedEvidence
    alpha: float
    copies: tuple[DisclosedCopy, ...]
    finding: Finding
    named: tuple[str, ...]
    cards: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportSignature:
    """A device's Ed25519 key (32 bytes) and its signature (64 bytes) over a report's digest."""

    device: bytes
    signature: bytes


class BadReport(Malformed):
    """
    Entrenous cannot read this verdict report: {why}. Nothing was checked. Ask whoever sent it for
    the unchanged file.
    """


class OlderReport(Malformed):
    """
    An earlier version of Entrenous wrote this report, in format version {version}; the version that
    you are using reads format version {ours}. Nothing was checked. Check the report with the
    version that wrote it, or ask its author to write it again: entrenous verdict disclose
    """


class NewerReport(Malformed):
    """
    A newer version of Entrenous wrote this report, in format version {version}; the version that
    you are using reads format version {ours}. Nothing was checked. Update Entrenous: {update}
    """


class ReportCheckFailed(Unproven):
    """
    This report is not valid, because the report and the check differ in this: {what}. In the
    report: {said}. In the check: {found}. Either the report was wrong when it was made, or it was
    changed afterwards, or these are not the files that it is about. Ask whoever sent the report for
    the unchanged report and for the files that belong to it. If the check fails again, do not rely
    on the report.
    """


class FileDiffersFromTrace(Unproven):
    """
    This is not the file of trace {number}, since its SHA-256 is {found} and that of the traced file
    is {said}. Nothing was written. Choose the file that you traced. Or trace this file, and
    disclose the new trace: entrenous trace FILE
    """


class NothingToDisclose(NotFound):
    """
    No picture that you sent could be matched to the file of trace {number}, so there are no marks
    to disclose. Nothing was written.
    """


class OnlyPictureTracesDisclosed(NotFound):
    """
    A report can disclose only the marks of single pictures. Trace {number} is about a clip, a still
    from a clip, or a sound. Nothing was written. To explain this trace without disclosing marks:
    entrenous trace FILE --explain DIR
    """


class TraceTooOldToDisclose(Refused):
    """
    Either trace {number} does not say how many copies were compared, or the picture was marked for
    more people after this trace. Nothing was written. First trace the file again: entrenous trace
    FILE. Then disclose the new trace.
    """
