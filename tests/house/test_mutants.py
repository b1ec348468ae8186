"""Tests of mutation testing: drawing mutants, choosing tests, and finding survivors."""

import importlib
import subprocess
import sys
from typing import Any

import pytest

from tests.house.mutant_trial import ROOT, Baseline, Place
from tests.sizes import size

_TRIAL_PROGRAM = """
import re
from tests.house.mutant_trial import SOURCE, Mutant, Place, try_mutants
file = "watermark/likelihood.py"
code = (SOURCE / file).read_text()
line = code[: code.index("if score <= 0.0:")].count("\\n") + 1
place = Place(file, "upper_tail", range(line, line + 1))
mutants = [
    Mutant(place, code.replace("if score <= 0.0:", f"if score {changed} 0.0:"), changed)
    for changed in ("<=", ">")
]
tell = lambda trial: print("trial", trial.mutant.difference, trial.tests, trial.killer)
try_mutants(mutants, ["tests/watermark/test_verdict.py"], tell)
"""


@pytest.fixture(scope="module")
def mutants_module() -> Any:
    """Return the module, which is imported late because importing mutmut takes time."""
    return importlib.import_module("tests.house.mutants")


def test_files_and_tests_of_every_part_exist(mutants_module: Any) -> None:
    for room in mutants_module.MUTATED_PARTS.values():
        assert all((ROOT / "src" / "entrenous" / file).exists() for file in room.files)
        assert all((ROOT / tests).exists() for tests in room.tests)


@pytest.mark.slow
def test_the_same_seed_draws_the_same_mutants(mutants_module: Any) -> None:
    drawn = list(mutants_module.draw_mutants("guard", 5, seed=1))
    assert drawn == list(mutants_module.draw_mutants("guard", 5, seed=1))
    assert drawn != list(mutants_module.draw_mutants("guard", 5, seed=2))


@pytest.mark.slow
def test_mutant_changes_one_statement_and_no_text_for_people(mutants_module: Any) -> None:
    for mutant in mutants_module.draw_mutants("guard", size(12, 40), seed=3):
        compile(mutant.source, mutant.place.file, "exec")
        removed = [line for line in mutant.difference.splitlines() if line.startswith("- ")]
        assert len(removed) <= len(mutant.place.lines)
        assert not any(word in mutant.difference for word in ("raise ", "translated(", '"""'))


def test_tests_of_the_changed_lines_are_chosen_and_the_quickest_file_is_first() -> None:
    seconds = {"slow.py::a": 3.0, "quick.py::b": 0.1, "other.py::c": 0.1, "fixture.py::d": 0.2}
    covering = {"x.py": {7: {"slow.py::a", "quick.py::b"}, 8: {"fixture.py"}, 9: {"other.py::c"}}}
    chosen = Baseline(seconds, covering).tests_for(Place("x.py", "f", range(7, 9)))
    assert list(chosen) == ["quick.py::b", "fixture.py::d", "slow.py::a"]


def test_wilson_interval_of_90_in_100(mutants_module: Any) -> None:
    low, high = mutants_module.wilson_interval(90, 100)
    assert (round(low, 1), round(high, 1)) == (82.6, 94.5)


@pytest.mark.nightly
@pytest.mark.real
def test_trial_distinguishes_a_killed_mutant_from_a_survivor() -> None:
    command = [sys.executable, "-c", _TRIAL_PROGRAM]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("trial")]
    (_, same, tests, *no_killer), (_, turned, _, killer) = lines
    assert (same, turned) == ("<=", ">")
    assert int(tests) > 0
    assert not no_killer
    assert killer.startswith("tests/watermark/test_verdict.py::")
