"""Write a report with the marks of one picture, and what they show about a found file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from entrenous.base.copies import CopyProof, MessageProofs
from entrenous.base.limits import FALSE_NAMING_CHANCE_MAX
from entrenous.base.picture import Picture
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.crypto.identity_keys import ed25519_public_key, sign_with_device_ed25519
from entrenous.device.device import Device
from entrenous.device.identities import NameOf
from entrenous.device.sent_copies import current_labels, name_when_sent, pseudonymized_labels
from entrenous.device.sent_messages import Message, SentPicture
from entrenous.trace.originals import decode_original_of
from entrenous.trace.report.check_report import (
    SIGNATURE_CONTEXT,
    key_bundles_for_receipts,
    proof_of_copy,
)
from entrenous.trace.report.examine import (
    ExaminationResult,
    examine_found_picture,
    program_versions,
)
from entrenous.trace.report.nouns import (
    CommonReportFacts,
    DisclosedCopy,
    FileDiffersFromTrace,
    NothingToDisclose,
    OnlyPictureTracesDisclosed,
    Report,
    ReportSignature,
    TraceTooOldToDisclose,
)
from entrenous.trace.report.recompute import finding_and_named, score_copies
from entrenous.trace.report.report_format import report_fields_and_digest, write_report
from entrenous.watermark.verdict import NoSuchTrace, Trace

NO_PROOFS: Final = MessageProofs()


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A report as a file, its digest, its content, and the original picture that it is about."""

    file: bytes
    digest: bytes
    report: Report
    original: bytes


def disclose_trace(  # noqa: PLR0913 - each argument is one part of a report
    number: int,
    untrusted_leak: bytes,
    device: Device,
    account: Secret | None,
    *,
    blind: bool,
    proofs: MessageProofs = NO_PROOFS,
    name_of: NameOf = name_when_sent,
) -> WrittenReport:
    """Write the report of a trace.

    Args:
        number: the number of the trace.
        untrusted_leak: the found file, as it was traced.
        device: this device.
        account: the device's Olm account, which signs the report; None if the device has no keys.
        blind: replace the labels of those copies that the finding does not name.
        proofs: the receipts that the message's recipients signed.
        name_of: returns the name to give to a copy's recipient; by default the one from the time of
            sending.

    Raises:
        NoSuchTrace, NothingToDisclose, OnlyPictureTracesDisclosed, TraceTooOldToDisclose,
        VaultFileMissing, VaultFileDamaged.
        FileDiffersFromTrace: this is not the file that was traced.
        NotAPicture, IncompletePicture, TooManyPixels, PictureDecodingFailed.
    """
    trace = recorded_trace(number, device)
    if sha256(untrusted_leak) != trace.leak_sha256:
        raise FileDiffersFromTrace(
            number=number, said=trace.leak_sha256.hex(), found=sha256(untrusted_leak).hex()
        )
    if trace.span is not None:
        raise OnlyPictureTracesDisclosed(number=number)
    if trace.message is None:
        raise NothingToDisclose(number=number)
    message = device.ledger.message_named(trace.message)
    sent, evidence = _best_registered_picture(
        device.read_picture(untrusted_leak), message, trace, device
    )
    report = _make_report(trace, sent, evidence, name_of, device)
    report = _with_proofs(report, sent, proofs.copies)
    report = _blind_labels(report) if blind else report
    report = replace(report, cards=key_bundles_for_receipts(report.copies, proofs.cards))
    plain, digest = report_fields_and_digest(report, sha256)
    signed = None if account is None else _sign_report(account, digest)
    source = device.vault.read_stored_file(sent.original)
    return WrittenReport(write_report(plain, digest, signed), digest, report, source)


def recorded_trace(number: int, device: Device) -> Trace:
    """Return the recorded trace with this number. Raises NoSuchTrace."""
    for trace in device.ledger.traces():
        if trace.number == number:
            return trace
    raise NoSuchTrace(number=number)


def _best_registered_picture(
    found: Picture, message: Message, trace: Trace, device: Device
) -> tuple[SentPicture, ExaminationResult]:
    """Return the picture of the message that matches the found one best.

    Raises:
        NothingToDisclose: none of the message's pictures matches.
    """
    examined = (
        (sent, examine_found_picture(found, decode_original_of(sent, device)))
        for sent in message.pictures
    )
    fits = [(sent, evidence) for sent, evidence in examined if evidence is not None]
    if not fits:
        raise NothingToDisclose(number=trace.number)
    return min(fits, key=lambda fit: fit[1].figures.misfit)


def _make_report(
    trace: Trace, sent: SentPicture, evidence: ExaminationResult, name_of: NameOf, device: Device
) -> Report:
    if trace.compared < len(sent.copies):
        raise TraceTooOldToDisclose(number=trace.number)
    original = decode_original_of(sent, device)
    copies = score_copies(
        _unscored_copies(sent, name_of),
        original,
        evidence.per_chip,
        trace.compared,
        FALSE_NAMING_CHANCE_MAX,
    )
    verdict, named = finding_and_named(copies, FALSE_NAMING_CHANCE_MAX)
    return Report(
        made_at=device.clock.now(),
        made_with=program_versions(),
        trace=trace.number,
        message=str(trace.message),
        given=CommonReportFacts(
            leak_sha256=trace.leak_sha256,
            original_sha256=sha256(device.vault.read_stored_file(sent.original)),
            size_px=sent.size_px,
            finer=sent.finer,
            dither=sent.dither,
            compared=trace.compared,
        ),
        examined=evidence.figures,
        alpha=FALSE_NAMING_CHANCE_MAX,
        copies=copies,
        finding=verdict,
        named=named,
    )


def _unscored_copies(sent: SentPicture, name_of: NameOf) -> Sequence[DisclosedCopy]:
    labels = current_labels(sent.copies, name_of).values()
    return [
        DisclosedCopy(label, copy.seed, copy.sha256, 0.0, 0, 0.0, 1.0, 1.0)
        for label, copy in zip(labels, sent.copies, strict=True)
    ]


def _with_proofs(report: Report, sent: SentPicture, proofs: Sequence[CopyProof]) -> Report:
    copies = (
        replace(one, proof=proof_of_copy(copy, proofs))
        for one, copy in zip(report.copies, sent.copies, strict=True)
    )
    return replace(report, copies=tuple(copies))


def _blind_labels(report: Report) -> Report:
    shown = pseudonymized_labels((copy.to for copy in report.copies), report.named)
    return replace(
        report,
        copies=tuple(
            copy if copy.to in report.named else replace(copy, to=mask, proof=None)
            for copy, mask in zip(report.copies, shown, strict=True)
        ),
    )


def _sign_report(account: Secret, digest: bytes) -> ReportSignature:
    return ReportSignature(
        ed25519_public_key(account), sign_with_device_ed25519(account, SIGNATURE_CONTEXT, digest)
    )
