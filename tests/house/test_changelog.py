"""Tests of gathering news fragments: old lines are kept, and faulty fragments are refused."""

import shutil
from pathlib import Path

import pytest

from tests.house.changelog import KINDS, ROOT, fragments, gather, version

FRAGMENT_NAMES = ("24.send.1.md", "24.removed.md", "25.stop.2.md")


@pytest.fixture
def project_copy(tmp_path: Path) -> Path:
    """Return a folder with this project's changelog and version, and with test fragments."""
    for name in ("CHANGELOG.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "changes").mkdir()
    shutil.copy(ROOT / "changes/README.md", tmp_path / "changes")
    for name in FRAGMENT_NAMES:
        text = f"`{name}` is new in 0.1.\nSee [why](../docs/start.md).\n"
        (tmp_path / "changes" / name).write_text(text)
    return tmp_path


def test_every_fragment_can_be_gathered() -> None:
    assert [fault for one in fragments() for fault in one.faults()] == []


def test_changelog_has_a_part_for_this_version() -> None:
    page = (ROOT / "CHANGELOG.md").read_text()
    assert f"\n## {version()} (" in page
    for kind in KINDS[:-1]:
        assert f"\n### {kind.capitalize()}\n" in page


def test_gathering_keeps_old_lines_and_adds_fragments(project_copy: Path) -> None:
    page = project_copy / "CHANGELOG.md"
    page.write_text(page.read_text() + "\n## 0.0.1\n\n### Send\n\n- Old.\n")
    before = page.read_text().splitlines()
    assert gather(project_copy) == len(FRAGMENT_NAMES)
    after = page.read_text().splitlines()
    assert [line for line in before if line not in after] == []
    added = [line for line in after if line not in before and line]
    assert added == [
        *("- `24.send.1.md` is new in 0.1. See [why](docs/start.md).",),
        *("- `25.stop.2.md` is new in 0.1. See [why](docs/start.md).",),
        *("- `24.removed.md` is new in 0.1. See [why](docs/start.md).",),
    ]
    assert after[-5:] == ["## 0.0.1", "", "### Send", "", "- Old."]
    assert [file.name for file in (project_copy / "changes").iterdir()] == ["README.md"]
    assert gather(project_copy) == 0
    assert page.read_text().splitlines() == after


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("24.unknown.1.md", "One sentence."),
        ("24.send.one.md", "One sentence."),
        ("send.md", "One sentence."),
        ("24.send.1.md", " \n"),
        ("24.send.1.md", "no sentence"),
        ("24.send.1.md", "One. Two. Three."),
    ],
)
def test_faulty_fragment_stops_the_gathering(project_copy: Path, name: str, text: str) -> None:
    page, place = project_copy / "CHANGELOG.md", project_copy / "changes"
    (place / name).write_text(text)
    before = page.read_text(), sorted(place.iterdir())
    with pytest.raises(ValueError, match=name):
        gather(project_copy)
    assert (page.read_text(), sorted(place.iterdir())) == before


def test_a_version_without_a_part_is_refused(project_copy: Path) -> None:
    (project_copy / "pyproject.toml").write_text('[project]\nversion = "9.9.9"\n')
    with pytest.raises(ValueError, match=r"## 9\.9\.9 \(unreleased\)"):
        gather(project_copy)
