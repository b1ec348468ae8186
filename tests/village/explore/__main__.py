"""Explore everything that can happen to one message, and print how much that was.

python -m tests.village.explore --events 12
"""

import argparse
import sys
import time

from tests.village.explore.search import explore

OPENING_LIMITS = {"once": 1, "twice": 2, "any number": None}


def main() -> int:
    """Explore each case; return 1 if an invariant was violated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=12)
    parser.add_argument("--groups", action="store_true", help="with requests side by side")
    parser.add_argument("--case", choices=OPENING_LIMITS, action="append")
    options = parser.parse_args()
    wrong = False
    for case in options.case or OPENING_LIMITS:
        begun = time.process_time()
        found, rules = explore(OPENING_LIMITS[case], options.events, groups=options.groups)
        took = time.process_time() - begun
        sys.stdout.write(
            f"opens {case}: {options.events} events, {found.states:,} states, "
            f"{found.steps:,} steps, {found.sequences:,} interleavings; "
            f"the relay's rules ran {rules.relay.requests:,} times "
            f"on {len(rules.relay.rows):,} states of its rows ({took:.0f} s)\n"
        )
        if found.violation:
            wrong = True
            sys.stdout.write(f"{found.violation}, after:\n  " + "\n  ".join(found.trace) + "\n")
        sys.stdout.flush()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
