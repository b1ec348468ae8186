"""Measure the relay's rules and group commit without HTTP.

This shows what the network and the HTTP parser cost. The cycle is that of bench/load/cycles.py. It
is run by as many callers as that module has connections, in one process and on a SQLite database
like a relay's. Every rule is checked, and every answer waits for the disk.
"""

import asyncio
import gc
import os
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import uvloop

from bench.load.cycles import LETTER_BYTES
from entrenous.base.environment import SystemClock, SystemRandomSource
from entrenous.base.identifiers import EnvelopeId, MailboxId
from entrenous.base.secret import Secret
from entrenous.carry.accept import accept, acknowledge, list_waiting_envelopes
from entrenous.carry.mailbox import create_mailbox
from entrenous.carry.relay import Relay
from entrenous.carry.send_tokens import register_send_token
from entrenous.carry.store.file_blobs import FileBlobs
from entrenous.carry.store.sqlite_rows import open_sqlite
from entrenous.crypto.hashing import token_hash
from entrenous.wire.relay_nouns import Envelope, SendToken

_OBJECTS_BETWEEN = 50_000  # as in serving/server_process.py


def group_commit_cycles_per_s(folder: Path, callers: int, seconds: float) -> float:
    """Return how many letters are accepted, fetched and acknowledged per second, all durably.

    ``callers`` callers run the cycle at the same time, for ``seconds``.

    Raises:
        SystemExit: a letter that was accepted cannot be fetched.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(_OBJECTS_BETWEEN)
    try:
        with (
            closing(open_sqlite(folder / "in-process.db")) as mail,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            relay = Relay(mail, FileBlobs(folder / "blobs"), SystemClock(), SystemRandomSource())
            return runner.run(_all(relay, callers, seconds))
    finally:
        gc.set_threshold(*before)


async def _all(relay: Relay, callers: int, seconds: float) -> float:
    began = time.perf_counter()
    counts = await asyncio.gather(*(_run_cycles(relay, began + seconds) for _ in range(callers)))
    return sum(counts) / (time.perf_counter() - began)


async def _run_cycles(relay: Relay, until: float) -> int:
    """Make a mailbox, repeat the cycle on it, and return the number of cycles."""
    mailbox = MailboxId(os.urandom(16))
    owner, token, withdraw = (Secret(os.urandom(32)) for _ in range(3))
    await create_mailbox(mailbox, token_hash(owner), relay)
    await register_send_token(mailbox, owner, SendToken(token_hash(token), None, None), relay)
    sealed, lock = os.urandom(LETTER_BYTES), token_hash(withdraw)
    tomorrow, count = relay.clock.now() + timedelta(days=1), 0
    while time.perf_counter() < until:
        name = EnvelopeId(os.urandom(16))
        await accept(Envelope(name, mailbox, sealed, tomorrow, lock), token, relay)
        page = await list_waiting_envelopes(mailbox, owner, count, 1, relay)
        if [one.id for one in page] != [name]:
            raise SystemExit("a letter that was accepted is not handed over")
        await acknowledge(mailbox, owner, name, relay)
        count += 1
    return count
