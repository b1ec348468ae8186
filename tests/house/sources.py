"""The program's source files as syntax trees."""

import ast
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

SOURCE: Final = Path(__file__).parents[2] / "src" / "entrenous"


class Source(NamedTuple):
    """A file and all nodes of its tree in the order of ``ast.walk``, beginning with the module."""

    file: Path
    nodes: tuple[ast.AST, ...]


def sources() -> list[Source]:
    """Return every Python file of the program, sorted by path."""
    with pause_garbage_collector():
        return [
            Source(file, tuple(ast.walk(ast.parse(file.read_text()))))
            for file in sorted(SOURCE.rglob("*.py"))
        ]


@contextmanager
def pause_garbage_collector() -> Iterator[None]:
    """Pause the garbage collector, for example while many syntax nodes are made."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
