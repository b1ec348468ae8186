"""The code of the pages stays small: short templates, one style sheet, and one script."""

import re
from pathlib import Path

import pytest

from tests.app.page_walker import page_routes

APP = Path(__file__).parents[2] / "src" / "entrenous" / "app"
SIZES = {"static/house.css": 500, "static/house.js": 200}
TEMPLATE_MAX = 150
_PART = re.compile(r'(?:include|import|from) "([^"]+)"')


def _lines(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def test_the_sheet_and_the_script_are_small_and_the_only_ones() -> None:
    for name, most in SIZES.items():
        assert _lines(APP / name) < most
    assets = {file.name for file in APP.rglob("*") if file.suffix in {".css", ".js"}}
    assert assets == {"house.css", "house.js"}


def test_no_template_is_long() -> None:
    long = {file.name: _lines(file) for file in APP.rglob("*.html") if _lines(file) > TEMPLATE_MAX}
    assert long == {}


@pytest.mark.parametrize(
    "word", ["style=", "onclick=", "onload=", "onsubmit=", "<style", "<script>"]
)
def test_no_template_has_style_or_script_inside(word: str) -> None:
    assert [file.name for file in APP.rglob("*.html") if word in file.read_text()] == []


def test_every_page_can_be_left_quickly() -> None:
    """Each template extends the base page or is part of others; two have nothing to leave."""
    texts = {file.name: file.read_text() for file in APP.rglob("*.html")}
    parts = {part for text in texts.values() for part in _PART.findall(text)}
    bare = {
        name for name, text in texts.items() if not text.startswith('{% extends "base.html" %}')
    }
    frames, wait_for_job = {"base.html", "bare.html"}, {"closed.html", "ended.html"}
    assert bare - parts == {*frames, *wait_for_job, "strength.html"}
    assert all("<h1" not in texts[name] for name in parts)


def test_a_page_is_one_route_in_one_file() -> None:
    """The name of a page's function is unique, so that a search for it finds the page."""
    files = {route.endpoint.__module__ for route in page_routes()}
    assert all(name.startswith("entrenous.app.pages.") for name in files)
    names = [route.name for route in page_routes() if "GET" in (route.methods or ())]
    assert len(names) == len(set(names))
