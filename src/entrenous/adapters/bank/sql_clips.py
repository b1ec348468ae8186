"""Frames, sounds and released clips in the tables, each function inside of an open transaction."""

import hashlib
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from entrenous.adapters.bank.insert import insert_or
from entrenous.adapters.bank.prepared import PreparedSelect
from entrenous.adapters.bank.rows import batches, to_claim
from entrenous.adapters.bank.tables import (
    CLAIM,
    CLAIM_SOUND,
    FRAME,
    RELEASED_FILE,
    SOUND,
    read_time,
    stored_time,
)
from entrenous.model.claim import MATCHING, Claim
from entrenous.model.ids import ClaimId
from entrenous.model.print import SoundPrint
from entrenous.model.review import Release

_RELEASED: Final = PreparedSelect(
    sa.select(RELEASED_FILE).where(RELEASED_FILE.c.sha256 == sa.bindparam("of"))
)
_SOUNDS_MAX: Final = 500  # of news at once; at 40 kB each


def add_frames(db: sa.Connection, claim: ClaimId, places: Iterable[tuple[int, int]]) -> None:
    """When the claim's video shows which hash (its number, milliseconds)."""
    rows = [{"claim": claim, "number": number, "at_ms": at_ms} for number, at_ms in places]
    db.execute(FRAME.insert(), rows)


def add_sound(db: sa.Connection, claim: ClaimId, sound: SoundPrint) -> None:
    """One that is there already gets one more claim."""
    name = hashlib.sha256(sound.words).digest()
    row = {"words_sha256": name, "words": sound.words}
    db.execute(insert_or(db, SOUND).on_conflict_do_nothing().values(row))
    known = sa.select(SOUND.c.number).where(SOUND.c.words_sha256 == name)
    db.execute(CLAIM_SOUND.insert().values(claim=claim, number=db.execute(known).scalar_one()))


def forget_clip(db: sa.Connection, claim: ClaimId) -> None:
    """A claim's frames, and its sound if no other claim has that; before its hashes."""
    mine = sa.select(CLAIM_SOUND.c.number).where(CLAIM_SOUND.c.claim == claim)
    numbers = list(db.execute(mine).scalars())
    db.execute(FRAME.delete().where(FRAME.c.claim == claim))
    if numbers:
        db.execute(CLAIM_SOUND.delete().where(CLAIM_SOUND.c.claim == claim))
        still = sa.select(CLAIM_SOUND.c.number).where(CLAIM_SOUND.c.number.in_(numbers))
        gone = SOUND.c.number.in_(numbers), SOUND.c.number.not_in(still)
        db.execute(SOUND.delete().where(*gone))


def sounds_after(db: sa.Connection, after: int) -> tuple[tuple[int, SoundPrint], ...]:
    """News, by number."""
    wanted = sa.select(SOUND.c.number, SOUND.c.words).where(SOUND.c.number > after)
    rows = db.execute(wanted.order_by(SOUND.c.number).limit(_SOUNDS_MAX))
    return tuple((row.number, SoundPrint(bytes(row.words))) for row in rows)


def sounds_of(
    db: sa.Connection, claims: Collection[ClaimId]
) -> dict[ClaimId, tuple[int, SoundPrint]]:
    """Of those that have one."""
    joined = CLAIM_SOUND.join(SOUND, SOUND.c.number == CLAIM_SOUND.c.number)
    wanted = sa.select(CLAIM_SOUND.c.claim, SOUND.c.number, SOUND.c.words).select_from(joined)
    return {
        ClaimId(row.claim): (row.number, SoundPrint(bytes(row.words)))
        for batch in batches(dict.fromkeys(claims))
        for row in db.execute(wanted.where(CLAIM_SOUND.c.claim.in_(batch)))
    }


def heard_by(db: sa.Connection, sounds: Collection[int]) -> tuple[tuple[int, Claim], ...]:
    """Claims that match on these sounds; of none, too, the database is asked once."""
    joined = CLAIM_SOUND.join(CLAIM, CLAIM.c.id == CLAIM_SOUND.c.claim)
    wanted = sa.select(CLAIM_SOUND.c.number, CLAIM).select_from(joined)
    wanted = wanted.where(CLAIM.c.state.in_(MATCHING))
    return tuple(
        (row.number, to_claim(row))
        for batch in batches(sorted(sounds) or [0])
        for row in db.execute(wanted.where(CLAIM_SOUND.c.number.in_(batch)))
    )


def release_file(db: sa.Connection, at: datetime, sha256: bytes, number: int) -> None:
    """A person let it through, who knew of claims up to then, before the change of this number."""
    when = {"at": stored_time(at), "number": number}
    wanted = insert_or(db, RELEASED_FILE).values(sha256=sha256, **when)
    db.execute(wanted.on_conflict_do_update(index_elements=["sha256"], set_=when))


def file_released(db: sa.Connection, sha256: bytes) -> Release | None:
    """When a person let it through, if one did; asked of each upload."""
    rows = _RELEASED.rows(db, {"of": sha256})
    return Release(read_time(rows[0].at), rows[0].number) if rows else None
