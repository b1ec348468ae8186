"""Tests that no text for people contains words that docs/words.md forbids."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.house.sources import SOURCE, Source, pause_garbage_collector, sources

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PATH_PARTS_WITH_SHOWN_DOCSTRINGS = {
    "cli.py",
    "commands",
    "commands.py",
    "http",
}  # docstrings in these files and folders are help texts or answers
FORBIDDEN_PATTERNS = {
    "should have": r"\bshould(?:n't| not)? have\b",
    "careless": r"\bcareless",
    "why did you": r"\bwhy (?:did|didn't) you\b",
    "revenge porn": r"\brevenge[ -]?porn\b(?! helpline)",
    "culprit": r"\bculprit",
    "suspect": r"\bsuspect(?:s|ed)?\b",
    "perpetrator": r"\bperpetrator",
    "guilty": r"\bguilt(?:y)?\b",
    "your fault": r"\b(?:your|her|his|their) (?:own )?fault\b",
    "shame": r"\bshame",
    "stupid": r"\b(?:stupid|foolish|naive)\b",
    "an exclamation mark": r"[\w.)][!](?=[\s\"')]|$)",
    "an alarm": r"\b(?:hurry|act now|last chance|before it is too late)\b",
}
WEB_ADDRESS = re.compile(r"https?://\S+|\b[\w-]+(?:\.[\w-]+)+/\S+")


def forbidden_words_in(text: str) -> list[str]:
    """Return the names of the forbidden patterns in ``text``, outside of web addresses."""
    flat = " ".join(WEB_ADDRESS.sub("", text).split())
    return [
        name
        for name, pattern in FORBIDDEN_PATTERNS.items()
        if re.search(pattern, flat, re.IGNORECASE)
    ]


@cache
def shown_texts() -> tuple[tuple[str, str], ...]:
    """Return (place, text) of strings, errors, help, tables, lessons and templates."""
    with pause_garbage_collector():
        return tuple(_find_shown_texts())


def _find_shown_texts() -> Iterator[tuple[str, str]]:
    for one in sources():
        yield from _strings(
            one, docstrings=not PATH_PARTS_WITH_SHOWN_DOCSTRINGS.isdisjoint(one.file.parts)
        )
    for file in sorted(SOURCE.rglob("*.toml")):
        yield from ((_place_of(file), text) for text in _values(tomllib.loads(file.read_text())))
    for suffix in ("html", "j2", "md", "txt", "js"):
        for file in sorted(SOURCE.rglob(f"*.{suffix}")):
            if "vendor" not in file.parts and ".min." not in file.name:
                yield (
                    _place_of(file),
                    re.sub(r"<!--.*?-->|<!doctype", "", file.read_text(), flags=re.DOTALL),
                )


def _place_of(file: Path, line: int = 0) -> str:
    return f"{file.relative_to(ROOT)}:{line}"


def _strings(code: Source, *, docstrings: bool) -> Iterator[tuple[str, str]]:
    silent = set() if docstrings else set(_internal_docstrings(code))
    for node in code.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in silent:
            yield _place_of(code.file, node.lineno), node.value


def _internal_docstrings(code: Source) -> Iterator[ast.Constant]:
    """Yield docstrings that only programmers read. Users read the docstrings of errors."""
    for node in code.nodes:
        speaks = isinstance(node, ast.ClassDef) and _is_error(node)
        documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        if not isinstance(node, documented) or speaks or not node.body:
            continue
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            yield first.value


def _is_error(node: ast.ClassDef) -> bool:
    families = {"EntrenousError", "Refused", "NotFound", "Unproven", "Unreachable", "Malformed"}
    return any(isinstance(base, ast.Name) and base.id in families for base in node.bases)


def _values(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _values(part)
    elif isinstance(value, list):
        for part in value:
            yield from _values(part)


def test_no_text_for_people_has_forbidden_words() -> None:
    found = [
        f"{where}: {', '.join(bad)}"
        for where, text in shown_texts()
        if (bad := forbidden_words_in(text))
    ]
    assert found == []


def test_checked_texts_include_known_ones() -> None:
    read = {where.split(":")[0] for where, _ in shown_texts()}
    expected = {
        "send/people/people_nouns.py",
        "respond/letters/preview.py",
        "respond/facts/laws/north-america.toml",
        "learn/check_up.py",
        "learn/lessons/where-copies-hide.md",
    }
    assert {f"src/entrenous/{name}" for name in expected} <= read
    everything = "\n".join(text for _, text in shown_texts())
    for known in ("You have nobody called {name} here.", "You have not sent it yet.", "PT48H"):
        assert known in everything


@pytest.mark.parametrize(
    "text",
    [
        "You should have checked",
        "you shouldn't have sent it",
        "Why did you send\n it?",
        "a case of revenge porn",
        "the culprit is Ben",
        "Ben is suspected",
        "Sent!",
        'He said "no!" again',
        "It was your own fault",
        "Act now",
    ],
)
def test_forbidden_words_are_found(text: str) -> None:
    assert forbidden_words_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "Revenge Porn Helpline (SWGfL)",
        "https://revengepornhelpline.org.uk",
        "a != b",
        "![a picture](a.png)",
        "{name!r}",
        "an unsuspecting reader",
        "The one copy that fits is Caro's.",
    ],
)
def test_allowed_words_pass(text: str) -> None:
    assert forbidden_words_in(text) == []
