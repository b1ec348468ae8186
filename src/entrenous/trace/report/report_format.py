"""Reports of a verdict as JSON (docs/spec/report.md section 1)."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from entrenous.base.copies import CopyProof, SignedReceipt, is_line_end_or_control
from entrenous.base.identifiers import ID_BYTES, DeviceId, MessageId, PersonId
from entrenous.base.limits import (
    FILES_PER_MESSAGE_MAX,
    LABEL_CHARS_MAX,
    MARK_SEED_BYTES,
    PLAIN_KEY_BUNDLE_BYTES_MAX,
)
from entrenous.base.secret import Secret
from entrenous.trace.report.nouns import (
    BadReport,
    CommonReportFacts,
    DisclosedCopy,
    ExaminedEvidence,
    NewerReport,
    OlderReport,
    Report,
    ReportSignature,
)
from entrenous.watermark.verdict import Finding
from entrenous.wire.encodings import canonical_json, read_time, write_time
from entrenous.wire.receipt import RECEIPT_PROOF_BYTES_MAX

# a person's name, and a number for each further device
_REPORT_LABEL_CHARS_MAX: Final = LABEL_CHARS_MAX + 20
ItemT = TypeVar("ItemT")


class RegistrationForm(msgspec.Struct, forbid_unknown_fields=True):
    homography: list[str]
    inliers: int
    misfit: str


class EvidenceForm(msgspec.Struct, forbid_unknown_fields=True):
    chips: int
    sha256: str


class ReceiptForm(msgspec.Struct, forbid_unknown_fields=True):
    statement: str
    proof: str


class ProofForm(msgspec.Struct, forbid_unknown_fields=True):
    message: str
    place: int
    person: str
    device: str
    nonce: str | None
    marks: list[str | None]
    receipts: list[ReceiptForm]


class CopyForm(msgspec.Struct, forbid_unknown_fields=True):
    to: str
    seed: str
    sha256: str
    first_score: str
    round: int
    score: str
    chance: str
    likelihood_ratio: str
    proof: ProofForm | None


class ReportForm(msgspec.Struct, forbid_unknown_fields=True):
    schema: str
    warning: str
    made_at: str
    made_with: dict[str, str]
    trace: int
    message: str
    leak_sha256: str
    original_sha256: str
    size_px: int | None
    finer: int
    registration: RegistrationForm
    evidence: EvidenceForm
    compared: int
    alpha: str
    dither: str
    copies: list[CopyForm]
    finding: Finding
    named: list[str]
    cards: list[str]
    digest: str
    device: str | None
    signature: str | None


def parse_program_versions(untrusted: Mapping[str, str]) -> dict[str, str]:
    if len(untrusted) > 40 or any(len(key + text) > 400 for key, text in untrusted.items()):
        raise ValueError("its list of versions is too long")
    return {_require_one_line(name): _require_one_line(text) for name, text in untrusted.items()}


def parse_label(text: str) -> str:
    """Check a label as base/copies.py does, but accept any Unicode normalisation form.

    Contacts' names keep the form in which they were typed.
    """
    if not text.strip() or len(text) > _REPORT_LABEL_CHARS_MAX:
        raise ValueError("a label is empty or too long")
    return _require_one_line(text)


def _require_one_line(text: str) -> str:
    """Refuse text with characters that end or overwrite a line."""
    if any(map(is_line_end_or_control, text)):
        raise ValueError("a label or a version is not plain text on one line")
    return text


def require_number_within(number: int, least: int, most: int) -> int:
    if not least <= number <= most:
        raise ValueError("a number is out of range")
    return number


def parse_canonical_float(text: str, least: float = -math.inf, most: float = math.inf) -> float:
    """Parse a finite number, which must be in its canonical form and within bounds."""
    if len(text) > 32:
        raise ValueError("a fraction is too long")
    value = float(text)
    if not math.isfinite(value) or repr(value) != text or not least <= value <= most:
        raise ValueError("a fraction is out of range or not in canonical form")
    return value


def require_at_most(items: list[ItemT], most: int) -> list[ItemT]:
    if len(items) > most:
        raise ValueError("a list is too long")
    return items


def parse_hex_up_to(text: str, most: int) -> bytes:
    if not 1 <= len(text) // 2 <= most:
        raise ValueError("a signed statement has the wrong length")
    return parse_hex(text, len(text) // 2)


def parse_hex(text: str, size: int = 32) -> bytes:
    if len(text) != 2 * size or not set(text) <= set("0123456789abcdef"):
        raise ValueError("a hash or a secret has the wrong length or form")
    return bytes.fromhex(text)


_VERSION: Final = 2
SCHEMA: Final = f"entrenous/verdict-report/{_VERSION}"
_SCHEMA_PATTERN: Final = re.compile(r"entrenous/verdict-report/([1-9][0-9]{0,3})")
REPORT_WARNING: Final = (
    "Whoever has this file can make every copy of this one picture. Give it to the person who "
    "checks the finding, and to nobody else."
)
_REPORT_BYTES_MAX: Final = 64 * 1024 * 1024
_COPIES_MAX: Final = 100_000
_SIDE_PX_MAX: Final = 1_000_000
_CARD_BYTES_MAX: Final = PLAIN_KEY_BUNDLE_BYTES_MAX
_STATEMENT_BYTES_MAX: Final = 1024
# receipts accepted for one copy: for its delivery, its first opening and its export
_RECEIPTS_MAX: Final = 3


def report_fields_and_digest(
    report: Report, hash_bytes: Callable[[bytes], bytes]
) -> tuple[dict[str, Any], bytes]:
    """Return two things: a report's fields without digest and signature, and the digest.

    ``hash_bytes`` computes SHA-256. It is a parameter because this module uses no cryptographic
    library.
    """
    plain = _report_fields(report)
    return plain, hash_bytes(canonical_json(plain))


def write_report(plain: Mapping[str, Any], digest: bytes, signed: ReportSignature | None) -> bytes:
    whole = {
        **plain,
        "digest": digest.hex(),
        "device": signed.device.hex() if signed else None,
        "signature": signed.signature.hex() if signed else None,
    }
    return (json.dumps(whole, ensure_ascii=False, indent=1) + "\n").encode()


def read_report(
    untrusted_data: bytes, hash_bytes: Callable[[bytes], bytes]
) -> tuple[Report, bytes, ReportSignature | None]:
    """Read a report.

    Returns: the report, its digest, and its signature, which is *not* verified here.

    Raises:
        OlderReport, NewerReport: the report has a different format version.
        BadReport: this is not a report, or its digest is wrong. The message repeats no content of
            the file.
    """
    if len(untrusted_data) > _REPORT_BYTES_MAX:
        raise BadReport(why="it is larger than any report")
    try:
        _refuse_other_versions(_decode_without_duplicates(untrusted_data))
        form = msgspec.json.decode(untrusted_data, type=ReportForm)
        return _parse_report(form, hash_bytes)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as problem:
        raise BadReport(why=_validation_message(problem)) from None


def _decode_without_duplicates(untrusted_data: bytes) -> object:
    """Decode JSON, but refuse duplicate member names, because programs read those differently."""

    def refuse_duplicates(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in items}) != len(items):
            raise ValueError("a field appears twice")
        return dict(items)

    return json.loads(untrusted_data.decode(), object_pairs_hook=refuse_duplicates)


def _refuse_other_versions(whole: object) -> None:
    """Refuse a report of a different version before its fields are read, since they may differ."""
    schema = whole.get("schema") if isinstance(whole, dict) else None
    other = _SCHEMA_PATTERN.fullmatch(schema) if isinstance(schema, str) else None
    if other is None or (version := int(other[1])) == _VERSION:
        return
    raise (NewerReport if version > _VERSION else OlderReport)(version=version, ours=_VERSION)


def _validation_message(problem: Exception) -> str:
    ours = type(problem) is ValueError and problem.args
    return str(problem) if ours else "it is not the expected JSON object"


def _parse_report(
    form: ReportForm, hash_bytes: Callable[[bytes], bytes]
) -> tuple[Report, bytes, ReportSignature | None]:
    if form.schema != SCHEMA or form.warning != REPORT_WARNING:
        raise ValueError("it is of another kind or version")
    report = Report(
        made_at=read_time(form.made_at),
        made_with=parse_program_versions(form.made_with),
        trace=require_number_within(form.trace, 1, 2**53 - 1),
        message=parse_label(form.message),
        given=_parse_common_facts(form),
        examined=_parse_examined_evidence(form),
        alpha=parse_canonical_float(form.alpha, 0.0, 1.0),
        copies=tuple(_parse_copy(one) for one in form.copies),
        finding=form.finding,
        named=tuple(form.named),
        cards=tuple(
            parse_hex_up_to(one, _CARD_BYTES_MAX)
            for one in require_at_most(form.cards, _RECEIPTS_MAX * len(form.copies))
        ),
    )
    labels = [copy.to for copy in report.copies]
    if not 1 <= len(labels) <= min(_COPIES_MAX, form.compared) or len(set(labels)) != len(labels):
        raise ValueError("it lists no copies, too many, or two with one name")
    if len({copy.seed.reveal() for copy in report.copies}) != len(labels):
        raise ValueError("it lists one copy twice")
    if len(set(report.named)) != len(report.named) or not set(report.named) <= set(labels):
        raise ValueError("it names a copy that it does not list")
    plain, digest = report_fields_and_digest(report, hash_bytes)
    if digest != parse_hex(form.digest):
        raise ValueError("its digest does not match its fields: something in it was changed")
    if msgspec.to_builtins(form) != {**plain, **_digest_and_signature_fields(form)}:
        raise ValueError("something in it is not in canonical form")
    return report, digest, _parse_signature(form)


def _digest_and_signature_fields(form: ReportForm) -> dict[str, str | None]:
    """Return the fields that the digest does not cover."""
    return {"digest": form.digest, "device": form.device, "signature": form.signature}


def _parse_signature(form: ReportForm) -> ReportSignature | None:
    if (form.device is None) != (form.signature is None):
        raise ValueError("its signature is incomplete")
    if form.device is None or form.signature is None:
        return None
    return ReportSignature(parse_hex(form.device), parse_hex(form.signature, 64))


def _parse_common_facts(form: ReportForm) -> CommonReportFacts:
    return CommonReportFacts(
        leak_sha256=parse_hex(form.leak_sha256),
        original_sha256=parse_hex(form.original_sha256),
        size_px=None
        if form.size_px is None
        else require_number_within(form.size_px, 1, _SIDE_PX_MAX),
        finer=require_number_within(form.finer, 0, 100),
        dither=Secret(parse_hex(form.dither, MARK_SEED_BYTES)),
        compared=require_number_within(form.compared, 1, 2**53 - 1),
    )


def _parse_examined_evidence(form: ReportForm) -> ExaminedEvidence:
    if len(form.registration.homography) != 9:
        raise ValueError("a homography has 9 numbers")
    return ExaminedEvidence(
        homography=tuple(parse_canonical_float(one) for one in form.registration.homography),
        inliers=require_number_within(form.registration.inliers, 0, 2**31),
        misfit=parse_canonical_float(form.registration.misfit, 0.0, 1.0),
        chips=require_number_within(form.evidence.chips, 1, 2**31),
        evidence_sha256=parse_hex(form.evidence.sha256),
    )


def _parse_copy(form: CopyForm) -> DisclosedCopy:
    return DisclosedCopy(
        to=parse_label(form.to),
        seed=Secret(parse_hex(form.seed, MARK_SEED_BYTES)),
        sha256=parse_hex(form.sha256),
        first_score=parse_canonical_float(form.first_score),
        round=require_number_within(form.round, 0, _COPIES_MAX),
        score=parse_canonical_float(form.score),
        chance=parse_canonical_float(form.chance, 0.0, 1.0),
        likelihood_ratio=parse_canonical_float(form.likelihood_ratio, 0.0, 2.0**256),
        proof=None if form.proof is None else _parse_proof(form.proof),
    )


def _parse_proof(form: ProofForm) -> CopyProof:
    marks = require_at_most(form.marks, FILES_PER_MESSAGE_MAX)
    return CopyProof(
        message=MessageId(parse_hex(form.message, ID_BYTES)),
        person=PersonId(parse_hex(form.person)),
        device=DeviceId(parse_hex(form.device, ID_BYTES)),
        marks=tuple(None if one is None else parse_hex(one) for one in marks),
        receipts=tuple(
            SignedReceipt(
                parse_hex_up_to(one.statement, _STATEMENT_BYTES_MAX),
                parse_hex_up_to(one.proof, RECEIPT_PROOF_BYTES_MAX),
            )
            for one in require_at_most(form.receipts, _RECEIPTS_MAX)
        ),
        place=require_number_within(form.place, 1, len(marks)),
        nonce=None if form.nonce is None else Secret(parse_hex(form.nonce)),
    )


def _report_fields(report: Report) -> dict[str, Any]:
    given, examined = report.given, report.examined
    return {
        "schema": SCHEMA,
        "warning": REPORT_WARNING,
        "made_at": write_time(report.made_at),
        "made_with": dict(report.made_with),
        "trace": report.trace,
        "message": report.message,
        "leak_sha256": given.leak_sha256.hex(),
        "original_sha256": given.original_sha256.hex(),
        "size_px": given.size_px,
        "finer": given.finer,
        "registration": {
            "homography": [repr(one) for one in examined.homography],
            "inliers": examined.inliers,
            "misfit": repr(examined.misfit),
        },
        "evidence": {"chips": examined.chips, "sha256": examined.evidence_sha256.hex()},
        "compared": given.compared,
        "alpha": repr(report.alpha),
        "dither": given.dither.reveal().hex(),
        "copies": [_copy_fields(copy) for copy in report.copies],
        "finding": report.finding.value,
        "named": list(report.named),
        "cards": [card.hex() for card in report.cards],
    }


def _copy_fields(copy: DisclosedCopy) -> dict[str, object]:
    return {
        "to": copy.to,
        "seed": copy.seed.reveal().hex(),
        "sha256": copy.sha256.hex(),
        "first_score": repr(copy.first_score),
        "round": copy.round,
        "score": repr(copy.score),
        "chance": repr(copy.chance),
        "likelihood_ratio": repr(copy.likelihood_ratio),
        "proof": None if copy.proof is None else _proof_fields(copy.proof),
    }


def _proof_fields(proof: CopyProof) -> dict[str, object]:
    return {
        "message": proof.message.hex(),
        "place": proof.place,
        "person": proof.person.hex(),
        "device": proof.device.hex(),
        "nonce": None if proof.nonce is None else proof.nonce.reveal().hex(),
        "marks": [None if one is None else one.hex() for one in proof.marks],
        "receipts": [
            {"statement": one.statement.hex(), "proof": one.proof.hex()} for one in proof.receipts
        ],
    }
