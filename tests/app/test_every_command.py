"""docs/app.md names the page for each command, or says why there is none.

Commands for operators are left out.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from entrenous.app.server import all_routes
from entrenous.cli import build_command_line

COMMANDS_PAGE = Path(__file__).parents[2] / "docs" / "app.md"
OPERATOR_COMMANDS: Final = {"relay", "gate"}
_ROW: Final = re.compile(r"^\| `([a-z-]+(?: [a-z-]+)?)` \| ([^|]+) \| ([^|]*)\|$", re.MULTILINE)
_ADDRESS: Final = re.compile(r"`(/[\w/]*)`")


def command_names(group: Any, *group_names: str) -> Iterator[str]:
    """Yield the full name of each command, such as ``case open``.

    All lessons count as one command, ``learn``.
    """
    for name in group.list_commands(None):
        found = group.get_command(None, name)
        words = (*group_names, name)
        if words == ("learn",):
            yield from ("learn", "learn export")
        elif hasattr(found, "list_commands"):
            yield from command_names(found, *words)
        else:
            yield " ".join(words)


@pytest.fixture(scope="module")
def table_rows() -> dict[str, tuple[str, str]]:
    found = _ROW.findall(COMMANDS_PAGE.read_text())
    assert len({name for name, _, _ in found}) == len(found)
    return {name: (page.strip(), why.strip()) for name, page, why in found}


def test_rows_are_all_commands_except_those_of_operators(
    table_rows: dict[str, tuple[str, str]],
) -> None:
    expected = {
        name
        for name in command_names(build_command_line())
        if name.split()[0] not in OPERATOR_COMMANDS
    }
    assert set(table_rows) == expected


def test_a_command_without_a_page_says_why(table_rows: dict[str, tuple[str, str]]) -> None:
    for name, (page, why) in table_rows.items():
        assert _ADDRESS.search(page) or (page == "none" and len(why) > 20), name


def test_every_address_in_the_document_is_one_of_the_app() -> None:
    expected = {re.sub(r"/\{.*", "", route.path) for route in all_routes()} | {"/"}
    expected |= {route.path for route in all_routes()}
    named = set(_ADDRESS.findall(COMMANDS_PAGE.read_text()))
    assert named - expected == set()
