"""Generate docs/threats.md from docs/threats.toml and the tests that are marked with a row's id.

Run ``python -m tests.house.threats --write`` to write it again.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
ROWS_FILE: Final = ROOT / "docs" / "threats.toml"
PAGE: Final = ROOT / "docs" / "threats.md"
MARK_NAME: Final = "threat"
PAGE_HEAD: Final = """\
# Threats, controls, tests

This page says what could go wrong, what protects against it, and which tests show that it does. A
real case of a threat is named in parentheses. After the tests, *what remains* says what a control
does not prevent, and *not built yet* marks a control that does not exist. We list what we do not
stop at all in [known-attacks.md](known-attacks.md).

`python -m tests.house.threats --write` makes this page from `docs/threats.toml` and from the tests
that are marked with the id of a row; `tests/house/test_threats.py` fails when the page is out of
date, or when a row has no test.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One threat and its control.

    ``case`` is a real case of the threat. ``also`` names evidence other than tests. ``left`` is
    the risk that remains. ``not_built`` is a control that does not exist yet.
    """

    id: str
    section: str
    threat: str
    control: str
    case: str = ""
    also: tuple[str, ...] = ()
    left: str = ""
    not_built: str = ""


def rows() -> tuple[Row, ...]:
    """Return every row, in the order of the page."""
    read = tomllib.loads(ROWS_FILE.read_text())["row"]
    return tuple(Row(**{**row, "also": tuple(row.get("also", ()))}) for row in read)


def marked_tests() -> dict[str, list[str]]:
    """Return the marked tests as ``path::function``, by the row id in their mark."""
    found: dict[str, list[str]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        source = file.read_text()
        for test, row in marks_in(source) if f".{MARK_NAME}(" in source else ():
            found.setdefault(row, []).append(f"{file.relative_to(ROOT).as_posix()}::{test}")
    return found


def marks_in(source: str) -> Iterator[tuple[str, str]]:
    """Yield (test, row) for each mark in the source of a test file."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in node.decorator_list:
                match decorator:
                    case ast.Call(
                        func=ast.Attribute(attr=attr), args=[ast.Constant(value=str(row))]
                    ) if attr == MARK_NAME:
                        yield node.name, row


def threats_page(all_rows: tuple[Row, ...], tests: Mapping[str, list[str]]) -> str:
    """Return the text of docs/threats.md."""
    lines, section = [PAGE_HEAD], ""
    for row in all_rows:
        if row.section != section:
            section = row.section
            lines.append(f"## {section}\n\n| threat | control here | tests |\n| --- | --- | --- |")
        lines.append(_table_row(row, tests.get(row.id, [])))
        if row is all_rows[-1] or all_rows[all_rows.index(row) + 1].section != section:
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _table_row(row: Row, tests: list[str]) -> str:
    threat = f"{row.threat} ({row.case})" if row.case else row.threat
    shown = ", ".join(f"`{one}`" for one in (*tests, *row.also))
    left = f"*what remains:* {row.left}" if row.left else ""
    not_built = f"*not built yet:* {row.not_built}" if row.not_built else ""
    return f"| {threat} | {row.control} | {'; '.join(filter(None, (shown, left, not_built)))} |"


def main(arguments: list[str]) -> int:
    """Write the page if ``--write`` is given; otherwise return 1 if the page is out of date."""
    made = threats_page(rows(), marked_tests())
    if arguments == ["--write"]:
        PAGE.write_text(made)
        return 0
    return 0 if made == PAGE.read_text() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
