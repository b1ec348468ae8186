"""Which of our functions an input goes through, and what their code is."""

import ast
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from tests.fuzz.target import Target

PACKAGE: Final = Path(__file__).parents[2] / "src" / "entrenous"
_SPEC: Final = PACKAGE / "spec.py"  # numbers that parsers compare with; nobody calls it


def reached(target: Target) -> frozenset[CodeType]:
    """Code of ours that ran while the target took its seeds."""
    found = set[CodeType]()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            found.add(frame.f_code)

    seeds = list(target.seeds())
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        for seed in seeds:
            target.take(seed)
    finally:
        sys.setprofile(before)
    return frozenset(code for code in found if is_ours(code))


def is_ours(code: CodeType) -> bool:
    """Whether it is code of the package."""
    return Path(code.co_filename).is_relative_to(PACKAGE)


def code_of(target: Target) -> str:
    """A hash of the files that the target reaches; comments and blanks do not count."""
    files = {Path(code.co_filename) for code in reached(target)} | {_SPEC}
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + ast.dump(ast.parse(path.read_bytes())).encode())
    return digest.hexdigest()[:16]


def readers() -> Iterator[tuple[str, str]]:
    """File (below the package) and name of every public function that takes an ``untrusted``."""
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        yield from ((place, name) for name in _readers_in(ast.parse(path.read_bytes()), ""))


def _readers_in(body: Any, inside: str) -> Iterator[str]:
    for node in body.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("_"):
            continue
        if isinstance(node, ast.ClassDef):
            yield from _readers_in(node, f"{inside}{node.name}.")
        elif any(_is_untrusted(one) for one in ast.walk(node.args)):
            yield inside + node.name


def _is_untrusted(node: ast.AST) -> bool:
    return isinstance(node, ast.arg) and node.arg.startswith("untrusted")
