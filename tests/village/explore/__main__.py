"""Explore all events that can happen to one message, and print how many states were found.

python -m tests.village.explore --events 12
"""

import argparse
import sys
import time

from tests.village.explore.search import explore

OPENING_LIMITS = {"once": 1, "twice": 2, "any number": None}


def main() -> int:
    """Explore one message for each chosen limit on openings; return 1 if an invariant fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=12)
    parser.add_argument("--groups", action="store_true", help="with concurrent requests")
    parser.add_argument("--case", choices=OPENING_LIMITS, action="append")
    options = parser.parse_args()
    is_violated = False
    for case in options.case or OPENING_LIMITS:
        begun = time.process_time()
        found, generator = explore(
            OPENING_LIMITS[case], options.events, with_group_commits=options.groups
        )
        duration_s = time.process_time() - begun
        sys.stdout.write(
            f"opens {case}: {options.events} events, {found.states:,} states, "
            f"{found.steps:,} steps, {found.sequences:,} interleavings; "
            f"the relay's rules ran {generator.relay.result_count:,} times "
            f"on {len(generator.relay.rows):,} states of its rows ({duration_s:.0f} s)\n"
        )
        if found.violation:
            is_violated = True
            sys.stdout.write(f"{found.violation}, after:\n  " + "\n  ".join(found.trace) + "\n")
        sys.stdout.flush()
    return 1 if is_violated else 0


if __name__ == "__main__":
    sys.exit(main())
