"""A hundred openers on three devices of one person race for a message that opens once.

The relay uses the production rules, and SQLite on a disk. Each opener has its own attempt ID; the
openers on one device share the device's open token.

    python -m tests.village.view_once --runs 200
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from entrenous.base.errors import UsedUp
from entrenous.base.secret import Secret
from entrenous.carry.relay import Relay
from entrenous.carry.release import finish_attempt, release_key_share
from tests.carry.relays import SampleMessage, disk_relay
from tests.carry.test_expire import create_mailbox_and_post
from tests.deterministic import SeededRandomSource, SettableClock

OPENER_COUNT = 100
DEVICE_COUNT = 3


def run_race(seed: int) -> Counter[str]:
    """Run one race on a new database, and count the results of the openers."""
    with (
        tempfile.TemporaryDirectory() as folder,
        disk_relay(Path(folder), SettableClock()) as relay,
    ):
        return asyncio.run(_run_race_on(relay, Random(seed)))


async def _run_race_on(relay: Relay, rng: Random) -> Counter[str]:
    random_source = SeededRandomSource()
    posts = [SampleMessage(random_source=random_source) for _ in range(DEVICE_COUNT)]
    for post in posts:
        post.group = posts[0].group
        await create_mailbox_and_post(relay, post, 1)
    start = asyncio.Event()
    openers = [
        asyncio.create_task(_try_to_open(posts[n % DEVICE_COUNT], n, start, relay, rng.random()))
        for n in range(OPENER_COUNT)
    ]
    await asyncio.sleep(0)
    start.set()
    return Counter(await asyncio.gather(*openers))


async def _try_to_open(
    post: SampleMessage, number: int, start: asyncio.Event, relay: Relay, draw: float
) -> str:
    """Request the share after a random delay, sometimes twice, and finish the attempt."""
    await start.wait()
    for _ in range(int(draw * 7)):
        await asyncio.sleep(0)
    attempt = number.to_bytes(16)
    try:
        share: Secret = await release_key_share(post.id, post.open, attempt, relay)
        assert share == post.share
        if draw < 0.5:  # repeat the request with the same attempt ID, as after a lost connection
            assert await release_key_share(post.id, post.open, attempt, relay) == share
        await finish_attempt(post.id, post.open, attempt, relay)
    except UsedUp:
        return "used up"
    return f"opened on device {number % DEVICE_COUNT}"


def count_openings(results: Counter[str]) -> int:
    """Return how many openers got the share."""
    return sum(count for result, count in results.items() if result != "used up")


def main() -> int:
    """Run many races; return 1 if one of them did not end with exactly one opening."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    runs, begun, winners = parser.parse_args().runs, time.monotonic(), Counter[str]()
    for seed in range(runs):
        results = run_race(seed)
        winners.update({result: count for result, count in results.items() if result != "used up"})
        if count_openings(results) != 1:
            sys.stdout.write(f"seed {seed}: {dict(results)}\n")
            return 1
    duration_s = time.monotonic() - begun
    sys.stdout.write(
        f"{runs} runs, exactly 1 opening in each ({duration_s:.0f} s): {dict(winners)}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
