"""Tests of documents: commands and settings are explained; links, tests and sections exist."""

import ast
import importlib
import inspect
import pkgutil
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import entrenous
from entrenous.base.errors import EntrenousError
from entrenous.cli import build_command_line

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "entrenous"
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "changes/*.md", "tests/vectors/*.md")
    for page in ROOT.glob(pattern)
)
GUIDE_PAGES = [page for page in PAGES if "spec" not in page.parts and "changes" not in page.parts]
UNIMPORTABLE_MODULES = {"entrenous.__main__", "entrenous.connectors.synapse"}
LINK_TARGET = re.compile(r"\]\(([^)\s]+)\)")
OPTION_NAME = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")
PLACEHOLDER = re.compile(r"\{[^}]*\}")
TEST_PATH = re.compile(r"\btests/[\w/.-]+?\.(?:py|txt)(?:::\w+)?\b")
SPEC_CITATION = re.compile(r"\b(?:docs/)?spec/(\w+)\.md(?:,? section (\d+))?")
SECTION_CITATION = re.compile(r"\b([a-z]+)\.md,? sections? (\d+)")
DECISION_CITATION = re.compile(r"docs/decisions/(\d{4})")


def leaf_commands() -> dict[str, Any]:
    """Return every command without subcommands by its full name, as in "case add"."""
    return dict(_commands_below(build_command_line(), ()))


def _commands_below(group: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name in group.commands:
        command = group.get_command(None, name)
        if hasattr(command, "commands"):
            yield from _commands_below(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


@cache
def guide_text() -> str:
    """Return the text of all documents that explain the program."""
    return "\n".join(page.read_text() for page in GUIDE_PAGES)


@cache
def known_options() -> set[str]:
    """Return the options of all commands and of the program itself."""
    every = [command for _, command in _commands_below(build_command_line(), ())]
    known = {"--help", "--passphrase-fd", "--version"}
    return known.union(*(each.opts + each.secondary_opts for one in every for each in one.params))


def parser_refusal(words: list[str]) -> str:
    """Return why the parser refuses these words after ``entrenous``, or "" if it accepts them."""
    if words[0] in {"-h", "--help", "--version"}:
        return ""
    command, rest = build_command_line(), list(words)
    while hasattr(command, "commands"):
        if not rest:
            return ""  # a group of commands is named, as in "`entrenous case`"
        if rest[0] not in command.commands:
            return f"there is no command {rest[0]!r}"
        command = command.get_command(None, rest.pop(0))
    if rest == ["-h"]:
        return ""
    try:
        context = command.context_class(command, info_name="entrenous")
        _, left, _ = command.make_parser(context).parse_args(rest)
    except Exception as error:  # noqa: BLE001 - newer Typers carry their own kinds of error
        return str(error)
    return f"{left} is one word too many" if left else ""


def documented_commands() -> Iterator[tuple[str, str]]:
    """Yield (place, command) of each command that documents and errors tell people to type."""
    for page in PAGES:
        text = page.read_text()
        for block in re.findall(r"```(?:console)?\n(.*?)```", text, re.DOTALL):
            for line in block.splitlines():
                typed = line.removeprefix("$ ")
                if typed.startswith("entrenous "):
                    yield page.name, typed.removeprefix("entrenous ")
        for span in re.findall(r"`(?:ENTRENOUS_\w+=\S+ )?entrenous ([^`]+)`", text):
            yield page.name, span
    for error in error_classes():
        words = PLACEHOLDER.sub("X", " ".join(inspect.cleandoc(error.__doc__ or "").split()))
        for line in re.findall(r"\bentrenous ([^.,;:)]+)", words):
            yield error.__name__, line.split(" or ")[0]


def error_classes() -> list[type[EntrenousError]]:
    """Return every error class of the package."""
    for module in pkgutil.walk_packages(entrenous.__path__, "entrenous."):
        if module.name not in UNIMPORTABLE_MODULES:
            importlib.import_module(module.name)
    found = [EntrenousError]
    for error in found:
        found.extend(error.__subclasses__())
    return [error for error in found if error.__module__.startswith("entrenous.")]


@pytest.mark.parametrize("words", leaf_commands())
def test_every_command_is_explained(words: str) -> None:
    assert re.search(rf"entrenous {words}(?![\w-])", guide_text()), "in no document"


def test_documented_commands_can_be_parsed() -> None:
    every = sorted(documented_commands())
    wrong = [
        f"{where}: entrenous {typed}: {why}"
        for where, typed in every
        if (why := _refusal_reason(typed))
    ]
    assert wrong == []
    assert {"README.md", "start.md", "UnknownPerson", "VaultNotFound"} <= {
        where for where, _ in every
    }


def _refusal_reason(typed: str) -> str:
    return parser_refusal(shlex.split(typed.replace("...", "")))


@pytest.mark.parametrize(
    "typed",
    ["teleport", "case fly", "trace a --too b", "send a --too b", "mark a --out", "learn a b"],
)
def test_commands_that_cannot_be_parsed_are_found(typed: str) -> None:
    assert parser_refusal(typed.split())


def test_every_setting_is_explained() -> None:
    code = "\n".join(file.read_text() for file in SOURCE.rglob("*.py"))
    settings = set(re.findall(r"[\"\'](ENTRENOUS_[A-Z]+)[\"\']", code))
    pages = guide_text()
    assert {"ENTRENOUS_HOME", "ENTRENOUS_PATIENCE"} <= settings
    assert {name for name in settings if f"`{name}`" not in pages} == set()


def test_every_option_that_an_error_names_exists() -> None:
    named = {
        (error.__name__, option)
        for error in error_classes()
        for option in OPTION_NAME.findall(error.__doc__ or "")
        if option != "--upgrade"  # an option of pip
    }
    assert {option for _, option in named} >= {"--as", "--relay"}
    assert {one for one in named if one[1] not in known_options()} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_existing_places(page: Path) -> None:
    for target in LINK_TARGET.findall(page.read_text()):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        file, _, heading = target.partition("#")
        place = (page.parent / file).resolve() if file else page
        assert place.exists(), target
        assert place.is_relative_to(ROOT), target
        assert not heading or heading in _anchors(place), target


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_that_a_document_names_exist(page: Path) -> None:
    for named in TEST_PATH.findall(page.read_text()):
        file, _, function = named.partition("::")
        assert (ROOT / file).is_file(), named
        assert not function or function in _function_names(file), named


@cache
def _function_names(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)} | {
        node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)
    }


def citing_files() -> list[Path]:
    ours = [*SOURCE.rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *PAGES]
    return [file for file in ours if file != Path(__file__)]


def test_cited_pages_sections_and_decisions_exist() -> None:
    specs = {page.stem: page.read_text() for page in (ROOT / "docs" / "spec").glob("*.md")}
    missing, found = [], 0
    for file in citing_files():
        text = " ".join(file.read_text().split())
        for page, section in [*SPEC_CITATION.findall(text), *_cited_sections(text, specs)]:
            found += 1
            if not _has_section(specs.get(page), section):
                missing.append(f"{file.name}: {page}.md section {section}")
        missing.extend(
            f"{file.name}: decision {number}"
            for number in DECISION_CITATION.findall(text)
            if not list((ROOT / "docs" / "decisions").glob(f"{number}-*.md"))
        )
    assert missing == []
    assert found > 100


def _cited_sections(text: str, specs: dict[str, str]) -> list[tuple[str, str]]:
    return [(page, section) for page, section in SECTION_CITATION.findall(text) if page in specs]


def _has_section(page: str | None, section: str) -> bool:
    if page is None:
        return False
    return not section or re.search(rf"^## {section}\.", page, re.MULTILINE) is not None


def test_every_specification_is_listed_in_the_readme() -> None:
    listed = (ROOT / "docs/spec/README.md").read_text()
    specifications = {file.name for file in (ROOT / "docs/spec").glob("*.md")} - {"README.md"}
    assert {name for name in specifications if f"]({name})" not in listed} == set()
