"""The diagram in docs/architecture.md shows the code's imports, and names on that page exist."""

import ast
import re

import pytest

from tests.house.rooms import (
    PAGE,
    imports,
    layers,
    loaded_by_name,
    modules_imported,
    modules_named,
    page,
    reach,
    shortest,
    steps,
)
from tests.house.sources import SOURCE

pytestmark = pytest.mark.slow


def test_the_picture_is_current() -> None:
    text = PAGE.read_text()
    assert page(text) == text, "run: python -m tests.house.rooms --write"


def test_every_room_is_in_the_picture_and_in_the_tree() -> None:
    rooms = {place.name for place in SOURCE.iterdir() if (place / "__init__.py").is_file()}
    drawn = {room for row in layers() for room in row}
    assert drawn == rooms | {"__main__", "cli"}
    text = PAGE.read_text()
    assert {room for room in rooms if f"{room}/" not in text} == set()


def test_every_function_and_class_that_the_page_names_is_in_the_code() -> None:
    code = "\n".join(file.read_text() for file in SOURCE.rglob("*.py"))
    words = set(re.findall(r"\w+", code))
    named = set(re.findall(r"`(_?[A-Za-z]\w*(?:\.\w+)?)`", PAGE.read_text()))
    files = {name for name in named if name.endswith(".py")}
    missing = {name for name in named - files if not words.issuperset(name.split("."))}
    assert missing == set()
    assert {"_drop_content", "upper_tail", "chance_that_any_scores"} <= named


def test_imports_inside_of_functions_and_names_of_modules_are_found() -> None:
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


def test_arrows_that_a_chain_replaces_are_left_out_and_as_much_can_be_reached() -> None:
    arrows = {("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")}
    assert shortest(arrows) == {("a", "b"), ("b", "c"), ("a", "d")}
    every = set(imports())
    few, all_of_them = steps(shortest(every)), steps(every)
    assert len(shortest(every)) < len(every)
    for room in all_of_them:
        assert reach(room, few) == reach(room, all_of_them)


def test_only_the_command_line_and_the_gates_commands_load_other_rooms_by_name() -> None:
    by_name = {arrow for arrow in loaded_by_name() if arrow[0] != "cli"}
    assert by_name == {("stop", "connectors")}  # entrenous gate exchange, entrenous gate follow


def test_the_relay_reaches_nothing_that_opens_a_letter() -> None:
    reached = reach("carry", steps(set(imports())))
    # terminal reads media files for other commands; .importlinter forbids each module of media.
    assert reached & {"watermark", "send", "trace", "device"} == set()


def test_a_page_without_a_place_for_the_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        page("# A page\n")
