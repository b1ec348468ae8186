"""Every file and folder that a document names exists."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "entrenous"
# The changelog describes releases as they were.
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "changes/*.md", "share/*")
    for page in ROOT.glob(pattern)
    if page.name != "CHANGELOG.md"
)
SPAN = re.compile(r"`([\w./-]+?)(?:::\w+)?`")
NAME = re.compile(r"`([A-Za-z_]\w*(?:\.\w+)*)` \(`?([\w/]+\.py)`?\)")
KINDS = (".py", ".toml", ".j2", ".css")
#: Files and folders outside of this repository: those of users, and those that programs make.
ELSEWHERE = {
    "gate.toml",
    "DIR/gate.toml",
    "settings.py",  # Django's
    "files/",  # in an archive
    "blobs/",  # in a relay's folder
    "NAME/",
    "/v2/",
    "bench-out/",
    "bench-out/quick/",
}
#: Names that every verb may use for its own files: docs/architecture.md explains them.
OF_EACH_VERB = {"http.py", "store.py"}
GONE = re.compile(r"\b(?:model|ports|adapters|craft|wiring|faces)/")


def paths_in(text: str) -> Iterator[str]:
    """Yield each text in backticks that looks like a source file or a folder."""
    for named in SPAN.findall(text):
        if named.endswith(KINDS) or named.endswith("/"):
            yield named


def missing(named: str, page: Path) -> bool:
    """Return whether nothing in the repository has this path, or name if it has no folder."""
    if named in ELSEWHERE | OF_EACH_VERB:
        return False
    places = (ROOT, SOURCE, ROOT / "docs", page.parent)
    if any((place / named).exists() for place in places):
        return False
    return "/" in named.rstrip("/") or named.rstrip("/") not in names()


@cache
def names() -> frozenset[str]:
    """Return the names of all files and folders of the program, its tests and benchmarks."""
    trees = (SOURCE, ROOT / "tests", ROOT / "bench")
    return frozenset(place.name for tree in trees for place in tree.rglob("*"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_that_a_document_names_exist(page: Path) -> None:
    assert [named for named in paths_in(page.read_text()) if missing(named, page)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_document_names_a_folder_of_the_old_layout(page: Path) -> None:
    assert GONE.findall(page.read_text()) == []


def defines(file: Path, name: str) -> bool:
    """Return whether a source file defines or imports each part of a dotted name."""
    text = file.read_text()
    return all(
        re.search(rf"\b(?:class|def|import|from) {part}\b|^\s*{part}(?:: | = )", text, re.MULTILINE)
        for part in name.split(".")
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_name_that_a_document_gives_with_its_file_is_defined_there(page: Path) -> None:
    wrong = [
        f"{name} ({file})"
        for name, file in NAME.findall(page.read_text())
        if not (SOURCE / file).is_file() or not defines(SOURCE / file, name)
    ]
    assert wrong == []


def test_a_path_that_leads_nowhere_is_found() -> None:
    page = ROOT / "README.md"
    wrong = "`send/nowhere.py`, `nowhere.toml` and `tests/nowhere/`"
    assert [one for one in paths_in(wrong) if missing(one, page)] == [
        "send/nowhere.py",
        "nowhere.toml",
        "tests/nowhere/",
    ]
    assert not missing("send/recall.py", page)
    assert not missing("recall.py", page)
