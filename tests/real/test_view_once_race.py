"""Only one of a hundred requests at two relays on one PostgreSQL opens a view-once message."""

import asyncio
import json
import subprocess
import sys
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta

import pytest

from entrenous.base.environment import SystemClock, SystemRandomSource
from entrenous.carry.accept import accept
from entrenous.carry.mailbox import create_mailbox
from entrenous.carry.relay import Relay
from entrenous.carry.send_tokens import register_send_token
from entrenous.carry.store.postgres import open_postgres
from entrenous.crypto.hashing import token_hash
from entrenous.wire.relay_nouns import Envelope, ShareDeposit
from tests.carry.relays import SampleMessage
from tests.in_memory.blobs import MemoryBlobs
from tests.postgres import Cluster

pytestmark = pytest.mark.real

ROUND_COUNT = 12
DEVICE_COUNT = 3

RACING_RELAY_PROGRAM = """
import asyncio, json, os, sys
from tests.in_memory.blobs import MemoryBlobs
from entrenous.carry.store.postgres import open_postgres
from entrenous.base.environment import SystemClock, SystemRandomSource
from entrenous.carry.release import release_key_share
from entrenous.base.errors import UsedUp
from entrenous.base.secret import Secret
from entrenous.carry.relay import Relay

mail = open_postgres(sys.argv[1])
relay = Relay(mail, MemoryBlobs(), SystemClock(), SystemRandomSource())

async def tries(envelope, token):
    try:
        await release_key_share(envelope, token, os.urandom(16), relay)
    except UsedUp:
        return 0
    return 1

async def race(openers):
    return sum(await asyncio.gather(*(tries(*one) for one in openers)))

with asyncio.Runner() as runner:
    print("ready", flush=True)
    for line in sys.stdin:
        openers = [(bytes.fromhex(e), Secret(bytes.fromhex(t))) for e, t in json.loads(line)]
        print(runner.run(race(openers)), flush=True)
mail.close()
"""


def _post_messages(url: str) -> list[list[tuple[str, str]]]:
    """Post a message for each round; return the envelope id and open token of each copy."""

    async def post_all(relay: Relay) -> list[list[tuple[str, str]]]:
        return [
            [await _post_copy(relay, n) for _ in range(DEVICE_COUNT)] for n in range(ROUND_COUNT)
        ]

    with closing(open_postgres(url)) as mail:
        return asyncio.run(
            post_all(Relay(mail, MemoryBlobs(), SystemClock(), SystemRandomSource()))
        )


async def _post_copy(relay: Relay, number: int) -> tuple[str, str]:
    random_source = relay.random_source
    post = SampleMessage(until=datetime.now(UTC) + timedelta(days=1))
    post.mailbox, post.id = random_source.token(16), random_source.token(16)  # type: ignore[assignment]
    await create_mailbox(post.mailbox, token_hash(post.owner), relay)
    await register_send_token(post.mailbox, post.owner, post.send_token(), relay)
    share = ShareDeposit(post.share, token_hash(post.open), 1, number.to_bytes(16, "big"))
    letter = Envelope(
        post.id, post.mailbox, post.sealed, post.until, token_hash(post.withdraw), share
    )
    await accept(letter, post.token, relay)
    return post.id.hex(), post.open.reveal().hex()


@pytest.mark.threat("n-plus-one-views")
def test_one_of_a_hundred_openers_at_two_relays_gets_the_key_share(postgres: Cluster) -> None:
    url = postgres.create_database()
    messages = _post_messages(url)
    with ExitStack() as running:
        relays = [
            running.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", RACING_RELAY_PROGRAM, url],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(2)
        ]
        for relay in relays:
            assert relay.stdout is not None
            assert relay.stdout.readline() == "ready\n"
        opened = [_race_for_key_share(relays, copies) for copies in messages]
        for relay in relays:
            assert relay.stdin is not None
            relay.stdin.close()
    assert opened == [1] * ROUND_COUNT


def _race_for_key_share(
    relays: list["subprocess.Popen[str]"], copies: list[tuple[str, str]]
) -> int:
    """Send fifty requests to each relay at once; return how many got the key share."""
    openers = [copies[n % DEVICE_COUNT] for n in range(50)]
    for relay in relays:
        assert relay.stdin is not None
        relay.stdin.write(json.dumps(openers) + "\n")
    for relay in relays:
        assert relay.stdin is not None
        relay.stdin.flush()
    return sum(int(relay.stdout.readline()) for relay in relays if relay.stdout is not None)
