"""Draw the diagram in docs/architecture.md: the packages ("rooms"), and arrows for imports.

``python -m tests.house.rooms --write`` draws it again from the code. Without an option, the command
prints the number of imports from each package into every other package.
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
DIAGRAM_BEGIN: Final = "<!-- rooms: made by python -m tests.house.rooms --write -->\n"
DIAGRAM_END: Final = "<!-- end of rooms -->\n"
PACKAGE: Final = "entrenous"
Arrow = tuple[str, str]


def layers() -> list[list[str]]:
    """Return the layers of the import contract, highest first, with existing packages only."""
    contract = ConfigParser()
    contract.read(ROOT / ".importlinter")
    rows = contract["importlinter:contract:one-way"]["layers"].strip().split("\n")
    packages = [[name.strip() for name in row.split("|")] for row in rows]
    return [[name for name in row if _package_exists(name)] for row in packages]


def import_counts() -> Counter[Arrow]:
    """Return the number of imports from one package to another, by pair of packages."""
    return _count_arrows()[0]


def module_name_counts() -> Counter[Arrow]:
    """Return the number of strings that name a module of another package, by pair of packages."""
    return _count_arrows()[1]


@cache
def _count_arrows() -> tuple[Counter[Arrow], Counter[Arrow]]:
    """Count imports, and strings that name modules. Both are counted in one pass over all files."""
    found = Counter[Arrow](), Counter[Arrow]()
    for file, nodes in sources():
        package = file.relative_to(SOURCE).parts[0].removesuffix(".py")
        for arrows, modules_in in zip(found, (modules_imported, modules_named), strict=True):
            for module in modules_in(nodes):
                top, _, rest = module.partition(".")
                other = rest.partition(".")[0]
                if top == PACKAGE and other != package and _package_exists(other):
                    arrows[package, other] += 1
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


def transitive_reduction(arrows: set[Arrow]) -> set[Arrow]:
    """Return the arrows that no chain of other arrows replaces (a transitive reduction).

    Each package still reaches the same packages. The arrows must not form a cycle.
    """
    onward = successors(arrows)
    return {
        (start, stop)
        for start, stop in arrows
        if not any(stop in reachable_packages(other, onward) for other in onward[start] - {stop})
    }


def successors(arrows: set[Arrow]) -> dict[str, set[str]]:
    """Return the packages that arrows lead to, by the package where the arrows start."""
    onward: dict[str, set[str]] = {}
    for start, stop in arrows:
        onward.setdefault(start, set()).add(stop)
    return onward


def reachable_packages(package: str, onward: Mapping[str, set[str]]) -> set[str]:
    """Return every package that can be reached from ``package`` (see :func:`successors`)."""
    found: set[str] = set()
    ahead = [package]
    while ahead:
        new = onward.get(ahead.pop(), set()) - found
        found |= new
        ahead.extend(new)
    return found


def diagram() -> str:
    """Return the Mermaid diagram, with the comments that mark its place on the page."""
    rows = layers()
    lines = ["```mermaid", "flowchart TD"]
    for number, row in enumerate(rows):
        lines.append(f'  subgraph layer{number}[" "]')
        lines.extend(f'    {_node_id(package)}["{package}"]' for package in row)
        lines.append("  end")
    order = [package for row in rows for package in row]
    solid = transitive_reduction(set(import_counts()))
    dotted = set(module_name_counts()) - set(import_counts())
    for arrows, line in ((solid, "-->"), (dotted, "-.->")):
        in_order = sorted(arrows, key=lambda arrow: (order.index(arrow[0]), order.index(arrow[1])))
        lines.extend(f"  {_node_id(start)} {line} {_node_id(stop)}" for start, stop in in_order)
    return DIAGRAM_BEGIN + "\n".join([*lines, "```"]) + "\n" + DIAGRAM_END


def page_with_diagram(text: str) -> str:
    """Return the page with a diagram of the current code.

    Raises:
        ValueError: The page has no comments that mark the diagram's place.
    """
    before, begin, rest = text.partition(DIAGRAM_BEGIN)
    _, end, after = rest.partition(DIAGRAM_END)
    if not (begin and end):
        raise ValueError("the page has no place for the diagram")
    return before + diagram() + after


def _package_exists(package: str) -> bool:
    return bool(package) and ((SOURCE / package).is_dir() or (SOURCE / f"{package}.py").is_file())


def _names_a_module(text: str) -> bool:
    if not text.startswith(f"{PACKAGE}.") or not text.replace(".", "_").isidentifier():
        return False
    place = SOURCE.joinpath(*text.split(".")[1:])
    return place.is_dir() or place.with_suffix(".py").is_file()


def _node_id(package: str) -> str:
    return f"room_{package.strip('_')}"


def main(arguments: list[str]) -> int:
    """Write the diagram into its page, or print the numbers of imports."""
    if arguments == ["--write"]:
        PAGE.write_text(page_with_diagram(PAGE.read_text()))
        return 0
    for (start, stop), count in sorted(import_counts().items()):
        sys.stdout.write(f"{start:12} -> {stop:12} {count:4}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
