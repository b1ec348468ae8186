"""Tests that files, folders and names in source files exist if documents mention them."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "entrenous"
# The changelog is left out, because it may name files of earlier releases.
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "changes/*.md", "share/*")
    for page in ROOT.glob(pattern)
    if page.name != "CHANGELOG.md"
)
CODE_SPAN = re.compile(r"`([\w./-]+?)(?:::\w+)?`")
NAME_WITH_FILE = re.compile(r"`([A-Za-z_]\w*(?:\.\w+)*)` \(`?([\w/]+\.py)`?\)")
FILE_SUFFIXES = (".py", ".toml", ".j2", ".css")
#: Files and folders outside of this repository, such as those of users.
PATHS_ELSEWHERE = {
    "gate.toml",
    "DIR/gate.toml",
    "settings.py",  # belongs to Django
    "files/",  # in an archive
    "blobs/",  # in a relay's folder
    "NAME/",
    "/v2/",
    "bench-out/",
    "bench-out/quick/",
}
#: File names that stand for the files of several packages.
FILES_OF_EACH_PACKAGE = {"http.py", "store.py"}
OLD_LAYOUT_FOLDER = re.compile(r"\b(?:model|ports|adapters|craft|wiring|faces)/")


def paths_in(text: str) -> Iterator[str]:
    """Yield each text in backticks that looks like the path of a source file or a folder."""
    for named in CODE_SPAN.findall(text):
        if named.endswith(FILE_SUFFIXES) or named.endswith("/"):
            yield named


def is_missing(named: str, page: Path) -> bool:
    """Return whether the repository has nothing at this path. A bare name may be in any folder."""
    if named in PATHS_ELSEWHERE | FILES_OF_EACH_PACKAGE:
        return False
    places = (ROOT, SOURCE, ROOT / "docs", page.parent)
    if any((place / named).exists() for place in places):
        return False
    return "/" in named.rstrip("/") or named.rstrip("/") not in known_names()


@cache
def known_names() -> frozenset[str]:
    """Return the names of all files and folders of the program, its tests and benchmarks."""
    trees = (SOURCE, ROOT / "tests", ROOT / "bench")
    return frozenset(place.name for tree in trees for place in tree.rglob("*"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_that_a_document_names_exist(page: Path) -> None:
    assert [named for named in paths_in(page.read_text()) if is_missing(named, page)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_document_names_a_folder_of_the_old_layout(page: Path) -> None:
    assert OLD_LAYOUT_FOLDER.findall(page.read_text()) == []


def is_defined(file: Path, name: str) -> bool:
    """Return whether a source file defines or imports each part of a dotted name."""
    text = file.read_text()
    return all(
        re.search(rf"\b(?:class|def|import|from) {part}\b|^\s*{part}(?:: | = )", text, re.MULTILINE)
        for part in name.split(".")
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_given_with_a_file_are_defined_in_that_file(page: Path) -> None:
    wrong = [
        f"{name} ({file})"
        for name, file in NAME_WITH_FILE.findall(page.read_text())
        if not (SOURCE / file).is_file() or not is_defined(SOURCE / file, name)
    ]
    assert wrong == []


def test_missing_paths_are_found() -> None:
    page = ROOT / "README.md"
    wrong = "`send/nowhere.py`, `nowhere.toml` and `tests/nowhere/`"
    assert [one for one in paths_in(wrong) if is_missing(one, page)] == [
        "send/nowhere.py",
        "nowhere.toml",
        "tests/nowhere/",
    ]
    assert not is_missing("send/recall.py", page)
    assert not is_missing("recall.py", page)
