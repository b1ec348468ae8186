"""Reports of a verdict as JSON (docs/spec/report.md section 1).

A report comes from somebody who may want it to be believed, so reading is strict: no field too
many, too few or repeated, numbers finite and in their one form, and a digest over all of it.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from entrenous.craft.wire.canonical import canonical_json
from entrenous.craft.wire.evidence import read_time, write_time
from entrenous.model.ids import ID_BYTES, DeviceId, MessageId, PersonId
from entrenous.model.report import (
    BadReport,
    CopyProof,
    DisclosedCopy,
    Disclosure,
    Examined,
    Receipted,
    Report,
    Signature,
)
from entrenous.model.secret import Secret
from entrenous.model.verdict import Finding
from entrenous.spec import LABEL_CHARS_MAX, PICTURES_MAX, PLAIN_CARD_BYTES_MAX, SEED_BYTES

SCHEMA: Final = "entrenous/verdict-report/2"
WARNING: Final = (
    "Whoever has this file can make every copy of this one picture. Give it to the person who "
    "checks the finding, and to nobody else."
)
_BYTES_MAX: Final = 64 * 1024 * 1024
_COPIES_MAX: Final = 100_000
_LABEL_MAX: Final = LABEL_CHARS_MAX + 20  # a person's further devices are numbered
_SIDE_MAX: Final = 1_000_000
_CARD_BYTES_MAX: Final = PLAIN_CARD_BYTES_MAX
_STATEMENT_BYTES_MAX: Final = 1024
_RECEIPTS_MAX: Final = 2  # delivered, and opened
Entry = TypeVar("Entry")


class _Laid(msgspec.Struct, forbid_unknown_fields=True):
    homography: list[str]
    inliers: int
    misfit: str


class _Evidence(msgspec.Struct, forbid_unknown_fields=True):
    chips: int
    sha256: str


class _Receipt(msgspec.Struct, forbid_unknown_fields=True):
    statement: str
    signature: str


class _Proof(msgspec.Struct, forbid_unknown_fields=True):
    message: str
    place: int
    person: str
    device: str
    nonce: str | None
    marks: list[str | None]
    receipts: list[_Receipt]


class _Copy(msgspec.Struct, forbid_unknown_fields=True):
    to: str
    seed: str
    sha256: str
    first_score: str
    round: int
    score: str
    chance: str
    likelihood_ratio: str
    proof: _Proof | None


class _Form(msgspec.Struct, forbid_unknown_fields=True):
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
    registration: _Laid
    evidence: _Evidence
    compared: int
    alpha: str
    dither: str
    copies: list[_Copy]
    finding: Finding
    named: list[str]
    cards: list[str]
    digest: str
    device: str | None
    signature: str | None


def write_report(report: Report, hashed: Callable[[bytes], bytes]) -> tuple[dict[str, Any], bytes]:
    """A report's fields without digest and signature, and the digest.

    ``hashed`` is SHA-256; this craft knows no cryptography.
    """
    plain = _plain(report)
    return plain, hashed(canonical_json(plain))


def seal_report(plain: Mapping[str, Any], digest: bytes, signed: Signature | None) -> bytes:
    """The file."""
    whole = {
        **plain,
        "digest": digest.hex(),
        "device": signed.device.hex() if signed else None,
        "signature": signed.signature.hex() if signed else None,
    }
    return (json.dumps(whole, ensure_ascii=False, indent=1) + "\n").encode()


def read_report(
    untrusted_data: bytes, hashed: Callable[[bytes], bytes]
) -> tuple[Report, bytes, Signature | None]:
    """The report in a file, its digest, and the signature beside it, which is *not* verified here.

    Raises:
        BadReport: it is none, or its digest is not that of its fields. The message repeats nothing
            of what the file holds.
    """
    if len(untrusted_data) > _BYTES_MAX:
        raise BadReport(why="it is larger than any report")
    try:
        form = msgspec.json.decode(_once(untrusted_data), type=_Form)
        return _noun(form, hashed)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as problem:
        raise BadReport(why=_why(problem)) from None


def _once(untrusted_data: bytes) -> bytes:
    """The same bytes, once no object in them has one name twice: readers would differ on it."""

    def pairs(several: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in several}) != len(several):
            raise ValueError("a field stands there twice")
        return dict(several)

    json.loads(untrusted_data.decode(), object_pairs_hook=pairs)
    return untrusted_data


def _why(problem: Exception) -> str:
    ours = type(problem) is ValueError and problem.args
    return str(problem) if ours else "it is not the JSON object that is expected"


def _noun(form: _Form, hashed: Callable[[bytes], bytes]) -> tuple[Report, bytes, Signature | None]:
    if form.schema != SCHEMA or form.warning != WARNING:
        raise ValueError("it is of another kind or version")
    report = Report(
        made_at=read_time(form.made_at),
        made_with=_short_texts(form.made_with),
        trace=_within(form.trace, 1, 2**53 - 1),
        message=_label(form.message),
        given=_given(form),
        examined=_examined(form),
        alpha=_fraction(form.alpha, 0.0, 1.0),
        copies=tuple(_copy(one) for one in form.copies),
        finding=form.finding,
        named=tuple(form.named),
        cards=tuple(
            _hexes(one, _CARD_BYTES_MAX)
            for one in _few(form.cards, _RECEIPTS_MAX * len(form.copies))
        ),
    )
    labels = [copy.to for copy in report.copies]
    if not 1 <= len(labels) <= min(_COPIES_MAX, form.compared) or len(set(labels)) != len(labels):
        raise ValueError("its copies are none, too many, or two have one name")
    if len(set(report.named)) != len(report.named) or not set(report.named) <= set(labels):
        raise ValueError("it names a copy that it does not list")
    plain, digest = write_report(report, hashed)
    if digest != _hex(form.digest):
        raise ValueError("its digest is not that of its fields: something in it was changed")
    if msgspec.to_builtins(form) != {**plain, **_sealed(form)}:
        raise ValueError("something in it is not in its one form")
    return report, digest, _signature(form)


def _sealed(form: _Form) -> dict[str, str | None]:
    return {"digest": form.digest, "device": form.device, "signature": form.signature}


def _signature(form: _Form) -> Signature | None:
    if (form.device is None) != (form.signature is None):
        raise ValueError("its signature is not whole")
    if form.device is None or form.signature is None:
        return None
    return Signature(_hex(form.device), _hex(form.signature, 64))


def _given(form: _Form) -> Disclosure:
    return Disclosure(
        leak_sha256=_hex(form.leak_sha256),
        original_sha256=_hex(form.original_sha256),
        size_px=None if form.size_px is None else _within(form.size_px, 1, _SIDE_MAX),
        finer=_within(form.finer, 0, 100),
        dither=Secret(_hex(form.dither, SEED_BYTES)),
        compared=_within(form.compared, 1, 2**53 - 1),
    )


def _examined(form: _Form) -> Examined:
    if len(form.registration.homography) != 9:
        raise ValueError("a homography has 9 numbers")
    return Examined(
        homography=tuple(_fraction(one) for one in form.registration.homography),
        inliers=_within(form.registration.inliers, 0, 2**31),
        misfit=_fraction(form.registration.misfit, 0.0, 1.0),
        chips=_within(form.evidence.chips, 1, 2**31),
        evidence_sha256=_hex(form.evidence.sha256),
    )


def _copy(form: _Copy) -> DisclosedCopy:
    return DisclosedCopy(
        to=_label(form.to),
        seed=Secret(_hex(form.seed, SEED_BYTES)),
        sha256=_hex(form.sha256),
        first_score=_fraction(form.first_score),
        round=_within(form.round, 0, _COPIES_MAX),
        score=_fraction(form.score),
        chance=_fraction(form.chance, 0.0, 1.0),
        likelihood_ratio=_fraction(form.likelihood_ratio, 0.0, 2.0**256),
        proof=None if form.proof is None else _proof(form.proof),
    )


def _proof(form: _Proof) -> CopyProof:
    marks = _few(form.marks, PICTURES_MAX)
    return CopyProof(
        message=MessageId(_hex(form.message, ID_BYTES)),
        person=PersonId(_hex(form.person)),
        device=DeviceId(_hex(form.device, ID_BYTES)),
        marks=tuple(None if one is None else _hex(one) for one in marks),
        receipts=tuple(
            Receipted(_hexes(one.statement, _STATEMENT_BYTES_MAX), _hex(one.signature, 64))
            for one in _few(form.receipts, _RECEIPTS_MAX)
        ),
        place=_within(form.place, 1, len(marks)),
        nonce=None if form.nonce is None else Secret(_hex(form.nonce)),
    )


def _plain(report: Report) -> dict[str, Any]:
    given, examined = report.given, report.examined
    return {
        "schema": SCHEMA,
        "warning": WARNING,
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
        "copies": [_plain_copy(copy) for copy in report.copies],
        "finding": report.finding.value,
        "named": list(report.named),
        "cards": [card.hex() for card in report.cards],
    }


def _plain_copy(copy: DisclosedCopy) -> dict[str, object]:
    return {
        "to": copy.to,
        "seed": copy.seed.reveal().hex(),
        "sha256": copy.sha256.hex(),
        "first_score": repr(copy.first_score),
        "round": copy.round,
        "score": repr(copy.score),
        "chance": repr(copy.chance),
        "likelihood_ratio": repr(copy.likelihood_ratio),
        "proof": None if copy.proof is None else _plain_proof(copy.proof),
    }


def _plain_proof(proof: CopyProof) -> dict[str, object]:
    return {
        "message": proof.message.hex(),
        "place": proof.place,
        "person": proof.person.hex(),
        "device": proof.device.hex(),
        "nonce": None if proof.nonce is None else proof.nonce.reveal().hex(),
        "marks": [None if one is None else one.hex() for one in proof.marks],
        "receipts": [
            {"statement": one.statement.hex(), "signature": one.signature.hex()}
            for one in proof.receipts
        ],
    }


def _short_texts(untrusted: Mapping[str, str]) -> dict[str, str]:
    if len(untrusted) > 40 or any(len(key + text) > 400 for key, text in untrusted.items()):
        raise ValueError("what it was made with is too long")
    return dict(untrusted)


def _label(text: str) -> str:
    if not 1 <= len(text) <= _LABEL_MAX:
        raise ValueError("a label is empty or too long")
    return text


def _within(number: int, least: int, most: int) -> int:
    if not least <= number <= most:
        raise ValueError("a number is out of range")
    return number


def _fraction(text: str, least: float = -math.inf, most: float = math.inf) -> float:
    if len(text) > 32:
        raise ValueError("a fraction is too long")
    value = float(text)
    if not math.isfinite(value) or repr(value) != text or not least <= value <= most:
        raise ValueError("a fraction is out of range or not in its one form")
    return value


def _few(several: list[Entry], most: int) -> list[Entry]:
    if len(several) > most:
        raise ValueError("it holds more than there can be")
    return several


def _hexes(text: str, most: int) -> bytes:
    if not 1 <= len(text) // 2 <= most:
        raise ValueError("what was signed has not its length")
    return _hex(text, len(text) // 2)


def _hex(text: str, size: int = 32) -> bytes:
    if len(text) != 2 * size or not set(text) <= set("0123456789abcdef"):
        raise ValueError("a hash or a secret has not its length or form")
    return bytes.fromhex(text)
