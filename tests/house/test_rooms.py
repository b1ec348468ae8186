"""Tests of docs/architecture.md and its diagram of imports, and of the imports of ``carry``."""

import ast
import re

import pytest

from tests.house.rooms import (
    PAGE,
    import_counts,
    layers,
    module_name_counts,
    modules_imported,
    modules_named,
    page_with_diagram,
    reachable_packages,
    successors,
    transitive_reduction,
)
from tests.house.sources import SOURCE

pytestmark = pytest.mark.slow


def test_diagram_is_current() -> None:
    text = PAGE.read_text()
    assert page_with_diagram(text) == text, "run: python -m tests.house.rooms --write"


def test_every_package_is_in_the_diagram_and_on_the_page() -> None:
    packages = {place.name for place in SOURCE.iterdir() if (place / "__init__.py").is_file()}
    drawn = {package for row in layers() for package in row}
    assert drawn == packages | {"__main__", "cli"}
    text = PAGE.read_text()
    assert {package for package in packages if f"{package}/" not in text} == set()


def test_every_function_and_class_that_the_page_names_is_in_the_code() -> None:
    code = "\n".join(file.read_text() for file in SOURCE.rglob("*.py"))
    words = set(re.findall(r"\w+", code))
    named = set(re.findall(r"`(_?[A-Za-z]\w*(?:\.\w+)?)`", PAGE.read_text()))
    files = {name for name in named if name.endswith(".py")}
    missing = {name for name in named - files if not words.issuperset(name.split("."))}
    assert missing == set()
    assert {"_drop_content", "upper_tail", "chance_that_any_scores"} <= named


def test_imports_in_functions_and_module_names_in_strings_are_found() -> None:
    source = """
import entrenous.base.errors, numpy
TABLE = {"inbox": "entrenous.send.commands.inbox", "log": "entrenous.nothing_of_ours"}
def read():
    from entrenous.media import file_kind
"""
    nodes = list(ast.walk(ast.parse(source)))
    modules = ["entrenous.base.errors", "entrenous.media", "numpy"]
    assert sorted(modules_imported(nodes)) == modules
    assert list(modules_named(nodes)) == ["entrenous.send.commands.inbox"]


def test_transitive_reduction_drops_arrows_and_keeps_reachability() -> None:
    arrows = {("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")}
    assert transitive_reduction(arrows) == {("a", "b"), ("b", "c"), ("a", "d")}
    every = set(import_counts())
    few, all_of_them = successors(transitive_reduction(every)), successors(every)
    assert len(transitive_reduction(every)) < len(every)
    for package in all_of_them:
        assert reachable_packages(package, few) == reachable_packages(package, all_of_them)


def test_only_cli_and_stop_load_other_packages_by_name() -> None:
    by_name = {arrow for arrow in module_name_counts() if arrow[0] != "cli"}
    assert by_name == {("stop", "connectors")}  # entrenous gate exchange, entrenous gate follow


def test_carry_imports_no_package_that_can_read_messages() -> None:
    reached = reachable_packages("carry", successors(set(import_counts())))
    # This graph joins rooms, not files: carry imports terminal, which imports media. So media is
    # not in the set below. .importlinter checks that no file of carry reaches media.
    assert reached & {"watermark", "send", "trace", "device"} == set()


def test_page_without_a_place_for_the_diagram_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        page_with_diagram("# A page\n")
