"""Packed rows of innocent leaks: published with their summary, and reused by a later run.

The .xz file has one JSON object per line. The first line names the seed and the code; a file of
another seed or code is ignored. Only a few of the scores for the plot are kept, and sums are
rounded to six decimals.
"""

import json
import lzma
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from bench.tracing.null import NullRow

_SCHEMA: Final = "entrenous/bench-null-rows/1"
_SAMPLE_SCORES: Final = 8
_DIGITS: Final = 6


def pack_rows(file: Path, seed: int, code: str, rows: Iterable[NullRow]) -> None:
    """Replace the file with these rows; if that fails, it stays as it was."""
    lines = [_head(seed, code), *(asdict(_short(row)) for row in rows)]
    packed = lzma.compress("".join(f"{json.dumps(line)}\n" for line in lines).encode(), preset=9)
    fresh = file.with_name(f"{file.name}.part")
    fresh.write_bytes(packed)
    fresh.replace(file)


def packed_rows(file: Path, seed: int, code: str) -> list[NullRow]:
    """Return the rows that :func:`pack_rows` wrote; none if they have another seed or code."""
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
    return replace(row, some=row.some[:_SAMPLE_SCORES], **numbers)


def _row(fields: dict[str, Any]) -> NullRow:
    return NullRow(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})
