"""Tests of the fuzzer's runs: tallies, libFuzzer's output, and stored finds."""

import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fuzz.run import Limits, SharedTallies, fuzz, parse_output
from tests.fuzz.tally import Tally, read_tallies, tally_of, write_tallies
from tests.fuzz.targets.every import find_target

needs_atheris = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"),
    reason="atheris exists for Linux on x86-64 only",
)
HEADER_TALLY = Tally("header", "c0de", 1000, 2.5, 40, ("crash-0a",))


def test_tallies_are_stored_as_json_and_markdown(tmp_path: Path) -> None:
    out = tmp_path / "made" / "fuzz.json"
    assert read_tallies(out) == {}
    tallies = {"header": HEADER_TALLY, "range": replace(HEADER_TALLY, target="range", finds=())}
    write_tallies(out, tallies)
    assert read_tallies(out) == tallies
    page = out.with_suffix(".md").read_text()
    assert "| header | 1,000 | 2 | 400 | 40 | `crash-0a` |\n" in page
    assert "| range | 1,000 | 2 | 400 | 40 | none |\n" in page


def test_tally_is_empty_for_new_code_or_a_new_target() -> None:
    assert tally_of("header", "c0de", {"header": HEADER_TALLY}) == HEADER_TALLY
    assert tally_of("header", "other", {"header": HEADER_TALLY}) == Tally("header", "other")
    assert tally_of("range", "c0de", {"header": HEADER_TALLY}) == Tally("range", "c0de")


def test_runs_are_added_up_until_the_inputs_or_seconds_are_reached() -> None:
    tallies = HEADER_TALLY.with_run(500, 1.0, 38, ("crash-0b", "crash-0a"))
    assert tallies == Tally("header", "c0de", 1500, 3.5, 40, ("crash-0a", "crash-0b"))
    assert tallies.is_done(1500, 99)
    assert tallies.is_done(9999, 3.5)
    assert not tallies.is_done(1501, 3.6)


@pytest.mark.parametrize(
    ("output", "expected_inputs", "expected_edges"),
    [
        (b"#2\tINITED cov: 7\n#90\tDONE   cov: 9\nstat::number_of_executed_units: 90\n", 90, 9),
        (b"#2\tINITED cov: 7\n#64\tpulse  cov: 8 ft: 3\n", 64, 8),
        (b"Traceback", 0, 0),
    ],
)
def test_output_of_libfuzzer_is_parsed(
    output: bytes, expected_inputs: int, expected_edges: int
) -> None:
    assert parse_output(output, 1.5) == (expected_inputs, 1.5, expected_edges)


@pytest.mark.real
@needs_atheris
def test_run_continues_at_the_stored_count_and_stores_its_finds(tmp_path: Path) -> None:
    shared = SharedTallies(tmp_path / "fuzz.json", tmp_path / "room", {})
    for name in ("whole-request", "planted"):
        fuzz(find_target(name), Limits(400, 60.0, 60.0), shared)
    first = read_tallies(shared.out)
    assert first["whole-request"].inputs == 400
    assert first["whole-request"].edges > 5
    assert not first["whole-request"].finds
    (find,) = first["planted"].finds
    untrusted = (shared.work_folder / "planted" / "finds" / find).read_bytes()
    assert untrusted[:1] not in (b"\x00", b"\x01")
    fuzz(find_target("whole-request"), Limits(600, 60.0, 60.0), replace(shared, tallies=first))
    assert read_tallies(shared.out)["whole-request"].inputs == 600
    assert read_tallies(shared.out)["planted"] == first["planted"]


@pytest.mark.nightly
@pytest.mark.real
@needs_atheris
def test_two_processes_on_one_target_are_counted_together(tmp_path: Path) -> None:
    shared = SharedTallies(tmp_path / "fuzz.json", tmp_path / "room", {})
    limits = Limits(100_000_000, 2.0, 1.0)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: fuzz(find_target(name), limits, shared), ["range", "range"]))
    tally = read_tallies(shared.out)["range"]
    assert tally.seconds >= 2.0
    assert tally.inputs > 300
    assert not [
        path.name for path in (shared.work_folder / "range").iterdir() if "log" in path.name
    ]
