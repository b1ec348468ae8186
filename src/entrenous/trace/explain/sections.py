"""The sections of a forensic report, assembled once for the page and the PDF."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import numpy as np

from entrenous.base.identifiers import RecipientId
from entrenous.base.language import plural, translated
from entrenous.base.limits import FALSE_NAMING_CHANCE_MAX
from entrenous.base.picture import Picture
from entrenous.crypto.hashing import sha256
from entrenous.device.device import Device
from entrenous.device.sent_copies import pseudonymized_labels
from entrenous.trace.explain.drawing import Drawing
from entrenous.trace.explain.plots import (
    describe_tone_curve,
    score_plot,
    tone_curve,
    tone_plot,
)
from entrenous.trace.explain.report_pictures import ReportPictures, make_report_pictures
from entrenous.trace.explain.wording import (
    chance_in_digits,
    describe_alignment,
    describe_matched_span,
    describe_method,
    describe_scale,
    finding_line,
    further_message_lines,
    likelihood_ratio_in_digits,
    missing_messages_line,
    named_copy_lines,
    nobody_named_lines,
    support_in_words,
)
from entrenous.trace.originals import decode_original_of
from entrenous.trace.picture import PictureTrace, warp_onto_sent
from entrenous.trace.picture_fit import PictureFit
from entrenous.trace.report.examine import program_versions
from entrenous.trace.trace_file import FileTrace
from entrenous.watermark.verdict import Finding, Trace, Verdict, lowest_naming_score

_SCORE_ROWS_MAX: Final = 20
# accepted chance that the first round of a picture's trace names an innocent copy; see
# watermark/verdict.py
_FIRST_ROUND_ALPHA: Final = FALSE_NAMING_CHANCE_MAX / 2
_REPORTED_BEND_PX_MIN: Final = 0.5  # a smaller distortion is not a deliberate change
# sum of the luma table in ITU-T T.81, table K.1, which is libjpeg's quality 50
_LUMA_TABLE_SUM_AT_QUALITY_50: Final = 3679
LabelledFacts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """Options of a report.

    If ``blind``, the copies that are not identified are called "copy 2", "copy 3" and so on.
    ``veiled`` removes the content of the pictures.
    """

    blind: bool = False
    veiled: bool = False


@dataclass(frozen=True, slots=True)
class CopyScoreRow:
    label: str
    score: str
    chance: str
    ratio: str
    support: str
    named: bool


@dataclass(frozen=True, slots=True)
class ReportContent:
    """The content of a report before rendering, as plain text that the renderer escapes."""

    number: int
    at: datetime
    made_at: str
    file_name: str
    finding: Finding
    headline: str
    named: tuple[tuple[str, list[str]], ...]
    remarks: tuple[str, ...]
    rows: tuple[CopyScoreRow, ...]
    unlisted: str
    plot: Drawing | None
    undone: LabelledFacts
    tone: Drawing | None
    pictures: ReportPictures | None
    method: tuple[str, ...]
    identity: LabelledFacts
    versions: LabelledFacts


@dataclass(frozen=True, slots=True)
class PictureReportDetails:
    """The details that the report of a found picture adds to the trace.

    ``undone`` describes the changes that were reversed, and ``files`` describes the files. ``tone``
    is the plot of the tone curve. ``chips`` is the number of chips in a mark. ``forecast`` is the
    score expected of the copy that leaked.
    """

    undone: LabelledFacts = ()
    files: LabelledFacts = ()
    tone: Drawing | None = None
    pictures: ReportPictures | None = None
    chips: int | None = None
    forecast: float | None = None


def report_content_of_file(
    traced: FileTrace, untrusted_data: bytes, name: str, device: Device, choices: ReportOptions
) -> ReportContent:
    """Assemble the report of a traced file; arguments as for :func:`report_content_of_picture`."""
    if traced.picture_trace is None:
        content = report_content_of_trace(traced.trace, name, choices)
    else:
        content = report_content_of_picture(
            traced.picture_trace, untrusted_data, name, device, choices
        )
    if not traced.lost:
        return content
    # This remark comes first because it may explain why no copy stands out.
    return replace(content, remarks=(missing_messages_line(traced.lost), *content.remarks))


def report_content_of_picture(
    picture_trace: PictureTrace,
    untrusted_data: bytes,
    name: str,
    device: Device,
    choices: ReportOptions,
) -> ReportContent:
    """Assemble the report of a traced picture.

    Args:
        picture_trace: the trace and its evidence.
        untrusted_data: the found file's bytes.
        name: the file's name as the person knows it, for the report.
        device: the device whose vault has the original.
        choices: options of the report.
    """
    if not picture_trace.fits:
        return report_content_of_trace(picture_trace.trace, name, choices)
    fit = picture_trace.fits[0]
    original, warped = (
        decode_original_of(fit.picture, device),
        warp_onto_sent(picture_trace.found, fit),
    )
    curve = tone_curve(np.asarray(original), *warped)
    pictures = make_report_pictures(
        np.asarray(original),
        np.asarray(picture_trace.found),
        warped,
        fit.registration.homography,
        veiled=choices.veiled,
    )
    source = device.vault.read_stored_file(fit.picture.original)
    detail = PictureReportDetails(
        undone=(
            *_undone_changes(fit, picture_trace),
            (translated("Light and colour"), describe_tone_curve(curve)),
        ),
        files=_file_facts(untrusted_data, picture_trace.found, source, original),
        tone=tone_plot(curve),
        pictures=pictures,
        chips=fit.evidence.per_chip.size,
        forecast=fit.evidence.forecast,
    )
    return report_content_of_trace(picture_trace.trace, name, choices, detail)


def report_content_of_trace(
    trace: Trace, name: str, choices: ReportOptions, detail: PictureReportDetails | None = None
) -> ReportContent:
    """Assemble the report of any trace; ``detail`` has what the report of a picture adds."""
    verdict, extra = (
        trace.verdict,
        detail or PictureReportDetails(undone=_matched_part_facts(trace)),
    )
    labels = _shown_labels(verdict, blind=choices.blind)
    compared = max(1, trace.compared or len(verdict.score))
    alpha = FALSE_NAMING_CHANCE_MAX if extra.chips is None else _FIRST_ROUND_ALPHA
    needed = lowest_naming_score(compared, alpha=alpha)
    plotted = {labels[who]: score for who, score in verdict.score.items()}
    remarks = (
        nobody_named_lines(extra.forecast, needed) if verdict.finding is Finding.NOBODY else []
    )
    listed = sorted(verdict.score, key=verdict.score.__getitem__, reverse=True)
    return ReportContent(
        number=trace.number,
        at=trace.at,
        made_at=f"{trace.at:%d %B %Y, %H:%M} UTC".lstrip("0"),
        file_name=name,
        finding=verdict.finding,
        headline=finding_line(verdict.finding),
        named=tuple(named_copy_lines(verdict, [labels[who] for who in verdict.named])),
        remarks=(*remarks, *further_message_lines(trace.others)),
        rows=tuple(_copy_score_row(who, labels[who], verdict) for who in listed[:_SCORE_ROWS_MAX]),
        unlisted=_unlisted_copies_line([verdict.score[who] for who in listed[_SCORE_ROWS_MAX:]]),
        plot=score_plot(plotted, [labels[who] for who in verdict.named], needed)
        if plotted
        else None,
        undone=extra.undone,
        tone=extra.tone,
        pictures=extra.pictures,
        method=tuple(describe_method(extra.chips, compared, needed)),
        identity=(*_identity_facts(trace), *extra.files),
        versions=_program_version_facts(),
    )


def _identity_facts(trace: Trace) -> LabelledFacts:
    return (
        (
            translated("Trace"),
            translated("number {number}, {at} UTC").format(
                number=trace.number, at=f"{trace.at:%Y-%m-%d %H:%M:%S}"
            ),
        ),
        (translated("Message"), str(trace.message or translated("none that this device sent"))),
        (translated("Copies compared"), f"{trace.compared or len(trace.verdict.score):,}"),
        (translated("Found file, SHA-256"), trace.leak_sha256.hex()),
    )


def _shown_labels(verdict: Verdict, *, blind: bool) -> Mapping[RecipientId, str]:
    plotted = pseudonymized_labels(verdict.score, verdict.named) if blind else verdict.score
    return dict(zip(verdict.score, map(str, plotted), strict=True))


def _copy_score_row(who: RecipientId, label: str, verdict: Verdict) -> CopyScoreRow:
    ratio = verdict.likelihood_ratio[who]
    return CopyScoreRow(
        label=label,
        score=_number_with_minus_sign(verdict.score[who]),
        chance=chance_in_digits(verdict.chance[who]),
        ratio=likelihood_ratio_in_digits(ratio),
        support=support_in_words(ratio) if who in verdict.named else translated("not named"),
        named=who in verdict.named,
    )


def _unlisted_copies_line(scores: Sequence[float]) -> str:
    if not scores:
        return ""
    return plural(
        "{count} further copy is not listed; its score is {score}.",
        "{count} further copies are not listed; the highest of their scores is {score}.",
        len(scores),
    ).format(score=_number_with_minus_sign(max(scores)))


def _number_with_minus_sign(score: float) -> str:
    return f"{score:.1f}".replace("-", "\u2212")


def _undone_changes(fit: PictureFit, picture_trace: PictureTrace) -> LabelledFacts:
    warp, registration = fit.registration.warp, fit.registration
    placed = (
        translated("{inliers:,} points of both pictures agree").format(inliers=registration.inliers)
        if registration.inliers
        else translated("placed as a whole, without matching points")
    )
    alike = 100.0 * (1.0 - registration.misfit)
    tables = picture_trace.found.encoding.tables
    saved = picture_trace.found.encoding.format.value.upper()
    if tables and 0 in tables:
        saved += translated(", quality about {jpeg_quality}").format(
            jpeg_quality=_jpeg_quality(tables[0])
        )
    bent = (
        (
            translated("Bent"),
            translated("by up to {bent_px:.1f} pixels: a lens, a wave or curled paper").format(
                bent_px=warp.bent_px
            ),
        ),
    )
    return (
        (translated("Crop, turn, mirror"), describe_alignment(warp)),
        *(bent if warp.bent_px >= _REPORTED_BEND_PX_MIN else ()),
        (translated("Size"), describe_scale(warp.scale)),
        (translated("Saved as"), saved),
        (
            translated("How sure the position is"),
            translated("{placed}; {alike:.0f} % of the fine detail is the same").format(
                placed=placed, alike=alike
            ),
        ),
    )


def _jpeg_quality(table: Sequence[int]) -> int:
    """Estimate libjpeg's quality from a luma table's sum: the inverse of jcparam.c's scaling."""
    scale = 100.0 * sum(table) / _LUMA_TABLE_SUM_AT_QUALITY_50
    quality = (200.0 - scale) / 2.0 if scale <= 100.0 else 5000.0 / scale
    return min(100, max(1, round(quality)))


def _matched_part_facts(trace: Trace) -> LabelledFacts:
    return (
        ()
        if trace.span is None
        else ((translated("Which part"), describe_matched_span(trace.span)),)
    )


def _file_facts(leak: bytes, found: Picture, source: bytes, original: Picture) -> LabelledFacts:
    return (
        (
            translated("Found file"),
            translated("{count:,} bytes, {width_px} x {height_px} pixels").format(
                count=len(leak), width_px=found.width_px, height_px=found.height_px
            ),
        ),
        ("Original, SHA-256", sha256(source).hex()),
        (
            "Original",
            translated("{count:,} bytes, marked at {width_px} x {height_px} pixels").format(
                count=len(source), width_px=original.width_px, height_px=original.height_px
            ),
        ),
    )


def _program_version_facts() -> LabelledFacts:
    names = {
        "entrenous": "Entrenous",
        "python": "Python",
        "numpy": "NumPy",
        "scipy": "SciPy",
        "opencv": "OpenCV",
        "pillow": "Pillow",
        "machine": "System",
    }
    versions = program_versions()
    listed = ", ".join(f"{plotted} {versions[name]}" for name, plotted in names.items())
    return (
        (translated("Program"), listed),
        (translated("Its source, SHA-256"), versions["program"]),
    )
