"""Measure how often the guard asks in simulated years, and whether it asks about every slip.

The guard checks a message for signs of a wrong recipient before it is sent.

    python -m bench.guard              five years, each of another person: some minutes
    python -m bench.guard --quick      one year, 60 slips of each kind

One line is printed for each year. The last line is one JSON object.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from bench.guard.measure import one_year


def main() -> None:
    """Simulate the years, and print a line for each and the JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    years = [
        one_year(seed, slips_each=60 if options.quick else 200, bare=not options.quick)
        for seed in range(1 if options.quick else options.years)
    ]
    for year in years:
        line = f"{year.ordinary} messages, {year.asked} asked about: {year.silent:.2%} silent"
        print(line)  # noqa: T201
    planted, spoke = Counter[str](), Counter[str]()
    for year in years:
        planted.update(year.planted)
        spoke.update(year.spoke)
    ordinary = sum(year.ordinary for year in years)
    answer: dict[str, object] = {
        "schema": "entrenous/bench-guard/1",
        "years": len(years),
        "ordinary": ordinary,
        "silent": round(1 - sum(year.asked for year in years) / ordinary, 4),
        "silent_worst": round(min(year.silent for year in years), 4),
        "planted": dict(planted),
        "spoke": dict(spoke),
    }
    if not options.quick:
        bare = sum(year.asked_bare for year in years)
        answer["silent_without_in"] = round(1 - bare / ordinary, 4)
    print(json.dumps(answer))  # noqa: T201


if __name__ == "__main__":
    main()
