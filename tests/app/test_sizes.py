"""Tests of the style sheet, the script, the templates and the functions of the pages."""

import re
from pathlib import Path

import pytest

from tests.app.page_walker import page_routes

APP_FOLDER = Path(__file__).parents[2] / "src" / "entrenous" / "app"
LINES_MAX_BY_ASSET = {"static/house.css": 500, "static/house.js": 225}
TEMPLATE_LINES_MAX = 150
_INCLUDED_TEMPLATE = re.compile(r'(?:include|import|from) "([^"]+)"')


def _line_count(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def test_the_sheet_and_the_script_are_small_and_the_only_ones() -> None:
    for name, lines_max in LINES_MAX_BY_ASSET.items():
        assert _line_count(APP_FOLDER / name) < lines_max
    assets = {file.name for file in APP_FOLDER.rglob("*") if file.suffix in {".css", ".js"}}
    assert assets == {"house.css", "house.js"}


def test_no_template_is_long() -> None:
    long = {
        file.name: _line_count(file)
        for file in APP_FOLDER.rglob("*.html")
        if _line_count(file) > TEMPLATE_LINES_MAX
    }
    assert long == {}


@pytest.mark.parametrize(
    "word", ["style=", "onclick=", "onload=", "onsubmit=", "<style", "<script>"]
)
def test_no_template_has_style_or_script_inside(word: str) -> None:
    assert [file.name for file in APP_FOLDER.rglob("*.html") if word in file.read_text()] == []


def test_templates_extend_the_layout_or_are_parts_with_five_exceptions() -> None:
    """With five exceptions, each template extends base.html, which has the button *Leave quickly*,
    or is included in another template.
    """
    texts = {file.name: file.read_text() for file in APP_FOLDER.rglob("*.html")}
    parts = {part for text in texts.values() for part in _INCLUDED_TEMPLATE.findall(text)}
    bare = {
        name for name, text in texts.items() if not text.startswith('{% extends "base.html" %}')
    }
    layouts, last_pages = {"base.html", "bare.html"}, {"closed.html", "ended.html"}
    assert bare - parts == {*layouts, *last_pages, "strength.html"}
    assert all("<h1" not in texts[name] for name in parts)


def test_routes_are_in_the_pages_package_and_have_unique_names() -> None:
    """The function of each page has its own name, so a search for the name finds one page."""
    files = {route.endpoint.__module__ for route in page_routes()}
    assert all(name.startswith("entrenous.app.pages.") for name in files)
    names = [route.name for route in page_routes() if "GET" in (route.methods or ())]
    assert len(names) == len(set(names))
