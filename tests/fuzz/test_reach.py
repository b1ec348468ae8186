"""A fuzz target's hash changes with the files it reaches and the limits that they import."""

from pathlib import Path

import pytest

from tests.fuzz import reach
from tests.fuzz.targets.every import find_target

pytestmark = pytest.mark.slow

LIMITS_FILE = reach.PACKAGE / "base/limits.py"


@pytest.fixture
def limits_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make ``reach`` read a copy of ``base/limits.py``, and return the path of this copy."""
    copy = tmp_path / "base/limits.py"
    copy.parent.mkdir()
    copy.write_bytes(LIMITS_FILE.read_bytes())
    monkeypatch.setattr(reach, "_LIMITS_FILE", copy)
    return copy


@pytest.mark.parametrize(
    ("target_name", "limit_name"),
    [("claim-request", "PDQ_BYTES"), ("claim-request", "REGISTERED_PARTS_MAX")],
)
def test_hash_changes_with_an_imported_limit(
    limits_copy: Path, target_name: str, limit_name: str
) -> None:
    before = reach.code_hash(find_target(target_name))
    text = limits_copy.read_text()
    assert f"\n{limit_name}: Final = " in text
    limits_copy.write_text(
        text.replace(f"\n{limit_name}: Final = ", f"\n{limit_name}: Final = 1 + ")
    )
    assert reach.code_hash(find_target(target_name)) != before


def test_files_with_limits_and_errors_exist() -> None:
    assert reach._LIMITS_FILE.is_file()
    assert reach._ERRORS_FILE.is_file()


def test_hash_does_not_change_with_an_unused_limit(limits_copy: Path) -> None:
    before = reach.code_hash(find_target("header"))
    limits_copy.write_text(limits_copy.read_text() + "\nANOTHER: Final = 7\n")
    assert reach.code_hash(find_target("header")) == before


def test_hash_changes_with_a_number_that_a_limit_depends_on(limits_copy: Path) -> None:
    """No file imports ``_UNIT``, but an imported limit is a multiple of it."""
    text = limits_copy.read_text().replace(
        "\nREGISTERED_PARTS_MAX: Final = ", "\nREGISTERED_PARTS_MAX: Final = _UNIT * "
    )
    limits_copy.write_text("_UNIT: Final = 1\n" + text)
    before = reach.code_hash(find_target("claim-request"))
    limits_copy.write_text("_UNIT: Final = 2\n" + text)
    assert reach.code_hash(find_target("claim-request")) != before


@pytest.fixture
def exchange_nouns_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make ``Path.read_bytes`` read a copy of ``stop/exchange_nouns.py``; return this copy."""
    original = reach.PACKAGE / "stop/exchange_nouns.py"
    copy = tmp_path / original.name
    copy.write_bytes(original.read_bytes())
    read_bytes = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: read_bytes(copy if path == original else path)
    )
    return copy


@pytest.mark.parametrize(
    ("old_code", "new_code", "is_hash_changed"),
    [
        ("class BadPage(", 'class OddPage(Malformed):\n    """New."""\n\n\nclass BadPage(', False),
        ("from dataclasses import ", "from types import CodeType\nfrom dataclasses import ", False),
        ("class BadPage(Malformed)", "class BadPage(Refused)", True),
        ("class BadPage(", "LIMIT = 3\n\n\nclass BadPage(", True),
    ],
)
def test_hash_changes_with_code_but_not_with_unused_errors_and_imports(
    exchange_nouns_copy: Path, old_code: str, new_code: str, *, is_hash_changed: bool
) -> None:
    before = reach.code_hash(find_target("exchange-lines"))
    text = exchange_nouns_copy.read_text()
    assert old_code in text
    exchange_nouns_copy.write_text(text.replace(old_code, new_code, 1))
    assert (reach.code_hash(find_target("exchange-lines")) != before) is is_hash_changed
