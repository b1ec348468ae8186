"""Tests of the sections of reports: pictures, clips, unmatched files, copies and messages."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from entrenous.base.identifiers import MessageName, RecipientId
from entrenous.trace.explain.page import write_page
from entrenous.trace.explain.pdf import write_pdf
from entrenous.trace.explain.sections import (
    ReportOptions,
    report_content_of_picture,
    report_content_of_trace,
)
from entrenous.watermark.verdict import (
    Finding,
    FurtherMessageVerdict,
    MatchedSpan,
    PictureWarp,
    Trace,
    Verdict,
    name_by_scores,
)
from tests.trace.traced_leak import TracedLeak

TRACED_AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
MESSAGE_NAME = MessageName("7-otter")
IDENTITY_HOMOGRAPHY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def build_trace(scores: dict[str, float], **fields: object) -> Trace:
    verdict = name_by_scores(
        {RecipientId(who): score for who, score in scores.items()}, compared=1000
    )
    whole = Trace(3, TRACED_AT, b"l" * 32, verdict, MESSAGE_NAME, compared=1000)
    return replace(whole, **fields)  # type: ignore[arg-type]


def test_picture_report_describes_the_alignment_and_its_certainty(
    leak_of_caros_copy: TracedLeak,
) -> None:
    seen, leak, device = (
        leak_of_caros_copy.picture_trace,
        leak_of_caros_copy.leak,
        leak_of_caros_copy.device,
    )
    content = report_content_of_picture(seen, leak, "found.jpg", device, ReportOptions())
    known = dict(content.undone)
    assert known["Crop, turn, mirror"].startswith("cropped to 7")
    assert known["Saved as"] == "JPEG, quality about 70"
    assert "points of both pictures agree" in known["How sure the position is"]
    assert "as sent" in known["Light and colour"]
    assert dict(content.identity)["Copies compared"] == "3"
    assert any("faint steps of brightness" in one for one in content.method)


def test_clip_report_gives_the_matched_part_and_has_no_pictures() -> None:
    content = report_content_of_trace(
        build_trace({"ben": 12.0, "caro": 0.2}, span=MatchedSpan(3.0, 5.0)),
        "a.mp4",
        ReportOptions(),
    )
    assert dict(content.undone) == {"Which part": "5.0 s of it, from 3.0 s after its start"}
    assert content.pictures is None
    assert "picture" not in content.method[0]
    assert b"%PDF" in write_pdf(content)
    assert "made for ben" in write_page(content)


def test_unmatched_file_has_a_report() -> None:
    nobody = Trace(1, TRACED_AT, b"l" * 32, Verdict(Finding.NOBODY, (), {}, {}), compared=5)
    content = report_content_of_trace(nobody, "x.png", ReportOptions())
    assert content.plot is None
    assert content.rows == ()
    assert "clears nobody" in content.remarks[0]
    assert b"%PDF" in write_pdf(content)
    assert "No copy stands out" in write_page(content)


def test_twenty_of_a_thousand_copies_are_listed() -> None:
    scores = {f"p{n}": n / 1000 for n in range(999)} | {"caro": 50.0}
    content = report_content_of_trace(build_trace(scores), "x.png", ReportOptions())
    assert [row.label for row in content.rows[:2]] == ["caro", "p998"]
    assert len(content.rows) == 20
    assert (
        content.unlisted == "980 further copies are not listed; the highest of their scores is 1.0."
    )
    assert [row.support for row in content.rows[:2]] == ["extremely strong support", "not named"]


@pytest.mark.parametrize("named_count", [1, 3, 4, 12])
def test_each_named_copy_has_a_sentence(named_count: int) -> None:
    scores = {f"p{n}": 20.0 + n for n in range(named_count)} | {"x": 0.0}
    content = report_content_of_trace(build_trace(scores), "x.png", ReportOptions(blind=True))
    assert len(content.named) == named_count
    assert content.headline.endswith("one copy" if named_count == 1 else "several copies")
    assert f"copy {named_count + 1}" in [row.label for row in content.rows]


def test_further_messages_are_mentioned() -> None:
    other = FurtherMessageVerdict(
        MessageName("8-heron"),
        name_by_scores({RecipientId("eva"): 30.0}, compared=1000),
        PictureWarp(IDENTITY_HOMOGRAPHY, 1.0, 0.0, mirrored=False, scale=1.0),
    )
    content = report_content_of_trace(
        build_trace({"ben": 40.0}, others=(other,)), "x.png", ReportOptions()
    )
    assert any("8-heron: eva" in remark for remark in content.remarks)


def test_the_date_has_no_leading_zero() -> None:
    early = replace(build_trace({"ben": 9.0}), at=datetime(2026, 3, 5, 9, 7, tzinfo=UTC))
    assert report_content_of_trace(early, "x", ReportOptions()).made_at == "5 March 2026, 09:07 UTC"
