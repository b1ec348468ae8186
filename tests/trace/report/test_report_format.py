"""Tests of the format of reports: reading back, and refusing invalid files and other versions."""

import hashlib
import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenous.base.copies import CopyProof, SignedReceipt
from entrenous.base.identifiers import DeviceId, MessageId, PersonId
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
from entrenous.trace.report.report_format import read_report, report_fields_and_digest, write_report
from entrenous.watermark.verdict import Finding
from entrenous.wire.encodings import canonical_json

SEAL_FIELDS = ("digest", "device", "signature")


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


hashes = st.binary(min_size=32, max_size=32)
BIDI_CONTROLS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
label_characters = st.characters(
    exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters=BIDI_CONTROLS
)
labels = st.text(label_characters, min_size=1, max_size=30).filter(str.strip)
fractions = st.floats(allow_nan=False, allow_infinity=False)
chances = st.floats(0.0, 1.0)
timestamps = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001 -- UTC below
    lambda naive: naive.replace(tzinfo=UTC)
)


ids = st.binary(min_size=16, max_size=16)


@st.composite
def copy_proofs(draw: st.DrawFn) -> CopyProof:
    marks = draw(st.lists(st.none() | hashes, min_size=1, max_size=3))
    signatures = st.binary(min_size=64, max_size=64)
    receipts = st.builds(SignedReceipt, st.binary(min_size=1, max_size=200), signatures)
    return CopyProof(
        MessageId(draw(ids)),
        PersonId(draw(hashes)),
        DeviceId(draw(ids)),
        tuple(marks),
        tuple(draw(st.lists(receipts, max_size=2))),
        draw(st.integers(1, len(marks))),
        draw(st.none() | hashes.map(Secret)),
    )


@st.composite
def reports(draw: st.DrawFn) -> Report:
    names = draw(st.lists(labels, min_size=1, max_size=4, unique=True))
    seeds = draw(st.lists(hashes, min_size=len(names), max_size=len(names), unique=True))
    copies = tuple(
        DisclosedCopy(
            name,
            Secret(seed),
            draw(hashes),
            draw(fractions),
            draw(st.integers(0, 30)),
            draw(fractions),
            draw(chances),
            draw(st.floats(0.0, 2.0**256)),
            draw(st.none() | copy_proofs()),
        )
        for name, seed in zip(names, seeds, strict=True)
    )
    size = st.none() | st.integers(1, 10_000)
    return Report(
        made_at=draw(timestamps),
        made_with={"numpy": draw(labels), "simd": ""},
        trace=draw(st.integers(1, 10**6)),
        message=draw(labels),
        given=CommonReportFacts(
            draw(hashes),
            draw(hashes),
            draw(size),
            draw(st.integers(0, 9)),
            Secret(draw(hashes)),
            draw(st.integers(len(names), 10**9)),
        ),
        examined=ExaminedEvidence(
            tuple(draw(st.lists(fractions, min_size=9, max_size=9))),
            draw(st.integers(0, 10**4)),
            draw(chances),
            draw(st.integers(1, 10**7)),
            draw(hashes),
        ),
        alpha=draw(chances),
        copies=copies,
        finding=draw(st.sampled_from(Finding)),
        named=tuple(names[: draw(st.integers(0, len(names)))]),
        cards=tuple(draw(st.lists(st.binary(min_size=1, max_size=40), max_size=len(names)))),
    )


def encode_report(report: Report, signed: ReportSignature | None = None) -> bytes:
    plain, digest = report_fields_and_digest(report, sha256)
    return write_report(plain, digest, signed)


@pytest.mark.slow
@settings(max_examples=40)
@given(
    reports(), st.none() | st.builds(ReportSignature, hashes, st.binary(min_size=64, max_size=64))
)
def test_written_report_is_read_back(report: Report, signed: ReportSignature | None) -> None:
    file = encode_report(report, signed)
    again, digest, signature = read_report(file, sha256)
    assert again == report
    assert signature == signed
    assert digest == report_fields_and_digest(report, sha256)[1]


def example_report_fields() -> dict[str, Any]:
    copies = (DisclosedCopy("ben", Secret(b"s" * 32), b"h" * 32, 9.5, 0, 9.5, 1e-9, 1e7),)
    given = CommonReportFacts(b"l" * 32, b"o" * 32, None, 0, Secret(b"d" * 32), 3)
    examined = ExaminedEvidence(
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0), 40, 0.25, 100, b"e" * 32
    )
    at = datetime(2026, 11, 25, tzinfo=UTC)
    report = Report(
        at, {"numpy": "2"}, 1, "7-otter", given, examined, 1e-6, copies, Finding.ONE, ("ben",)
    )
    plain: dict[str, Any] = json.loads(encode_report(report))
    return plain


def seal_report(plain: dict[str, Any]) -> bytes:
    """Return the report with a matching digest, so that the digest is no reason to refuse it."""
    seal = {name: plain.pop(name, None) for name in SEAL_FIELDS}
    seal["digest"] = sha256(canonical_json(plain)).hex()
    return json.dumps({**plain, **seal}).encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "entrenous/verdict-report/02"),
        (("schema",), "entrenous/verdict-report/2.1"),
        (("schema",), "entrenous/trace/1"),
        (("warning",), ""),
        (("copies", 0, "score"), "nan"),
        (("copies", 0, "score"), "inf"),
        (("copies", 0, "score"), "9.50"),
        (("copies", 0, "score"), "1_0.0"),
        (("copies", 0, "score"), " 9.5"),
        (("copies", 0, "score"), "9" * 40),
        (("copies", 0, "score"), "९.५"),
        (("copies", 0, "chance"), "1.5"),
        (("copies", 0, "seed"), "S" * 64),
        (("copies", 0, "seed"), "73" * 31),
        (("copies", 0, "to"), ""),
        (("copies", 0, "to"), "x" * 500),
        (("copies", 0, "to"), " "),
        (("message",), "7-otter\nIt is signed."),
        (("made_with",), {"numpy": "2\nIt is signed."}),
        (("made_with",), {"numpy\n": "2"}),
        (("made_with",), {"numpy": "\x1b[2J"}),
        (("copies",), []),
        (("named",), ["caro"]),
        (("named",), ["ben", "ben"]),
        (("finding",), "perhaps"),
        (("compared",), 0),
        (("trace",), 0),
        (("size_px",), 0),
        (("made_at",), "2026-11-25"),
        (("made_with",), {"x": "y" * 1000}),
        (("registration", "homography"), ["1.0"] * 8),
        (("evidence", "chips"), -1),
    ],
)
def test_invalid_value_is_refused(path: tuple[Any, ...], value: object) -> None:
    plain = example_report_fields()
    place: Any = plain
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(BadReport):
        read_report(seal_report(plain), sha256)


def report_of_version(version: int) -> bytes:
    """Return a report of another version; version 1 had no proofs and no cards."""
    plain = {**example_report_fields(), "schema": f"entrenous/verdict-report/{version}"}
    if version == 1:
        del plain["cards"], plain["copies"][0]["proof"]
    else:
        plain["a_field_of_later"] = []
    return seal_report(plain)


def test_other_version_is_refused_without_blaming_the_sender() -> None:
    with pytest.raises(OlderReport, match="entrenous verdict disclose") as older:
        read_report(report_of_version(1), sha256)
    said = " ".join(str(older.value).split())
    assert "in format version 1; the version that you are using reads format version 2" in said
    with pytest.raises(NewerReport, match="Update Entrenous") as newer:
        read_report(report_of_version(31), sha256)
    said = " ".join(str(newer.value).split())
    assert "in format version 31; the version that you are using reads format version 2" in said


@pytest.mark.parametrize("char", ["\n", "\r", "\t", "\x1b", "\x85", "\u2028", "\u2029", "\u202e"])
def test_label_with_a_line_break_or_control_character_is_refused(char: str) -> None:
    plain = example_report_fields()
    plain["copies"][0]["to"] = f"ben{char}opened on 24 Nov"
    plain["named"] = [plain["copies"][0]["to"]]
    with pytest.raises(BadReport, match="one line"):
        read_report(seal_report(plain), sha256)


@pytest.mark.parametrize(
    "label", ["x" * 200 + " (device 12)", "a\u0301da", " ben ", "\u200bben", "बें"]
)
def test_a_label_that_a_ledger_can_contain_is_read(label: str) -> None:
    plain = example_report_fields()
    plain["copies"][0]["to"], plain["named"] = label, [label]
    assert read_report(seal_report(plain), sha256)[0].named == (label,)


def test_one_seed_under_two_labels_is_refused() -> None:
    plain = example_report_fields()
    plain["copies"].append({**plain["copies"][0], "to": "caro"})
    with pytest.raises(BadReport, match="one copy twice"):
        read_report(seal_report(plain), sha256)
    plain["copies"][1]["seed"] = "74" * 32
    assert len(read_report(seal_report(plain), sha256)[0].copies) == 2


def test_missing_unknown_or_repeated_fields_are_refused() -> None:
    for name in example_report_fields():
        plain = example_report_fields()
        del plain[name]
        with pytest.raises(BadReport):
            read_report(encode_json(plain) if name in SEAL_FIELDS else seal_report(plain), sha256)
    with pytest.raises(BadReport):
        read_report(seal_report({**example_report_fields(), "more": 1}), sha256)
    twice = encode_json(example_report_fields()).replace(b'{"schema"', b'{"trace": 5, "schema"', 1)
    with pytest.raises(BadReport, match="twice"):
        read_report(twice, sha256)


def test_changed_field_breaks_the_digest() -> None:
    plain = example_report_fields()
    plain["copies"][0]["to"] = "caro"
    plain["named"] = ["caro"]
    with pytest.raises(BadReport, match="digest"):
        read_report(encode_json(plain), sha256)


def test_a_device_key_without_a_signature_is_refused() -> None:
    with pytest.raises(BadReport, match="signature"):
        read_report(encode_json({**example_report_fields(), "device": "00" * 32}), sha256)


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BadReport):
        read_report(data, sha256)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.slow
@settings(max_examples=150)
@given(st.data())
def test_any_value_in_any_field_is_refused_or_harmless(data: st.DataObject) -> None:
    plain = example_report_fields()
    places = [(plain, key) for key in plain]
    places += [(plain["copies"][0], key) for key in plain["copies"][0]]
    places += [(plain[name], key) for name in ("registration", "evidence") for key in plain[name]]
    place, key = data.draw(st.sampled_from(places))
    place[key] = data.draw(json_values)
    try:
        file = seal_report(plain)
    except ValueError:
        file = encode_json(plain)
    try:
        report, _, _ = read_report(file, sha256)
    except BadReport:
        return
    assert all(math.isfinite(copy.score) for copy in report.copies)
    assert read_report(encode_report(report), sha256)[0] == report


def test_deep_and_large_files_are_refused() -> None:
    with pytest.raises(BadReport):
        read_report(b"[" * 100_000, sha256)
    with pytest.raises(BadReport, match="larger"):
        read_report(b" " * (64 * 1024 * 1024 + 1), sha256)


def encode_json(plain: dict[str, Any]) -> bytes:
    return json.dumps(plain).encode()
