"""Draw the diagram in docs/architecture.md: the rooms (packages), and an arrow for each import.

``python -m tests.house.rooms --write`` draws it again from the code. Without an option, the command
prints how many imports lead from each room to each other one.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser
from functools import cache
from pathlib import Path
from typing import Final

from tests.house.sources import SOURCE, sources

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "architecture.md"
BEGIN: Final = "<!-- rooms: made by python -m tests.house.rooms --write -->\n"
END: Final = "<!-- end of rooms -->\n"
PACKAGE: Final = "entrenous"
Arrow = tuple[str, str]


def layers() -> list[list[str]]:
    """Return the rows of rooms in the import contract, top first, without missing rooms."""
    contract = ConfigParser()
    contract.read(ROOT / ".importlinter")
    rows = contract["importlinter:contract:one-way"]["layers"].strip().split("\n")
    rooms = [[name.strip() for name in row.split("|")] for row in rows]
    return [[name for name in row if _exists(name)] for row in rooms]


def imports() -> Counter[Arrow]:
    """Return the number of imports that lead from one room to another, by pair of rooms."""
    return _arrows()[0]


def loaded_by_name() -> Counter[Arrow]:
    """Return the same for strings that name a module, such as those of the command line."""
    return _arrows()[1]


@cache
def _arrows() -> tuple[Counter[Arrow], Counter[Arrow]]:
    """Return both counters at once, because walking all files takes two seconds."""
    found = Counter[Arrow](), Counter[Arrow]()
    for file, nodes in sources():
        room = file.relative_to(SOURCE).parts[0].removesuffix(".py")
        for arrows, modules_in in zip(found, (modules_imported, modules_named), strict=True):
            for module in modules_in(nodes):
                package, _, rest = module.partition(".")
                other = rest.partition(".")[0]
                if package == PACKAGE and other != room and _exists(other):
                    arrows[room, other] += 1
    return found


def modules_imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the module of each import in a file, also inside functions."""
    for node in nodes:
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module


def modules_named(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the modules of this package that are named by strings in a file."""
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)) if _names_a_module(text):
                yield text


def shortest(arrows: set[Arrow]) -> set[Arrow]:
    """Return the arrows that no chain of other arrows replaces (a transitive reduction).

    Each room still reaches the same rooms. The arrows must not form a cycle.
    """
    onward = steps(arrows)
    return {
        (start, stop)
        for start, stop in arrows
        if not any(stop in reach(other, onward) for other in onward[start] - {stop})
    }


def steps(arrows: set[Arrow]) -> dict[str, set[str]]:
    """Return the rooms that arrows lead to, by the room where they start."""
    onward: dict[str, set[str]] = {}
    for start, stop in arrows:
        onward.setdefault(start, set()).add(stop)
    return onward


def reach(room: str, onward: Mapping[str, set[str]]) -> set[str]:
    """Return every room that can be reached from this one."""
    found: set[str] = set()
    ahead = [room]
    while ahead:
        new = onward.get(ahead.pop(), set()) - found
        found |= new
        ahead.extend(new)
    return found


def picture() -> str:
    """Return the Mermaid diagram between the comments that mark its place."""
    rows = layers()
    lines = ["```mermaid", "flowchart TD"]
    for number, row in enumerate(rows):
        lines.append(f'  subgraph layer{number}[" "]')
        lines.extend(f'    {_node(room)}["{room}"]' for room in row)
        lines.append("  end")
    order = [room for row in rows for room in row]
    solid = shortest(set(imports()))
    dotted = set(loaded_by_name()) - set(imports())
    for arrows, line in ((solid, "-->"), (dotted, "-.->")):
        in_order = sorted(arrows, key=lambda arrow: (order.index(arrow[0]), order.index(arrow[1])))
        lines.extend(f"  {_node(start)} {line} {_node(stop)}" for start, stop in in_order)
    return BEGIN + "\n".join([*lines, "```"]) + "\n" + END


def page(text: str) -> str:
    """Return the page with a diagram of the current code.

    Raises:
        ValueError: The page has no comments that mark the diagram's place.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the page has no place for the picture")
    return before + picture() + after


def _exists(room: str) -> bool:
    return bool(room) and ((SOURCE / room).is_dir() or (SOURCE / f"{room}.py").is_file())


def _names_a_module(text: str) -> bool:
    if not text.startswith(f"{PACKAGE}.") or not text.replace(".", "_").isidentifier():
        return False
    place = SOURCE.joinpath(*text.split(".")[1:])
    return place.is_dir() or place.with_suffix(".py").is_file()


def _node(room: str) -> str:
    return f"room_{room.strip('_')}"


def main(arguments: list[str]) -> int:
    """Write the diagram into its page, or print the numbers of imports."""
    if arguments == ["--write"]:
        PAGE.write_text(page(PAGE.read_text()))
        return 0
    for (start, stop), count in sorted(imports().items()):
        sys.stdout.write(f"{start:12} -> {stop:12} {count:4}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
