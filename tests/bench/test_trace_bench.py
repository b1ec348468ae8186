"""Tests of the tracing benchmark: plans, verdicts, merged copies, documents, rows, ratios."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.attacks import HARD
from bench.photographs import PHOTOGRAPHS, Kind, Photograph, Size, TooSmall
from bench.report import summary
from bench.report.calibration import Calibration, calibrated, calibration, reliability
from bench.report.documents import read_documents, write_document
from bench.tracing.collusion import LEAKS, Merged, merged
from bench.tracing.copies import marked_samples, psnr, ssim
from bench.tracing.cost import Cost
from bench.tracing.grid import Cell, Row, leak_and_trace, send_at_size
from bench.tracing.memory_sender import Sent, people, send, sender
from bench.tracing.null import KEYS, NullRow, one_leak, pooled, scene
from bench.tracing.packed import pack_rows, packed_rows
from bench.tracing.plan import full, narrowed, quick
from bench.tracing.run import kept_rows
from entrenous.media.picture_reader import read_picture
from entrenous.send.copies.picture_copies import new_mark_seed
from entrenous.trace.originals import OriginalsCache

AGREED_FIELDS = (
    "schema photos attacks named_right named_wrong nobody psnr_db_min ssim_min mark_over_encode "
    "trace_s_p50 peers"
)


@pytest.fixture(scope="module")
def sent_copies() -> Sent:
    return send(PHOTOGRAPHS["coffee"].file_at(Size.XS), people(4), "a small bench")


@pytest.fixture(scope="module")
def rows(sent_copies: Sent) -> list[Row]:
    attacks = ("q50", "mirror+q70", "crop50+q70")
    return [leak_and_trace(Cell("coffee", Size.XS, attack, 1), sent_copies) for attack in attacks]


def test_plan_can_be_narrowed_to_a_named_set_of_attacks() -> None:
    plan = narrowed(full(1), ["tea"], ["M"], ["hard", "q50"])
    assert plan.attacks == (*HARD, "q50")
    with pytest.raises(KeyError, match="soft"):
        narrowed(full(1), [], [], ["soft"])


@pytest.mark.slow
def test_recipients_of_ordinary_leaks_are_named(rows: list[Row]) -> None:
    assert all(row.right and not row.wrong for row in rows)
    assert all(len(row.others) == 3 for row in rows)
    assert all(row.score > 10 > row.innocent for row in rows)


@pytest.mark.slow
def test_cell_does_not_depend_on_other_cells(sent_copies: Sent, rows: list[Row]) -> None:
    again = leak_and_trace(Cell("coffee", Size.XS, "crop50+q70", 1), sent_copies)
    assert (again.score, again.others) == (rows[2].score, rows[2].others)


@pytest.mark.slow
def test_last_line_has_the_promised_fields(rows: list[Row]) -> None:
    cost = Cost("coffee", "L", 12.0, 24, 3.0, 2.0, 5.0, 2.0, 1.0, 300.0)
    last = summary.line(rows, [], [cost], [])
    assert " ".join(last) == AGREED_FIELDS
    assert last["schema"] == "entrenous/bench-trace/1"
    assert (last["named_right"], last["named_wrong"], last["nobody"]) == (3, 0, 0)
    assert last["mark_over_encode"] == 1.5
    assert json.loads(json.dumps(last)) == last


def test_wrong_name_and_no_name_are_counted_apart() -> None:
    miss = Row("p", "S", "q50", False, 0, 2.0, 1.0, 1.0, True, 0.1)
    wrong = Row("p", "S", "q20", False, 1, 2.0, 9.0, 1.0, True, 0.1)
    last = summary.line([miss, wrong], [], [], [])
    assert (last["named_right"], last["named_wrong"], last["nobody"]) == (0, 1, 1)
    assert len(summary.grid([miss, wrong], 1, [])["missed"]) == 2


def test_attacks_that_ruin_the_picture_are_not_counted() -> None:
    ruined = Row("p", "S", "to64", True, 0, 9.0, 1.0, 1e-9, True, 0.1)
    assert summary.line([ruined], [], [], [])["attacks"] == 0


@pytest.mark.slow
def test_page_is_generated_from_the_documents(tmp_path: Path, rows: list[Row]) -> None:
    write_document(tmp_path, "grid", summary.grid(rows, 1, ["nowhere M"]))
    page = (tmp_path / "README.md").read_text()
    assert "| `q50` | 1/1; " in page
    assert "nowhere M" in page
    assert read_documents(tmp_path)["grid"]["sets"]["core"]["XS"] == {
        "leaks": 3,
        "right": 3,
        "wrong": 0,
    }


@pytest.mark.nightly
@pytest.mark.slow
def test_innocents_of_one_leak_are_scored_repeatably_and_not_named() -> None:
    photos = ("coffee", "astronaut")
    opened = {name: scene(name, Size.XS, 1) for name in photos}
    row = one_leak(3, 1, photos, opened.__getitem__, OriginalsCache(read_picture))
    assert row.named == 0
    assert row.scores in {0, KEYS}
    originals = OriginalsCache(read_picture)
    for _ in range(2):
        assert one_leak(3, 1, photos, opened.__getitem__, originals) == row


def test_stored_rows_are_reused_without_a_truncated_line(tmp_path: Path) -> None:
    whole = '{"index": 7, "kind": "stranger", "photo": "p", "attack": "q5", "registered": false, '
    whole += '"scores": 0, "total": 0, "squares": 0, "largest": 0, "normal": [0], "bound": [0], '
    whole += '"best": 1.0, "named": 0, "some": []}'
    (tmp_path / "rows").write_text(f"{whole}\n{whole[:50]}")
    assert [row.index for row in kept_rows(tmp_path / "rows", NullRow)] == [7]


def test_pooled_shares_are_of_all_scores() -> None:
    rows = [
        NullRow(0, "k", "p", "a", True, 10, 1.0, 10.0, 2.0, (2,) * 6, (1,) * 6, 0.02, 0, ()),
        NullRow(1, "k", "p", "a", True, 10, -1.0, 10.0, 3.0, (0,) * 6, (0,) * 6, 0.5, 0, ()),
    ]
    found = pooled(rows)
    assert (found.mean, found.sd, found.largest) == (0.0, 1.0, 3.0)
    assert (found.normal[0], found.bound[0]) == (0.1, 0.05)
    assert found.best_below[:2] == (1, 0)


def test_packed_rows_are_reused_by_the_same_code_only(tmp_path: Path) -> None:
    scores = (0.25, -1.5) * 12
    row = NullRow(7, "k", "p", "a", True, 9, 1 / 3, 2.5, 3.1, (1,) * 6, (0,) * 6, 0.1, 0, scores)
    file = tmp_path / "rows.xz"
    assert packed_rows(file, 1, "c0de") == []
    pack_rows(file, 1, "c0de", [row])
    (found,) = packed_rows(file, 1, "c0de")
    assert found == replace(row, total=0.333333, some=scores[:8])
    assert packed_rows(file, 2, "c0de") == packed_rows(file, 1, "0ther") == []


@pytest.mark.nightly
@pytest.mark.slow
def test_only_colluders_are_named_from_merged_copies(
    sent_copies: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaks = {way: LEAKS[way] for way in ("average+q70", "tiles of 1/8+q75")}
    monkeypatch.setattr("bench.tracing.collusion.COUNTS", (2,))
    monkeypatch.setattr("bench.tracing.collusion.LEAKS", leaks)
    monkeypatch.setattr("bench.tracing.collusion.people", lambda: people(4))
    found = list(merged("coffee", Size.XS, sent_copies, 1))
    assert len(found) == 2
    assert all(isinstance(one, Merged) and one.wrong == 0 for one in found)
    assert all(one.named == 2 for one in found)


def test_marked_samples_hardly_differ_from_the_original() -> None:
    original = scene("astronaut", Size.XS, 1).original
    marked = marked_samples(original, new_mark_seed(sender("looks")))
    plain = np.asarray(original.picture)
    assert 43.0 <= psnr(plain, marked) <= 55.0
    assert 0.98 <= ssim(plain, marked) < 1.0
    assert psnr(plain, plain) > 100


def test_ratios_of_a_known_distribution_are_calibrated() -> None:
    rng = np.random.default_rng(2)
    shift = 2.0

    def log10_ratio(x: np.ndarray) -> np.ndarray:
        return (shift * x - shift**2 / 2) / np.log(10)

    true, innocent = rng.normal(shift, 1, 4_000), rng.normal(0, 1, 4_000)
    found = Calibration(log10_ratio(true), log10_ratio(innocent))
    assert found.cllr - found.cllr_min < 0.01
    assert found.cllr < 0.6
    assert Calibration(found.true + 1, found.innocent + 1).cllr > found.cllr + 0.3
    again = Calibration(*calibrated(found.true, found.innocent))
    assert again.cllr == pytest.approx(found.cllr_min)
    for stated, observed, count in reliability(found):
        assert abs(stated - observed) < 4 * np.sqrt(max(stated * (1 - stated), 1e-3) / count)


@pytest.mark.slow
def test_no_innocent_copy_reaches_a_high_ratio(rows: list[Row]) -> None:
    found = calibration(rows)
    assert found.true.size == 3
    assert found.innocent.size == 9
    assert found.above(2.0)[1] == 0.0


def test_plan_can_be_narrowed_to_photographs_sizes_and_attacks() -> None:
    plan = narrowed(full(1), ["coffee"], ["S"], ["q50", "wash"])
    assert plan.photos == (("coffee", Size.S),)
    assert plan.attacks == ("q50", "wash")
    assert all(size is Size.S for _, size in quick(1).peers)
    with pytest.raises(KeyError):
        narrowed(full(1), ["nobody's"], [], [])
    with pytest.raises(KeyError):
        narrowed(full(1), [], [], ["no such attack"])


def test_photograph_is_never_enlarged_and_a_missing_one_raises() -> None:
    with pytest.raises(TooSmall):
        PHOTOGRAPHS["coffee"].at(Size.M)
    gone = Photograph("gone", lambda: (_ for _ in ()).throw(FileNotFoundError()), Kind.PLAIN)
    with pytest.raises(FileNotFoundError):
        gone.at(Size.S)
    assert send_at_size("coffee", Size.L, 1) is None
