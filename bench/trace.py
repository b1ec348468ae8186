"""Benchmark tracing: named copies, innocent copies, colluders, visibility, cost and peers.

    python bench/trace.py --quick         under a minute; the last line is one JSON object
    python bench/trace.py                 the full grid, its peers, visibility, colluders and cost
    python bench/trace.py --null          innocent leaks x 1,000 keys; can be stopped and continued
    python bench/trace.py --help          all options

Results are written to --out as JSON, Markdown and plots; docs/benchmarks.md explains them. The
peers are blind-watermark and invisible-watermark; they are skipped if they are not installed.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

if __package__ in {None, ""}:
    # Run as a script: sys.path[0] is then this folder, where trace.py would hide the standard
    # library's `trace`.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.report.summary import line
from bench.tracing import parts
from bench.tracing.plan import full, narrowed, quick
from bench.tracing.run import missing, say


def main(arguments: list[str] | None = None) -> int:
    """Make the requested measurements; return 1 if an innocent copy was named, else 0."""
    asked = _parser().parse_args(arguments)
    if not asked.quick:
        return _measure(asked, asked.raw)
    with TemporaryDirectory() as fresh:  # a quick run reuses no earlier rows
        return _measure(asked, Path(fresh))


def _measure(asked: argparse.Namespace, raw: Path) -> int:
    plan = narrowed(
        (quick if asked.quick else full)(asked.seed), asked.photos, asked.sizes, asked.only
    )
    skipped = missing(plan.photos)
    for photo in skipped:
        say(f"SKIPPED, not installed or too small: {photo}")
    out = asked.out or Path("bench-out/quick" if asked.quick else "docs/benchmarks")
    part = parts.Run(plan, tuple(skipped), out, asked.processes, raw)
    chosen = [name for name in parts.PARTS if getattr(asked, name)]
    if not chosen:
        return _whole(part, quick_run=asked.quick)
    wrong = sum(parts.PARTS[name](part, asked) for name in chosen)
    return int(wrong > 0)


def _whole(run: parts.Run, *, quick_run: bool) -> int:
    """Measure the grid, visibility, peers and cost, and in a full run merged copies as well."""
    rows = parts.grid(run)
    qualities = parts.copy_quality(run)
    peers = parts.peer_results(run, rows, qualities)
    if not quick_run:
        parts.merging_copies(run)
    # This comes last, because marking starts threads here, and a process with threads cannot be
    # forked safely.
    costs = parts.costs(run, quick_run=quick_run)
    last = line(rows, qualities, costs, peers)
    sys.stdout.write(f"{json.dumps(last)}\n")
    return int(last["named_wrong"] > 0)


def _parser() -> argparse.ArgumentParser:
    words = (__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(prog="bench/trace.py", description=words)
    add = parser.add_argument
    add("--quick", action="store_true", help="two photographs, ten attacks: under a minute")
    add("--null", action="store_true", help="innocent leaks against 1,000 fresh keys each")
    add("--collusion", action="store_true", help="copies merged in nine ways")
    add("--copies", action="store_true", help="PSNR, SSIM and SSIMULACRA2 of copies")
    add("--cost", action="store_true", help="seconds: 24 copies against 24 encodings, one trace")
    add("--calibrate", action="store_true", help="do likelihood ratios mean what they say?")
    add(
        "--only",
        nargs="+",
        default=[],
        metavar="ATTACK",
        help="these attacks, or core, hard, other, ruin",
    )
    add("--photos", nargs="+", default=[], metavar="NAME", help="these photographs alone")
    add("--sizes", nargs="+", default=[], choices=("XS", "S", "M", "L"), help="these sizes alone")
    add("--leaks", type=int, default=20_000, help="innocent leaks for --null (20,000)")
    add("--seed", type=int, default=1, help="of everything random (1)")
    add("--processes", type=int, default=os.cpu_count() or 1, help="at once (all cores)")
    add("--out", type=Path, help="folder of the results (docs/benchmarks; bench-out/quick)")
    add("--raw", type=Path, default=Path("bench-out"), help="folder of rows to take up again")
    return parser


if __name__ == "__main__":
    sys.exit(main())
