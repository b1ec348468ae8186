"""Rows of innocent leaks, packed: published beside their summary, and taken up by a later run.

One JSON object a line in an .xz file; the first line names seed and code, and rows of any other are
not read. Of the scores for pictures a few are kept, and sums to more digits than anybody needs.
"""

import json
import lzma
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from bench.tracing.null import NullRow

_SCHEMA: Final = "entrenous/bench-null-rows/1"
_SOME: Final = 8
_DIGITS: Final = 6


def pack_rows(file: Path, seed: int, code: str, rows: Iterable[NullRow]) -> None:
    """Write them all, or leave the file as it was."""
    lines = [_head(seed, code), *(asdict(_short(row)) for row in rows)]
    packed = lzma.compress("".join(f"{json.dumps(line)}\n" for line in lines).encode(), preset=9)
    fresh = file.with_name(f"{file.name}.part")
    fresh.write_bytes(packed)
    fresh.replace(file)


def packed_rows(file: Path, seed: int, code: str) -> list[NullRow]:
    """What :func:`pack_rows` wrote for this seed and code; nothing of others."""
    if not file.exists():
        return []
    head, *lines = lzma.decompress(file.read_bytes()).decode().splitlines()
    if json.loads(head) != _head(seed, code):
        return []
    return [_row(json.loads(line)) for line in lines]


def _head(seed: int, code: str) -> dict[str, Any]:
    return {"schema": _SCHEMA, "seed": seed, "code": code}


def _short(row: NullRow) -> NullRow:
    numbers = {name: round(getattr(row, name), _DIGITS) for name in ("total", "squares", "largest")}
    return replace(row, some=row.some[:_SOME], **numbers)


def _row(fields: dict[str, Any]) -> NullRow:
    return NullRow(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})
