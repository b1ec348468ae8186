"""A tally's code changes with what its target reaches, and with nothing else."""

from pathlib import Path

import pytest

from tests.fuzz import reach
from tests.fuzz.targets.every import target_of

SPEC = reach.PACKAGE / "spec.py"


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another one, to be changed."""
    other = tmp_path / "spec.py"
    other.write_bytes(SPEC.read_bytes())
    monkeypatch.setattr(reach, "_SPEC", other)
    return other


@pytest.mark.parametrize(
    ("name", "number"),
    [("claim-request", "PDQ_BYTES"), ("claim-request", "PARTS_MAX")],
)
def test_with_a_number_that_it_compares_with(spec: Path, name: str, number: str) -> None:
    before = reach.code_of(target_of(name))
    text = spec.read_text()
    assert f"\n{number}: Final = " in text
    spec.write_text(text.replace(f"\n{number}: Final = ", f"\n{number}: Final = 1 + "))
    assert reach.code_of(target_of(name)) != before


def test_not_with_one_that_it_does_not(spec: Path) -> None:
    before = reach.code_of(target_of("header"))
    spec.write_text(spec.read_text() + "\nANOTHER: Final = 7\n")
    assert reach.code_of(target_of("header")) == before


def test_with_one_that_another_is_made_of(spec: Path) -> None:
    """Nobody imports it, but what is imported is a multiple of it."""
    text = spec.read_text().replace("\nPARTS_MAX: Final = ", "\nPARTS_MAX: Final = _UNIT * ")
    spec.write_text("_UNIT: Final = 1\n" + text)
    before = reach.code_of(target_of("claim-request"))
    spec.write_text("_UNIT: Final = 2\n" + text)
    assert reach.code_of(target_of("claim-request")) != before
