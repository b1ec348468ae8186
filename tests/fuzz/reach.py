"""The code that a fuzz target reaches, a hash of its files, and a list of all public readers."""

import ast
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from tests.fuzz.target import Target

PACKAGE: Final = Path(__file__).parents[2] / "src" / "entrenous"
_LIMITS_FILE: Final = PACKAGE / "base/limits.py"  # the limits that parsers enforce
_LIMITS_MODULE: Final = "entrenous.base.limits"
# This file formats the messages of errors, and reads no input.
_ERRORS_FILE: Final = PACKAGE / "base/errors.py"


def reached_code(target: Target) -> frozenset[CodeType]:
    """Return the package's code objects that ran while the target read its seeds."""
    found = set[CodeType]()

    def record(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            found.add(frame.f_code)

    seeds = list(target.seeds())
    before = sys.getprofile()
    sys.setprofile(record)
    try:
        for seed in seeds:
            target.read_and_check(seed)
    finally:
        sys.setprofile(before)
    return frozenset(code for code in found if is_in_package(code))


def is_in_package(code: CodeType) -> bool:
    return Path(code.co_filename).is_relative_to(PACKAGE)


def code_hash(target: Target) -> str:
    """Return a hash of the files that the target reaches, and of the limits that they import.

    Comments, docstrings, blanks and unused ``from`` imports do not count, nor do
    ``base/errors.py`` and errors that none of these files uses.
    """
    files = sorted(
        {Path(code.co_filename) for code in reached_code(target)} - {_LIMITS_FILE, _ERRORS_FILE}
    )
    trees = [_without_docstrings(ast.parse(path.read_bytes())) for path in files]
    used_names = {name for tree in trees for name in _names_used(tree)}
    for tree in trees:
        _drop_unused(tree, used_names)
    digest = hashlib.sha256()
    for path, tree in zip(files, trees, strict=True):
        digest.update(path.name.encode() + ast.dump(tree).encode())
    for assignment in _assignments_of_limits(
        {name for tree in trees for name in _limits_imported(tree)}
    ):
        digest.update(ast.dump(assignment).encode())
    return digest.hexdigest()[:16]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    """Remove all docstrings, including those that are errors' messages; return the tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                del node.body[0]
    return tree


def _names_used(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def _drop_unused(tree: ast.Module, used_names: set[str]) -> None:
    """Remove error classes that no file uses, and imports that this file does not use.

    The tree has no docstrings any more, so a class without statements is an error.
    """
    tree.body = [
        node
        for node in tree.body
        if not isinstance(node, ast.ClassDef) or node.body or node.name in used_names
    ]
    used_in_tree = set(_names_used(tree))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            node.names = [one for one in node.names if (one.asname or one.name) in used_in_tree]
    tree.body = [node for node in tree.body if not isinstance(node, ast.ImportFrom) or node.names]


def _limits_imported(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a file imports from ``base/limits.py``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == _LIMITS_MODULE:
            yield from (one.name for one in node.names)


def _assignments_of_limits(names: set[str]) -> list[ast.stmt]:
    """Return the assignments of these limits and of the limits they use, in the file's order."""
    lines = {
        name: line
        for line in ast.parse(_LIMITS_FILE.read_bytes()).body
        for name in _names_assigned(line)
    }
    wanted: set[str] = set()
    while names:
        wanted |= names
        within = (node for name in names for node in ast.walk(lines[name]))
        names = {node.id for node in within if isinstance(node, ast.Name)} & set(lines) - wanted
    return [line for name, line in lines.items() if name in wanted]


def _names_assigned(line: ast.stmt) -> Iterator[str]:
    targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
    yield from (one.id for one in targets if isinstance(one, ast.Name))


def untrusted_readers() -> Iterator[tuple[str, str]]:
    """Yield the file and the name of each public function that reads untrusted data.

    The name of a parameter of such a function begins with ``untrusted``.
    """
    for path in sorted(PACKAGE.rglob("*.py")):
        file_name = path.relative_to(PACKAGE).as_posix()
        yield from ((file_name, name) for name in _readers_in(ast.parse(path.read_bytes()), ""))


def _readers_in(body: Any, prefix: str) -> Iterator[str]:
    for node in body.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("_"):
            continue
        if isinstance(node, ast.ClassDef):
            yield from _readers_in(node, f"{prefix}{node.name}.")
        elif any(_is_untrusted(one) for one in ast.walk(node.args)):
            yield prefix + node.name


def _is_untrusted(node: ast.AST) -> bool:
    return isinstance(node, ast.arg) and node.arg.startswith("untrusted")
