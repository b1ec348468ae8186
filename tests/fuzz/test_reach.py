"""The hash of a target's code changes with the code that it reaches, and with nothing else."""

import shutil
from pathlib import Path

import pytest

from tests.fuzz import reach
from tests.fuzz.targets.every import target_of

pytestmark = pytest.mark.slow

SPEC = reach.PACKAGE / "base/limits.py"


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of ``base/limits.py`` that the test may change."""
    other = tmp_path / "base/limits.py"
    other.parent.mkdir()
    other.write_bytes(SPEC.read_bytes())
    monkeypatch.setattr(reach, "_SPEC", other)
    return other


@pytest.mark.parametrize(
    ("name", "number"),
    [("claim-request", "PDQ_BYTES"), ("claim-request", "REGISTERED_PARTS_MAX")],
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
    """No file imports ``_UNIT``, but an imported limit is a multiple of it."""
    text = spec.read_text().replace(
        "\nREGISTERED_PARTS_MAX: Final = ", "\nREGISTERED_PARTS_MAX: Final = _UNIT * "
    )
    spec.write_text("_UNIT: Final = 1\n" + text)
    before = reach.code_of(target_of("claim-request"))
    spec.write_text("_UNIT: Final = 2\n" + text)
    assert reach.code_of(target_of("claim-request")) != before


@pytest.fixture
def nouns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the package; return its ``stop/exchange_nouns.py``, which the test may change."""
    package = tmp_path / "entrenous"
    shutil.copytree(reach.PACKAGE, package)
    read = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda place: read(_moved(place, reach.PACKAGE, package))
    )
    return package / "stop" / "exchange_nouns.py"


def _moved(place: Path, old: Path, new: Path) -> Path:
    return new / place.relative_to(old) if place.is_relative_to(old) else place


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("class BadPage(", 'class OddPage(Malformed):\n    """New."""\n\n\nclass BadPage(', False),
        ("from dataclasses import ", "from types import CodeType\nfrom dataclasses import ", False),
        ("class BadPage(Malformed)", "class BadPage(Refused)", True),
        ("class BadPage(", "LIMIT = 3\n\n\nclass BadPage(", True),
    ],
)
def test_not_with_words_nor_with_errors_that_it_has_nothing_to_do_with(
    nouns: Path, old: str, new: str, *, counts: bool
) -> None:
    before = reach.code_of(target_of("exchange-lines"))
    text = nouns.read_text()
    assert old in text
    nouns.write_text(text.replace(old, new, 1))
    assert (reach.code_of(target_of("exchange-lines")) != before) is counts
