"""Tests of the benchmark of the gate and of its index: hashes, comparisons, figures, uploads."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bench.stop
from bench.load.uploads import drive, forms
from bench.stopping import gates, lookups, peers
from bench.stopping.exact import (
    DISTANCES,
    Differences,
    compared,
    counted,
    every_plan,
    queries_at_every_distance,
)
from bench.stopping.hashes import changes, clustered_hashes, queries, random_hashes
from bench.stopping.lookups import measure_lookups, on_file
from bench.stopping.recall import SOME
from entrenous.fingerprint.linear_scan import ScanIndex, Words
from entrenous.fingerprint.multi_index import IndexSegment, substring_plan
from tests.stop.index.brute_force import matches_by_brute_force

#: Fields that the last line must have. Fields of faiss are needed only if faiss is installed.
REQUIRED_FIGURES = {
    *("schema", "hash_12mp_per_s", "pdqhash_per_s", "hash_ratio", "index_n", "lookup_p50_ms"),
    *("lookup_p99_ms", "faiss_flat_ratio", "faiss_multihash_ratio", "missing", "extra"),
    *("bytes_per_hash", "add_to_match_ms", "gate_post_per_s", "gate_p99_ms", "recall"),
    "false_pairs",
}
SMALL_SIZES = bench.stop.Sizes(
    hashes=12_000,
    clustered=12_000,
    each=1,
    rounds=1,
    picture_rounds=1,
    gate_hashes=500,
    gate_s=0.6,
    recall=replace(SOME, jobs=1, edits=("mirror",), photographs=2, tried=1),
)
INDEX_FIGURES = {
    "index_n",
    "lookup_p50_ms",
    "lookup_p99_ms",
    "missing",
    "extra",
    "bytes_per_hash",
    "build_s",
    "open_to_answer_s",
}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(6)


@pytest.fixture(autouse=True)
def _prepare_short_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lookups, "_SPENT_S", 0.01)


def build_index(bank: Words) -> IndexSegment:
    return IndexSegment.built(substring_plan(16), np.arange(1, len(bank) + 1), bank)


def test_changes_flip_the_requested_numbers_of_bits(rng: np.random.Generator) -> None:
    distances = np.arange(257)
    changed = changes(distances, rng)
    assert np.bitwise_count(changed).sum(axis=1, dtype=np.int64).tolist() == distances.tolist()


def test_clustered_bank_has_more_matches_than_a_random_one(rng: np.random.Generator) -> None:
    bank = clustered_hashes(2_000, rng)
    assert len(counted(bank, bank[:100])) > 10 * len(counted(random_hashes(2_000, rng), bank[:100]))


def test_up_to_half_of_the_queries_have_a_match(rng: np.random.Generator) -> None:
    bank = random_hashes(500, rng)
    found = {int(query) for query, _, _ in counted(bank, queries(bank, 200, rng))}
    assert 60 < len(found) <= 100


def test_dot_products_find_the_same_matches_as_brute_force(rng: np.random.Generator) -> None:
    bank = random_hashes(300, rng)
    wanted = queries_at_every_distance(bank, 2, rng)
    known = [(row, one.tobytes()) for row, one in enumerate(bank)]
    expected = matches_by_brute_force(known, [one.tobytes() for one in wanted], 31)
    assert {tuple(one) for one in counted(bank, wanted).tolist()} == expected


def test_faiss_finds_the_same_matches_as_dot_products(rng: np.random.Generator) -> None:
    bank = random_hashes(300, rng)
    wanted = queries_at_every_distance(bank, 2, rng)
    for peer in (peers.flat(bank), peers.multi_hash(bank)):
        if peer is None:
            pytest.skip("faiss is not installed")
        found = {tuple(one) for one in peer.found(wanted).tolist()}
        assert found == {tuple(one) for one in counted(bank, wanted).tolist()}


@pytest.mark.parametrize("reference", ["faiss", "numpy"])
def test_comparison_counts_missing_and_extra_matches(
    rng: np.random.Generator, reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reference == "numpy":
        monkeypatch.setattr(peers, "_faiss", lambda: None)
    bank = random_hashes(400, rng)
    wanted = queries_at_every_distance(bank, 3, rng)
    there = len(counted(bank, wanted))
    assert compared([build_index(bank)], bank, wanted) == Differences(there, 0, 0)
    damaged = bank.copy()
    damaged[: len(bank) // 2] = random_hashes(len(bank) // 2, rng)
    found = compared([build_index(damaged)], bank, wanted)
    assert found.missing > 10
    reverse = compared([build_index(bank)], damaged, wanted)
    assert (reverse.missing, reverse.extra > 10) == (0, True)


def test_two_substring_plans_are_exact() -> None:
    wrong = every_plan(600, 2, np.random.default_rng(3), plans=(13, 16))
    assert wrong.there >= 2 * 2 * (DISTANCES - 1)
    assert (wrong.missing, wrong.extra) == (0, 0)


def test_lookup_times_are_measured_in_rounds(rng: np.random.Generator) -> None:
    bank = random_hashes(12_000, rng)
    with on_file(bank) as made:
        times = measure_lookups(made.base, bank, rng, rounds=2)
        assert isinstance(made.base.whole, IndexSegment)
    assert 0 < times.p50_ms <= times.p99_ms
    assert len(times.ours) == 2
    if peers.version() is not None:
        assert times.flat_ratio is not None
        assert times.multi_hash_ratio is not None
        assert times.flat_ratio > 0


def test_index_figures_have_the_agreed_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.stop, "two_processes_per_s", lambda *_: 1.0)
    figures = bench.stop.index_measured(12_000, each=2, rounds=1)
    assert set(figures) >= INDEX_FIGURES
    assert (figures["missing"], figures["extra"]) == (0, 0)
    assert 40 < float(str(figures["bytes_per_hash"])) < 500
    assert json.loads(json.dumps(figures)) == figures
    monkeypatch.setattr(peers, "_faiss", lambda: None)
    assert "faiss_flat_ratio" not in bench.stop.index_measured(5_000, each=1, rounds=1)


def test_a_small_bank_is_scanned(rng: np.random.Generator) -> None:
    with on_file(random_hashes(100, rng)) as made:
        assert isinstance(made.base.whole, ScanIndex)


def test_interrupted_bench_reports_the_figures_so_far() -> None:
    def interrupt() -> bench.stop.Answer:
        raise KeyboardInterrupt

    figures = bench.stop.measured([lambda: {"first": 1}, interrupt, lambda: {"third": 3}])
    assert figures == {"schema": "entrenous/bench-stop/1", "first": 1, "stopped": True}


@pytest.mark.nightly
@pytest.mark.real
def test_last_line_has_every_agreed_figure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench.stop, "two_processes_per_s", lambda *_: 1.0)
    monkeypatch.setattr(bench.stop, "QUICK", SMALL_SIZES)
    bench.stop.main(["--quick"])
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    faiss = set() if peers.version() else {"faiss_flat_ratio", "faiss_multihash_ratio"}
    assert set(figures) >= REQUIRED_FIGURES - faiss
    assert figures["schema"] == "entrenous/bench-stop/1"
    assert figures["index_n"] == 12_000
    assert (figures["missing"], figures["extra"], figures["false_pairs"]) == (0, 0, 0)
    assert figures["recall"]["fast"] == figures["recall"]["deep"] == {"mirror": 1.0}
    assert figures["fast_false"]["pairs"] > 100
    for name in REQUIRED_FIGURES - faiss - {"schema", "recall", "missing", "extra", "false_pairs"}:
        assert figures[name] > 0, name
    assert_gate_figures(figures, "", deferred_scans=False)
    assert_gate_figures(figures, "with_slow_looks_", deferred_scans=True)
    assert figures["parts_gate_post_per_s"] > 0


def assert_gate_figures(figures: dict[str, float], prefix: str, *, deferred_scans: bool) -> None:
    """Check figures of concurrent and single uploads, and whether deferred scans are reported."""
    times = [figures[f"{prefix}gate_p{share}_ms"] for share in (50, 95, 99)]
    assert 0 < times[0] <= times[1] <= times[2]
    assert figures[f"{prefix}gate_cpu_ms"] > figures[f"{prefix}load_cpu_ms"] > 0
    for size in ("1mp", "12mp"):
        alone = f"{prefix}gate_alone_{size}"
        assert 0 < figures[f"{alone}_p50_ms"] <= figures[f"{alone}_p95_ms"]
    names = [f"{prefix}{what}" for what in ("made", "waiting", "skipped", "share_made")]
    assert [one in figures for one in names] == [deferred_scans] * 4


@pytest.mark.nightly
@pytest.mark.real
def test_deferred_scans_account_for_every_upload(tmp_path: Path) -> None:
    gates.fill(tmp_path, 500)
    bodies = forms(gates.pictures()[:8])
    with gates.gate(tmp_path, slow_look=True) as running:
        # The last upload was answered too late to count.
        count = drive(running, bodies, 1, 1.0).count + 1
        until = time.monotonic() + 60
        while (scans := gates.DeferredScanCounts.of(tmp_path)).made < min(count, 2):
            assert time.monotonic() < until
            time.sleep(0.1)
    assert scans.made + scans.waiting + scans.skipped == count
    assert scans - gates.DeferredScanCounts(1, 0, 1) == gates.DeferredScanCounts(
        scans.made - 1, scans.waiting, scans.skipped - 1
    )
    assert gates.DeferredScanCounts(3, 5, 1).figures(4) == {
        "made": 3, "waiting": 5, "skipped": 1, "share_made": 0.75,
    }  # fmt: skip
    with gates.gate(tmp_path) as running:
        more = drive(running, bodies, 1, 0.5).count + 1
    after = gates.DeferredScanCounts.of(tmp_path)
    assert more > 0
    assert after.made + after.waiting + after.skipped == count


def test_uploaded_pictures_are_distinct() -> None:
    made = gates.pictures()
    assert len(set(made)) == len(made)
