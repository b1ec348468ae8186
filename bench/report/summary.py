"""Summarise rows as JSON documents, one for each kind of measurement."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

from bench.attacks import CORE, HARD, OTHER, RUIN
from bench.report.calibration import Calibration, reliability
from bench.tracing.collusion import Merged
from bench.tracing.copies import Quality
from bench.tracing.cost import Cost
from bench.tracing.grid import Row
from bench.tracing.null import POWERS, NullRow, pooled
from bench.tracing.peers import PeerRow

ATTACK_SETS: Final = {"core": CORE, "hard": HARD, "other": OTHER, "ruin": RUIN}

Document = dict[str, Any]


def grid(rows: Sequence[Row], seed: int, skipped: Sequence[str]) -> Document:
    """Return, by attack and size, how many copies were named right, and lowest and median score."""
    sizes = _in_order(row.size for row in rows)
    return {
        "schema": "entrenous/bench-trace-grid/1",
        "seed": seed,
        "photos": {size: _in_order(r.photo for r in rows if r.size == size) for size in sizes},
        "skipped": list(skipped),
        "sets": {
            name: {size: _share(_rows_for(rows, size, attacks)) for size in sizes}
            for name, attacks in ATTACK_SETS.items()
        },
        "attacks": {
            attack: {size: _cell(_rows_for(rows, size, [attack])) for size in sizes}
            for attack in _in_order(row.attack for row in rows)
        },
        "missed": [_missed(row) for row in rows if not row.right],
        "innocents": sum(len(row.others) for row in rows),
        "innocent_largest": max((row.innocent for row in rows if row.others), default=0.0),
        "trace_s": {size: _seconds([r for r in rows if r.size == size]) for size in sizes},
    }


def peers(rows: Sequence[PeerRow], ours: Sequence[Row], qualities: Sequence[Quality]) -> Document:
    """Compare the peers with this program on the same photographs, sizes and attacks."""
    cells = {(row.photo, row.size, row.attack) for row in rows}
    same = [row for row in ours if (row.photo, row.size, row.attack) in cells]
    attacks = _in_order(row.attack for row in rows)
    seen = [
        one.psnr_mark_db for one in qualities if (one.photo, one.size) in {c[:2] for c in cells}
    ]
    table: Document = {
        "entrenous": {
            **_counts([(r.attack, r.right, r.wrong > 0) for r in same]),
            "psnr_db": _least(seen),
        }
    }
    for peer in _in_order(row.peer for row in rows):
        own = [row for row in rows if row.peer == peer]
        table[peer] = {
            **_counts([(row.attack, row.right, row.wrong) for row in own]),
            "psnr_db": _least(row.psnr_db for row in own),
        }
    return {"schema": "entrenous/bench-trace-peers/1", "attacks": attacks, "table": table}


def collusion(rows: Sequence[Merged]) -> Document:
    """Return results by size, way of merging and number of colluders: in how many leaks at least
    one colluder was named, in how many all were, and the best scores.
    """
    keys = _in_order((row.size, row.way, row.colluders) for row in rows)
    return {
        "schema": "entrenous/bench-trace-collusion/1",
        "rows": [
            _merged([r for r in rows if (r.size, r.way, r.colluders) == key], *key) for key in keys
        ],
        "wrong": sum(row.wrong for row in rows),
    }


def copies(rows: Sequence[Quality]) -> Document:
    """Return how visible the mark of each copy is."""
    return {"schema": "entrenous/bench-trace-copies/1", "rows": [_rounded(asdict(r)) for r in rows]}


def cost(rows: Sequence[Cost]) -> Document:
    """Return the time and memory that marking and tracing take."""
    table = [
        _rounded(
            {
                **asdict(row),
                "mark_over_encode": row.mark_over_encode,
                "mark_cpu_over_encode": row.mark_cpu_s / row.encode_cpu_s,
            }
        )
        for row in rows
    ]
    return {"schema": "entrenous/bench-trace-cost/1", "rows": table}


def null(rows: Sequence[NullRow], seed: int) -> Document:
    """Return the shares of innocent scores whose p is below 1e-1 to 1e-6.

    They are given for all leaks together, and for each kind of leak.
    """
    kinds = sorted({row.kind for row in rows})
    return {
        "schema": "entrenous/bench-trace-null/1",
        "seed": seed,
        "powers": list(POWERS),
        "all": asdict(pooled(rows)),
        "kinds": {kind: asdict(pooled([r for r in rows if r.kind == kind])) for kind in kinds},
    }


def calibrated(found: Calibration) -> Document:
    """Return how well the stated likelihood ratios are calibrated."""
    return {
        "schema": "entrenous/bench-trace-calibration/1",
        "true_copies": int(found.true.size),
        "innocent_copies": int(found.innocent.size),
        "cllr_bits": round(found.cllr, 4),
        "cllr_min_bits": round(found.cllr_min, 4),
        "innocents_at_least": {f"1e{k}": found.above(k)[1] for k in range(7)},
        "true_at_least": {f"1e{k}": found.above(k)[0] for k in range(7)},
        "reliability": [
            {"stated": stated, "observed": observed, "copies": count}
            for stated, observed, count in reliability(found)
        ],
    }


def line(
    rows: Sequence[Row],
    qualities: Sequence[Quality],
    costs: Sequence[Cost],
    peer_results: Sequence[PeerRow],
) -> Document:
    """Return the last line of a run.

    Leaks that ruin the picture are not counted. ``mark_over_encode`` is that of ``costs[0]``.
    """
    counted = [row for row in rows if row.attack not in RUIN]
    return {
        "schema": "entrenous/bench-trace/1",
        "photos": len({(row.photo, row.size) for row in counted}),
        "attacks": len({row.attack for row in counted}),
        "named_right": sum(row.right for row in counted),
        "named_wrong": sum(row.wrong > 0 for row in counted),
        "nobody": sum(row.nobody for row in counted),
        "psnr_db_min": _least(quality.psnr_mark_db for quality in qualities),
        "ssim_min": _least(quality.ssim for quality in qualities),
        "mark_over_encode": _least(one.mark_over_encode for one in costs[:1]),
        "trace_s_p50": round(statistics.median([r.seconds for r in counted]), 3)
        if counted
        else None,
        "peers": {
            peer: {
                "right": sum(
                    r.right for r in peer_results if r.peer == peer and r.attack not in RUIN
                )
            }
            for peer in _in_order(row.peer for row in peer_results)
        },
    }


def _rows_for(rows: Sequence[Row], size: str, attacks: Iterable[str]) -> list[Row]:
    wanted = set(attacks)
    return [row for row in rows if row.size == size and row.attack in wanted]


def _share(rows: Sequence[Row]) -> Document:
    return {"leaks": len(rows), "right": sum(r.right for r in rows), "wrong": _wrong(rows)}


def _wrong(rows: Sequence[Row]) -> int:
    return sum(row.wrong > 0 for row in rows)


def _cell(rows: Sequence[Row]) -> Document | None:
    if not rows:
        return None
    # A leak that could not be aligned has no score. It counts as 0, a score that proves nothing.
    scores = [row.score if row.registered else 0.0 for row in rows]
    lowest, median = round(min(scores), 1), round(statistics.median(scores), 1)
    return {**_share(rows), "lowest": lowest, "median": median}


def _missed(row: Row) -> Document:
    fields = {"photo": row.photo, "size": row.size, "attack": row.attack, "wrong": row.wrong}
    return {**fields, "score": round(row.score, 2) if row.registered else None}


def _seconds(rows: Sequence[Row]) -> Document:
    seconds = sorted(row.seconds for row in rows)
    worst = seconds[min(len(seconds) - 1, round(0.95 * len(seconds)))]
    return {"p50": round(statistics.median(seconds), 2), "p95": round(worst, 2)}


def _counts(rows: Sequence[tuple[str, bool, bool]]) -> Document:
    by_attack: dict[str, int] = {}
    for attack, right, _ in rows:
        by_attack[attack] = by_attack.get(attack, 0) + right
    return {
        "leaks": len(rows),
        "right": sum(right for _, right, _ in rows),
        "wrong": sum(wrong for _, _, wrong in rows),
        "by_attack": by_attack,
    }


def _merged(rows: Sequence[Merged], size: str, way: str, colluders: int) -> Document:
    return {
        "size": size,
        "way": way,
        "colluders": colluders,
        "leaks": len(rows),
        "at_least_one": sum(row.named > 0 for row in rows),
        "all": sum(row.named == row.colluders for row in rows),
        "named_lowest": min(row.named for row in rows),
        "named_highest": max(row.named for row in rows),
        "best_lowest": round(min(row.highest_score for row in rows), 1),
        "best_median": round(statistics.median(row.highest_score for row in rows), 1),
    }


def _rounded(fields: Document) -> Document:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in fields.items()}


def _least(values: Iterable[float]) -> float | None:
    return min((round(value, 4) for value in values), default=None)


def _in_order(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))
