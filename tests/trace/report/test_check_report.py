"""Tests of disclosing and checking reports: honest, changed, blind and signed ones."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from entrenous.base.identifiers import RecipientId
from entrenous.base.identity import BadSignature
from entrenous.base.picture import Picture
from entrenous.crypto.hashing import sha256
from entrenous.crypto.identity_keys import ed25519_public_key, new_olm_account
from entrenous.media.picture_reader import read_picture
from entrenous.send.copies.mark_file import mark_picture_copies
from entrenous.trace.explain.sections import ReportOptions, report_content_of_trace
from entrenous.trace.picture import trace_picture
from entrenous.trace.report.check_report import ReportInputs, check_report
from entrenous.trace.report.disclose import WrittenReport, disclose_trace
from entrenous.trace.report.examine import ExaminationResult, examine_found_picture
from entrenous.trace.report.nouns import (
    BadReport,
    FileDiffersFromTrace,
    NothingToDisclose,
    OnlyPictureTracesDisclosed,
    ReportCheckFailed,
    TraceTooOldToDisclose,
)
from entrenous.trace.report.recompute import (
    chance_bound,
    remove_named_copies,
    score,
)
from entrenous.trace.report.recompute import (
    likelihood_ratio as recomputed_ratio,
)
from entrenous.trace.report.recompute import (
    upper_tail as recomputed_tail,
)
from entrenous.watermark.likelihood import chance_that_any_scores, likelihood_ratio, upper_tail
from entrenous.watermark.verdict import Finding, MatchedSpan, NoSuchTrace
from entrenous.wire.encodings import canonical_json
from tests.trace.traced_leak import (
    TracedLeak,
    empty_device,
    encode_jpeg,
    mark_and_trace,
    open_picture,
)

pytestmark = pytest.mark.slow

ReportChange = Callable[[dict[str, Any]], object]
Examinations = dict[tuple[bytes, bytes], ExaminationResult | None]


@pytest.fixture(scope="module")
def disclosed_report(leak_of_caros_copy: TracedLeak) -> WrittenReport:
    return disclose_trace(1, leak_of_caros_copy.leak, leak_of_caros_copy.device, None, blind=False)


@pytest.fixture
def cache_examinations(monkeypatch: pytest.MonkeyPatch, examinations: Examinations) -> None:
    """Cache examinations, because many tests check the same pair of files."""

    def examine_once(found: Picture, original: Picture) -> ExaminationResult | None:
        key = found.samples, original.samples
        if key not in examinations:
            examinations[key] = examine_found_picture(found, original)
        return examinations[key]

    monkeypatch.setattr("entrenous.trace.report.check_report.examine_found_picture", examine_once)


@pytest.fixture(scope="module")
def examinations() -> Examinations:
    return {}


def report_inputs(traced: TracedLeak, report: bytes, copy: bytes | None = None) -> ReportInputs:
    return ReportInputs(report, traced.leak, traced.original, copy)


def forge_report(file: bytes, change: ReportChange, *, new_digest: bool = True) -> bytes:
    """Return the changed report. With ``new_digest``, its digest is valid despite the change."""
    plain = json.loads(file)
    change(plain)
    sealed = {name: plain.pop(name) for name in ("digest", "device", "signature")}
    if new_digest:
        sealed["digest"] = sha256(canonical_json(plain)).hex()
    return json.dumps({**plain, **sealed}).encode()


def test_honest_report_is_repeated_bit_for_bit(
    leak_of_caros_copy: TracedLeak, disclosed_report: WrittenReport
) -> None:
    steps: list[tuple[int, int]] = []
    repeated = check_report(
        report_inputs(leak_of_caros_copy, disclosed_report.file),
        read_picture,
        lambda *of: steps.append(of),
    )
    assert repeated.program_differences == {}
    assert repeated.report == disclosed_report.report
    assert repeated.report.finding is Finding.ONE
    assert repeated.report.named == ("caro",)
    assert repeated.digest == disclosed_report.digest
    assert repeated.signed_by is None
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_report_has_the_scores_of_the_trace(
    leak_of_caros_copy: TracedLeak, disclosed_report: WrittenReport
) -> None:
    traced = leak_of_caros_copy.picture_trace.trace.verdict
    for copy in disclosed_report.report.copies:
        assert copy.score == pytest.approx(traced.score[copy.to], abs=1e-3)


def test_finding_of_nobody_is_repeated(leak_of_original: TracedLeak) -> None:
    made = disclose_trace(1, leak_of_original.leak, leak_of_original.device, None, blind=True)
    repeated = check_report(report_inputs(leak_of_original, made.file), read_picture)
    assert repeated.report.finding is Finding.NOBODY
    assert repeated.compared_max is None
    assert [copy.to for copy in repeated.report.copies] == ["copy 1", "copy 2", "copy 3"]


@pytest.mark.usefixtures("cache_examinations")
def test_a_given_copy_is_recognised(
    leak_of_caros_copy: TracedLeak, disclosed_report: WrittenReport
) -> None:
    ours = report_inputs(
        leak_of_caros_copy, disclosed_report.file, leak_of_caros_copy.copies["ben"]
    )
    assert check_report(ours, read_picture).copy_of == ("ben",)
    with pytest.raises(ReportCheckFailed, match="the copy that you gave"):
        check_report(
            report_inputs(leak_of_caros_copy, disclosed_report.file, leak_of_caros_copy.leak),
            read_picture,
        )


def test_identical_copies_are_all_listed() -> None:
    """Both marked copies of this plain picture are identical files. The report must allow this."""
    device, plain = empty_device(), io.BytesIO()
    Image.new("RGB", (128, 96)).save(plain, "WEBP", quality=30)
    labels = [RecipientId("ben"), RecipientId("caro")]
    made_copies = mark_picture_copies(plain.getvalue(), labels, None, device)
    copy, _ = (one.data for _, one in made_copies)
    trace_picture(copy, device)
    made = disclose_trace(1, copy, device, None, blind=False)
    ours = ReportInputs(made.file, copy, plain.getvalue(), copy)
    assert check_report(ours, read_picture).copy_of == ("ben", "caro")


def list_copy_twice(plain: dict[str, Any]) -> None:
    """List Caro's copy a second time, under another name and with valid figures."""
    plain["copies"].insert(0, {**plain["copies"][1], "to": "eva"})
    plain["finding"], plain["named"], plain["compared"] = "several", ["eva", "caro"], 4
    for one in plain["copies"]:
        one["chance"] = repr(chance_bound(float(one["score"]), 4, one["round"]))


@pytest.mark.usefixtures("cache_examinations")
def test_report_with_one_copy_under_two_labels_is_refused(
    leak_of_caros_copy: TracedLeak, disclosed_report: WrittenReport
) -> None:
    ours = report_inputs(
        leak_of_caros_copy,
        forge_report(disclosed_report.file, list_copy_twice),
        leak_of_caros_copy.copies["caro"],
    )
    with pytest.raises(BadReport, match="one copy twice"):
        check_report(ours, read_picture)


def test_blind_report_keeps_only_the_names_of_named_copies(leak_of_caros_copy: TracedLeak) -> None:
    made = disclose_trace(1, leak_of_caros_copy.leak, leak_of_caros_copy.device, None, blind=True)
    assert [copy.to for copy in made.report.copies] == ["copy 1", "caro", "copy 3"]
    assert b'"ben"' not in made.file


def test_a_real_label_copy_2_is_not_reused_as_a_pseudonym() -> None:
    ours = mark_and_trace(("copy 2", "copy 1"), "copy 2")
    made = disclose_trace(1, ours.leak, ours.device, None, blind=True)
    report = check_report(ReportInputs(made.file, ours.leak, ours.original), read_picture).report
    assert (report.finding, report.named) == (Finding.ONE, ("copy 2",))
    assert [copy.to for copy in report.copies] == ["copy 2", "copy 3"]
    content = report_content_of_trace(
        ours.picture_trace.trace, "leak.jpg", ReportOptions(blind=True)
    )
    assert {row.label: row.named for row in content.rows} == {"copy 2": True, "copy 3": False}


def swap_copies(plain: dict[str, Any]) -> None:
    """Exchange the seeds and figures of the first two copies, and let the report name Ben."""
    one, other = plain["copies"][0], plain["copies"][1]
    one["seed"], other["seed"] = other["seed"], one["seed"]
    for name in ("first_score", "score", "chance", "likelihood_ratio"):
        one[name], other[name] = other[name], one[name]
    plain["named"] = ["ben"]


def change_seed(plain: dict[str, Any]) -> None:
    plain["copies"][2]["seed"] = "5a" * 32


def raise_score(plain: dict[str, Any]) -> None:
    plain["copies"][0]["score"] = "7.25"


def change_last_digit(plain: dict[str, Any]) -> None:
    score = plain["copies"][1]["score"]
    plain["copies"][1]["score"] = repr(float(score) * (1 + 1e-12))


def lower_chance(plain: dict[str, Any]) -> None:
    plain["copies"][0]["chance"] = "1e-20"


def change_compared(plain: dict[str, Any]) -> None:
    plain["compared"] = 3_000_000


def change_finding(plain: dict[str, Any]) -> None:
    plain["finding"], plain["named"] = "several", ["caro", "ben"]


def change_alpha(plain: dict[str, Any]) -> None:
    plain["alpha"] = "0.01"


def change_evidence(plain: dict[str, Any]) -> None:
    plain["evidence"]["sha256"] = "00" * 32


def move_registration(plain: dict[str, Any]) -> None:
    plain["registration"]["homography"][2] = "3.0"


def change_dither(plain: dict[str, Any]) -> None:
    plain["dither"] = "11" * 32


def change_copy_hash(plain: dict[str, Any]) -> None:
    plain["copies"][0]["sha256"] = "22" * 32


REPORT_CHANGES = (
    swap_copies,
    change_seed,
    raise_score,
    change_last_digit,
    lower_chance,
    change_compared,
    change_finding,
    change_alpha,
    change_evidence,
    move_registration,
    change_dither,
    change_copy_hash,
)


@pytest.mark.parametrize("change", REPORT_CHANGES, ids=lambda change: change.__name__)
@pytest.mark.usefixtures("cache_examinations")
def test_a_changed_report_is_refused(
    leak_of_caros_copy: TracedLeak, disclosed_report: WrittenReport, change: ReportChange
) -> None:
    careless = forge_report(disclosed_report.file, change, new_digest=False)
    with pytest.raises(BadReport, match="digest"):
        check_report(report_inputs(leak_of_caros_copy, careless), read_picture)
    careful = forge_report(disclosed_report.file, change)
    with pytest.raises(ReportCheckFailed) as refusal:
        check_report(report_inputs(leak_of_caros_copy, careful), read_picture)
    assert refusal.value.family == "unproven"


@pytest.mark.parametrize(
    "change",
    [swap_copies, raise_score, lower_chance, change_finding, move_registration, change_copy_hash],
)
@pytest.mark.usefixtures("cache_examinations")
def test_a_changed_report_is_refused_even_if_it_claims_other_versions(
    leak_of_caros_copy: TracedLeak, disclosed_report: WrittenReport, change: ReportChange
) -> None:
    def change_report_and_version(plain: dict[str, Any]) -> None:
        change(plain)
        plain["made_with"]["numpy"] = "1.0"

    with pytest.raises(ReportCheckFailed):
        check_report(
            report_inputs(
                leak_of_caros_copy, forge_report(disclosed_report.file, change_report_and_version)
            ),
            read_picture,
        )


@pytest.mark.usefixtures("cache_examinations")
def test_other_program_versions_are_reported(
    leak_of_caros_copy: TracedLeak, disclosed_report: WrittenReport
) -> None:
    def change_version_and_score(plain: dict[str, Any]) -> None:
        plain["made_with"]["numpy"] = "1.0"
        score = repr(float(plain["copies"][1]["score"]) * (1 + 1e-9))
        plain["copies"][1]["score"] = score

    ours = report_inputs(
        leak_of_caros_copy, forge_report(disclosed_report.file, change_version_and_score)
    )
    assert set(check_report(ours, read_picture).program_differences) == {"numpy"}


def test_another_leak_or_original_is_refused(
    leak_of_caros_copy: TracedLeak, disclosed_report: WrittenReport
) -> None:
    other = encode_jpeg(Image.new("RGB", (200, 200)))
    with pytest.raises(ReportCheckFailed, match="the found file"):
        check_report(
            ReportInputs(disclosed_report.file, other, leak_of_caros_copy.original), read_picture
        )
    with pytest.raises(ReportCheckFailed, match="the original"):
        check_report(
            ReportInputs(disclosed_report.file, leak_of_caros_copy.leak, other), read_picture
        )


def test_another_leak_with_its_hash_in_the_report_is_refused(
    leak_of_caros_copy: TracedLeak, disclosed_report: WrittenReport
) -> None:
    other = leak_of_caros_copy.copies["ben"]

    def change_leak_hash(plain: dict[str, Any]) -> None:
        plain["leak_sha256"] = sha256(other).hex()

    forgery = forge_report(disclosed_report.file, change_leak_hash)
    with pytest.raises(ReportCheckFailed):
        check_report(ReportInputs(forgery, other, leak_of_caros_copy.original), read_picture)


@pytest.mark.usefixtures("cache_examinations")
def test_a_signature_is_checked(leak_of_caros_copy: TracedLeak) -> None:
    account = new_olm_account()
    made = disclose_trace(
        1, leak_of_caros_copy.leak, leak_of_caros_copy.device, account, blind=False
    )
    signed_by = check_report(report_inputs(leak_of_caros_copy, made.file), read_picture).signed_by
    assert signed_by == ed25519_public_key(account)
    plain = json.loads(made.file)
    plain["device"] = ed25519_public_key(new_olm_account()).hex()
    with pytest.raises(BadSignature):
        check_report(report_inputs(leak_of_caros_copy, json.dumps(plain).encode()), read_picture)


@pytest.mark.usefixtures("cache_examinations")
def test_check_gives_a_larger_number_of_copies_with_the_same_finding(
    leak_of_caros_copy: TracedLeak, disclosed_report: WrittenReport
) -> None:
    most = check_report(
        report_inputs(leak_of_caros_copy, disclosed_report.file), read_picture
    ).compared_max
    assert most is not None
    assert most > 1_000_000
    assert leak_of_caros_copy.picture_trace.compared == 3


def test_only_the_traced_file_is_disclosed(leak_of_caros_copy: TracedLeak) -> None:
    with pytest.raises(FileDiffersFromTrace, match="the file of trace 1"):
        disclose_trace(1, leak_of_caros_copy.original, leak_of_caros_copy.device, None, blind=False)
    with pytest.raises(NoSuchTrace):
        disclose_trace(99, leak_of_caros_copy.leak, leak_of_caros_copy.device, None, blind=False)


def test_unmatched_file_is_not_disclosed(leak_of_caros_copy: TracedLeak) -> None:
    device, kept = leak_of_caros_copy.device, leak_of_caros_copy.picture_trace.trace
    device.ledger.record_trace(replace(kept, number=55, message=None, warp=None))
    with pytest.raises(NothingToDisclose):
        disclose_trace(55, leak_of_caros_copy.leak, device, None, blind=False)


def test_clip_is_not_disclosed(leak_of_caros_copy: TracedLeak) -> None:
    device, kept = leak_of_caros_copy.device, leak_of_caros_copy.picture_trace.trace
    device.ledger.record_trace(replace(kept, number=56, span=MatchedSpan(0.0, 2.0)))
    with pytest.raises(OnlyPictureTracesDisclosed):
        disclose_trace(56, leak_of_caros_copy.leak, device, None, blind=False)


@pytest.mark.parametrize("z", [-3.0, 0.0, 1.4, 4.9, 6.2, 18.0, 300.0])
@pytest.mark.parametrize("compared", [1, 24, 100_000])
def test_recomputed_chance_and_ratio_equal_those_of_the_trace(z: float, compared: int) -> None:
    assert recomputed_tail(z) == upper_tail(z)
    once = chance_that_any_scores(compared, upper_tail(z))
    assert chance_bound(z, compared, 0) == min(1.0, 2.0 * once)
    assert chance_bound(z, compared, 3) == min(1.0, 16.0 * once)
    assert recomputed_ratio(z) == pytest.approx(likelihood_ratio(z), rel=1e-12)


def test_trace_without_number_of_compared_copies_is_not_disclosed(
    leak_of_caros_copy: TracedLeak,
) -> None:
    device = leak_of_caros_copy.device
    device.ledger.record_trace(
        replace(leak_of_caros_copy.picture_trace.trace, number=77, compared=0)
    )
    with pytest.raises(TraceTooOldToDisclose):
        disclose_trace(77, leak_of_caros_copy.leak, device, None, blind=False)


def test_report_of_merged_copies_agrees_with_the_trace() -> None:
    names = ("ben", "caro", "dina", "eva")
    ours = mark_and_trace(names)
    loud, faint = (np.asarray(open_picture(ours.copies[name]), float) for name in ("ben", "eva"))
    merged = encode_jpeg(Image.fromarray(np.rint(0.9 * loud + 0.1 * faint).astype(np.uint8)), 85)
    seen = trace_picture(merged, ours.device)
    made = disclose_trace(seen.trace.number, merged, ours.device, None, blind=False)
    repeated = check_report(ReportInputs(made.file, merged, ours.original), read_picture).report
    assert "ben" in repeated.named
    assert repeated.named == seen.trace.verdict.named
    for copy in repeated.copies:
        assert copy.score == pytest.approx(seen.trace.verdict.score[copy.to], abs=0.02)
    ben, caro = repeated.copies[0], repeated.copies[1]
    assert ben.round == 0
    assert caro.likelihood_ratio == recomputed_ratio(caro.first_score)


def test_evidence_of_named_copies_is_removed() -> None:
    rng = np.random.default_rng(5)
    signs = [rng.integers(0, 2, 4_000) * 2.0 - 1.0 for _ in range(3)]
    evidence = 3.0 * signs[0] + 1.0 * signs[1] + rng.normal(size=4_000)
    assert score(signs[0], evidence) > 40.0
    left = remove_named_copies(evidence, [signs[0]])
    assert abs(score(signs[0], left)) < 2.0
    assert score(signs[1], left) > score(signs[1], evidence) + 10.0
    assert abs(score(signs[2], left)) < 5.0
