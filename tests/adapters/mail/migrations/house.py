"""A relay as its first version left it: ``house.sql``, and the tokens of all that is in it.

``python house.py FOLDER`` made the dump, run with that version's program (commit 3ae98c7) on the
path. Every token follows from a name, so that tests hold what the people of that relay held.
"""

import asyncio
import contextlib
import hashlib
import sqlite3
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import sqlalchemy as sql
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from entrenous.adapters.mail import migrations
from entrenous.adapters.mail.sqlite import open_mail
from entrenous.carry.hold import bring_blob
from entrenous.carry.letters.accept import accept
from entrenous.carry.letters.hand_over import acknowledge
from entrenous.carry.letters.withdraw import withdraw
from entrenous.carry.mailboxes.mailbox import create_mailbox, put_card
from entrenous.carry.mailboxes.prekeys import add_prekeys, claim_prekeys
from entrenous.carry.mailboxes.tokens import register_token
from entrenous.carry.release import finish, open_share
from entrenous.craft.crypto.hashing import lock_of
from entrenous.model.envelope import Envelope, Prekeys
from entrenous.model.ids import BlobId, DeviceId, EnvelopeId, MailboxId
from entrenous.model.secret import Secret
from entrenous.ports import Relay
from tests.carry.relays import NOON, Post, WoundClock, disk_relay, stream

DUMP: Final = Path(__file__).with_name("house.sql")
DEVICE: Final = DeviceId(b"D" * 16)
ATTEMPT: Final = b"A" * 16
COMING: Final = "c0" * 16  # the name of an upload that was under way
UNTIL: Final = NOON + timedelta(days=7)


def post(name: str) -> Post:
    """A mailbox and a copy on its way to it, with all tokens."""
    made = Post(until=UNTIL, sealed=f"sealed letter to {name}".encode())
    made.mailbox = MailboxId(_thrown(name, "mailbox", 16))
    made.id, made.blob_id = (
        EnvelopeId(_thrown(name, "envelope", 16)),
        BlobId(_thrown(name, "blob id", 16)),
    )
    for token in ("owner", "token", "fetch", "open", "withdraw", "share"):
        setattr(made, token, Secret(_thrown(name, token)))
    made.blob = _thrown(name, "blob", 5000)
    return made


def second(first: Post) -> Envelope:
    """One more letter to that mailbox, without content."""
    return replace(first.letter(), id=EnvelopeId(_thrown("second", "envelope", 16)))


def restored(folder: Path) -> Path:
    """The database as it was, and its blobs, in ``folder``; where the database is."""
    mail = folder / "mail.db"
    with contextlib.closing(sqlite3.connect(mail)) as rows:
        rows.executescript(DUMP.read_text())
        names = dict(rows.execute("SELECT blob, name FROM held_blob"))
    (folder / "blobs").mkdir()
    for made in map(post, ("waiting", "counted", "lasting")):
        (folder / "blobs" / names[made.blob_id]).write_bytes(made.blob)
    (folder / "blobs" / f"{COMING}.part").write_bytes(b"the beginning")
    return mail


def before_groups(mail: Path) -> None:
    """Bring it to step 0002 as that was first published, whose relay counted at envelopes alone."""
    engine = sql.create_engine(f"sqlite:///{mail}")
    steps = ScriptDirectory(Path(migrations.__file__).parent)
    with engine.begin() as rows:
        context = MigrationContext.configure(rows)
        for step in reversed(list(steps.iterate_revisions("0002", "base"))):
            step.module.upgrade(Operations(context))
        context.stamp(steps, "0002")
        for statement in (
            'UPDATE held_share SET "group" = NULL',
            "DELETE FROM held_group",
            "DROP INDEX held_share_by_group",
            "PRAGMA user_version=2",
        ):
            rows.exec_driver_sql(statement)
    engine.dispose()


def dumped(mail: Path) -> str:
    """Everything in a database, as SQL."""
    with contextlib.closing(sqlite3.connect(mail)) as rows:
        version = rows.execute("PRAGMA user_version").fetchone()[0]
        return "\n".join((f"PRAGMA user_version={version};", *rows.iterdump(), ""))


def _thrown(name: str, what: str, size: int = 32) -> bytes:
    return hashlib.shake_256(f"{name}: {what}".encode()).digest(size)


async def _lived_in(relay: Relay) -> None:
    for name in ("waiting", "counted", "lasting", "taken back", "bare", "coming"):
        made = post(name)
        await create_mailbox(made.mailbox, lock_of(made.owner), relay)
        await register_token(made.mailbox, made.owner, made.granted(9), relay)
    await _waiting(relay)
    for name, opens in (("counted", 3), ("lasting", None)):
        await _opened(post(name), opens, relay)
    back, bare = post("taken back"), post("bare")
    await _brought(back, 1, relay)
    await withdraw(back.id, back.withdraw, relay)
    await accept(bare.envelope(1, blobs=False), bare.token, relay)
    await acknowledge(bare.mailbox, bare.owner, bare.id, relay)


async def _waiting(relay: Relay) -> None:
    first = post("waiting")
    await put_card(first.mailbox, first.owner, b"card", relay)
    keys = Prekeys((b"one", b"two"), b"fallback", b"xwing")
    await add_prekeys(first.mailbox, first.owner, DEVICE, keys, relay)
    await claim_prekeys(first.mailbox, first.token, DEVICE, relay)
    await _brought(first, 1, relay)
    await accept(second(first), first.token, relay)


async def _opened(made: Post, opens: int | None, relay: Relay) -> None:
    await _brought(made, opens, relay)
    await acknowledge(made.mailbox, made.owner, made.id, relay)
    await open_share(made.id, made.open, ATTEMPT, relay)
    await finish(made.id, made.open, ATTEMPT, relay)


async def _brought(made: Post, opens: int | None, relay: Relay) -> None:
    await bring_blob(made.deposit(), made.token, stream(made.blob), relay)
    await accept(made.envelope(opens), made.token, relay)


def main(folder: Path) -> None:
    """Live in a relay for a while, then write down what is in it."""
    with disk_relay(folder, WoundClock()) as relay:
        asyncio.run(_lived_in(relay))
    open_mail(folder / "mail.db").close()  # which empties the log
    with contextlib.closing(sqlite3.connect(folder / "mail.db")) as rows:
        due = int((NOON + timedelta(hours=24)).timestamp())
        given = (COMING, post("coming").mailbox, 5000, due)
        rows.execute("INSERT INTO coming_blob VALUES (?, ?, ?, ?)", given)
        rows.execute("INSERT INTO leftover VALUES (?, ?)", (COMING, due))
        rows.commit()
    DUMP.write_text(dumped(folder / "mail.db"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
