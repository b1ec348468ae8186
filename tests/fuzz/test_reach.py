"""The hash of a target's code changes with the code that it reaches, and with nothing else."""

from pathlib import Path

import pytest

from tests.fuzz import reach
from tests.fuzz.targets.every import target_of

pytestmark = pytest.mark.slow

SPEC = reach.PACKAGE / "base/limits.py"


@pytest.fixture
def limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of ``base/limits.py`` that the test may change."""
    other = tmp_path / "base/limits.py"
    other.parent.mkdir()
    other.write_bytes(SPEC.read_bytes())
    monkeypatch.setattr(reach, "_LIMITS", other)
    return other


@pytest.mark.parametrize(
    ("name", "number"),
    [("claim-request", "PDQ_BYTES"), ("claim-request", "REGISTERED_PARTS_MAX")],
)
def test_hash_changes_with_an_imported_limit(limits: Path, name: str, number: str) -> None:
    before = reach.code_of(target_of(name))
    text = limits.read_text()
    assert f"\n{number}: Final = " in text
    limits.write_text(text.replace(f"\n{number}: Final = ", f"\n{number}: Final = 1 + "))
    assert reach.code_of(target_of(name)) != before


def test_files_left_out_of_the_hash_exist() -> None:
    assert reach._LIMITS.is_file()
    assert reach._ERRORS.is_file()


def test_hash_does_not_change_with_an_unused_limit(limits: Path) -> None:
    before = reach.code_of(target_of("header"))
    limits.write_text(limits.read_text() + "\nANOTHER: Final = 7\n")
    assert reach.code_of(target_of("header")) == before


def test_hash_changes_with_a_limit_that_another_depends_on(limits: Path) -> None:
    """No file imports ``_UNIT``, but an imported limit is a multiple of it."""
    text = limits.read_text().replace(
        "\nREGISTERED_PARTS_MAX: Final = ", "\nREGISTERED_PARTS_MAX: Final = _UNIT * "
    )
    limits.write_text("_UNIT: Final = 1\n" + text)
    before = reach.code_of(target_of("claim-request"))
    limits.write_text("_UNIT: Final = 2\n" + text)
    assert reach.code_of(target_of("claim-request")) != before


@pytest.fixture
def exchange_nouns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of ``stop/exchange_nouns.py``, which is read in its place; tests change it."""
    original = reach.PACKAGE / "stop/exchange_nouns.py"
    copy = tmp_path / original.name
    copy.write_bytes(original.read_bytes())
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(copy if path == original else path))
    return copy


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("class BadPage(", 'class OddPage(Malformed):\n    """New."""\n\n\nclass BadPage(', False),
        ("from dataclasses import ", "from types import CodeType\nfrom dataclasses import ", False),
        ("class BadPage(Malformed)", "class BadPage(Refused)", True),
        ("class BadPage(", "LIMIT = 3\n\n\nclass BadPage(", True),
    ],
)
def test_hash_changes_with_code_but_not_with_unused_errors_and_imports(
    exchange_nouns: Path, old: str, new: str, *, counts: bool
) -> None:
    before = reach.code_of(target_of("exchange-lines"))
    text = exchange_nouns.read_text()
    assert old in text
    exchange_nouns.write_text(text.replace(old, new, 1))
    assert (reach.code_of(target_of("exchange-lines")) != before) is counts
