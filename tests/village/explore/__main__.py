"""Explore everything that can happen to one message, and print how much that was.

python -m tests.village.explore --events 12
"""

import argparse
import sys
import time

from tests.village.explore.search import explore

CASES = {"once": 1, "twice": 2, "any number": None}


def main() -> int:
    """Explore each case; return 1 if an invariant was violated."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--events", type=int, default=12)
    asked.add_argument("--groups", action="store_true", help="with requests side by side")
    asked.add_argument("--case", choices=CASES, action="append")
    told = asked.parse_args()
    wrong = False
    for case in told.case or CASES:
        begun = time.process_time()
        found, rules = explore(CASES[case], told.events, groups=told.groups)
        took = time.process_time() - begun
        sys.stdout.write(
            f"opens {case}: {told.events} events, {found.states:,} states, {found.steps:,} steps, "
            f"{found.ways:,} interleavings; the relay's rules ran {rules.relay.requests:,} times "
            f"on {len(rules.relay.rows):,} states of its rows ({took:.0f} s)\n"
        )
        if found.wrong:
            wrong = True
            sys.stdout.write(f"{found.wrong}, after:\n  " + "\n  ".join(found.trace) + "\n")
        sys.stdout.flush()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
