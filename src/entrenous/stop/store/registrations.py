"""Claims with their hashes, clips and embeddings in the tables, inside an open transaction."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from entrenous.base.environment import Clock
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.fingerprint.nouns import Embedding, KeptEmbedding, SoundPrint, VideoPrint
from entrenous.stop.nouns import Bank, NoSuchBank
from entrenous.stop.registration import MATCHING, Claim, ClaimState, NoSuchClaim, Registration
from entrenous.stop.store.audit_events import append_event, claim_told
from entrenous.stop.store.engine import insert_on_conflict
from entrenous.stop.store.prepared_statements import PreparedSelect
from entrenous.stop.store.schema import (
    BANK,
    BIG,
    CLAIM,
    CLAIM_HASH,
    CLAIM_SOUND,
    EMBEDDING,
    FRAME,
    HASH,
    HOLDS,
    RELEASED_FILE,
    SOUND,
    STILL,
    read_time,
    stored_time,
)
from entrenous.stop.stores import ShownBy
from entrenous.stop.upload_record import Outcome, Release

Thing = TypeVar("Thing")
BATCH: Final = 500  # SQLite limits a statement to some thousand parameters


def batches(things: Iterable[Thing]) -> Iterator[list[Thing]]:
    """Split ``things`` into lists that fit into one statement."""
    rest = iter(things)
    while batch := list(islice(rest, BATCH)):
        yield batch


def to_bank(row: Any) -> Bank:
    claimed, confirmed = Outcome(row.on_claimed), Outcome(row.on_confirmed)
    return Bank(BankName(row.name), row.radius, claimed, confirmed, row.shadow)


def from_claim(claim: Claim) -> dict[str, Any]:
    kept = {name: value for name, value in asdict(claim).items() if name != "added"}
    return {**kept, "made_at": stored_time(claim.made_at)}


def on_hash(claim: Claim, added: int | None) -> Claim:
    """The claim as it applies to one of its hashes that a reviewer ``added`` (schema.py)."""
    if added is None:
        return claim
    if added == HOLDS:
        return replace(claim, state=ClaimState.WAITING, added=True)
    confirmed = max(added, claim.confirmed)
    return replace(claim, state=ClaimState.CONFIRMED, confirmed=confirmed, added=True)


def to_claim(row: Any) -> Claim:
    return Claim(
        id=ClaimId(row.id),
        bank=BankName(row.bank),
        state=ClaimState(row.state),
        kind=row.kind,
        quality=row.quality,
        made_at=read_time(row.made_at),
        holder_sha256=row.holder_sha256,
        reason=row.reason,
        jurisdiction=row.jurisdiction,
        disputes=row.disputes,
        confirmed=row.confirmed,
    )


_EMBEDDINGS_MAX: Final = 10_000  # per read, 0.6 kB each


def add_embedding(db: sa.Connection, claim: ClaimId, entry: int, embedding: Embedding) -> None:
    """Store a claim's embedding; ``entry`` is the number of the hash of its whole picture."""
    row = {"claim": claim, "entry": entry, "model": embedding.model, "numbers": embedding.numbers}
    db.execute(EMBEDDING.insert().values(row))


def forget_embedding(db: sa.Connection, claim: ClaimId) -> None:
    """Delete a claim's embedding; call it before deleting the claim's hashes."""
    db.execute(EMBEDDING.delete().where(EMBEDDING.c.claim == claim))


def embeddings_after(db: sa.Connection, after: int) -> tuple[KeptEmbedding, ...]:
    """Embeddings with a number above ``after``, in order of numbers."""
    wanted = sa.select(EMBEDDING).where(EMBEDDING.c.number > after)
    rows = db.execute(wanted.order_by(EMBEDDING.c.number).limit(_EMBEDDINGS_MAX))
    return tuple(
        KeptEmbedding(
            row.number, row.entry, ClaimId(row.claim), Embedding(bytes(row.numbers), row.model)
        )
        for row in rows
    )


def embedding_count(db: sa.Connection) -> int:
    return db.execute(sa.select(sa.func.count(EMBEDDING.c.claim))).scalar_one()


_RELEASED: Final = PreparedSelect(
    sa.select(RELEASED_FILE).where(RELEASED_FILE.c.sha256 == sa.bindparam("of"))
)
_SOUNDS_MAX: Final = 500  # per read, 40 kB each


def add_frames(db: sa.Connection, claim: ClaimId, places: Iterable[tuple[int, int]]) -> None:
    """Store where the claim's video shows frames: pairs of hash number and milliseconds."""
    rows = [{"claim": claim, "number": number, "at_ms": at_ms} for number, at_ms in places]
    db.execute(FRAME.insert(), rows)


def add_sound(db: sa.Connection, claim: ClaimId, sound: SoundPrint) -> None:
    """Link the claim to the sound, which is stored if it is new."""
    name = hashlib.sha256(sound.words).digest()
    row = {"words_sha256": name, "words": sound.words}
    db.execute(insert_on_conflict(db, SOUND).on_conflict_do_nothing().values(row))
    known = sa.select(SOUND.c.number).where(SOUND.c.words_sha256 == name)
    db.execute(CLAIM_SOUND.insert().values(claim=claim, number=db.execute(known).scalar_one()))


def forget_clip(db: sa.Connection, claim: ClaimId) -> None:
    """Delete a claim's frames, and its sound if no other claim has it; call it before deleting the
    claim's hashes.
    """
    mine = sa.select(CLAIM_SOUND.c.number).where(CLAIM_SOUND.c.claim == claim)
    numbers = list(db.execute(mine).scalars())
    db.execute(FRAME.delete().where(FRAME.c.claim == claim))
    if numbers:
        db.execute(CLAIM_SOUND.delete().where(CLAIM_SOUND.c.claim == claim))
        still = sa.select(CLAIM_SOUND.c.number).where(CLAIM_SOUND.c.number.in_(numbers))
        gone = SOUND.c.number.in_(numbers), SOUND.c.number.not_in(still)
        db.execute(SOUND.delete().where(*gone))


def sounds_after(db: sa.Connection, after: int) -> tuple[tuple[int, SoundPrint], ...]:
    """Sounds with a number above ``after``, in order of numbers."""
    wanted = sa.select(SOUND.c.number, SOUND.c.words).where(SOUND.c.number > after)
    rows = db.execute(wanted.order_by(SOUND.c.number).limit(_SOUNDS_MAX))
    return tuple((row.number, SoundPrint(bytes(row.words))) for row in rows)


def sounds_of(
    db: sa.Connection, claims: Collection[ClaimId]
) -> dict[ClaimId, tuple[int, SoundPrint]]:
    """The sound of each claim that has one."""
    joined = CLAIM_SOUND.join(SOUND, SOUND.c.number == CLAIM_SOUND.c.number)
    wanted = sa.select(CLAIM_SOUND.c.claim, SOUND.c.number, SOUND.c.words).select_from(joined)
    return {
        ClaimId(row.claim): (row.number, SoundPrint(bytes(row.words)))
        for batch in batches(dict.fromkeys(claims))
        for row in db.execute(wanted.where(CLAIM_SOUND.c.claim.in_(batch)))
    }


def heard_by(db: sa.Connection, sounds: Collection[int]) -> tuple[tuple[int, Claim], ...]:
    """Matching claims with these sounds. Query even for none, so that timing reveals no match."""
    joined = CLAIM_SOUND.join(CLAIM, CLAIM.c.id == CLAIM_SOUND.c.claim)
    wanted = sa.select(CLAIM_SOUND.c.number, CLAIM).select_from(joined)
    wanted = wanted.where(CLAIM.c.state.in_(MATCHING))
    return tuple(
        (row.number, to_claim(row))
        for batch in batches(sorted(sounds) or [0])
        for row in db.execute(wanted.where(CLAIM_SOUND.c.number.in_(batch)))
    )


def release_file(db: sa.Connection, at: datetime, sha256: bytes, number: int) -> None:
    """Record that a reviewer released the file, before the change with this ``number``."""
    when = {"at": stored_time(at), "number": number}
    wanted = insert_on_conflict(db, RELEASED_FILE).values(sha256=sha256, **when)
    db.execute(wanted.on_conflict_do_update(index_elements=["sha256"], set_=when))


def file_released(db: sa.Connection, sha256: bytes) -> Release | None:
    """When a reviewer released the file, or None. Called for each upload."""
    rows = _RELEASED.rows(db, {"of": sha256})
    return Release(read_time(rows[0].at), rows[0].number) if rows else None


_IS_FRAME: Final = (
    FRAME.c.claim == CLAIM_HASH.c.claim,
    FRAME.c.number == CLAIM_HASH.c.number,
)
FEW: Final = 16  # up to this many hashes are queried with one statement, in constant time
_BANKS: Final = PreparedSelect(sa.select(BANK))
_ON_ANY: Final = (
    sa.select(CLAIM_HASH.c.number, CLAIM_HASH.c.added, CLAIM, FRAME.c.at_ms)
    .select_from(
        CLAIM_HASH.join(CLAIM, CLAIM.c.id == CLAIM_HASH.c.claim).outerjoin(
            FRAME, sa.and_(*_IS_FRAME)
        )
    )
    .where(CLAIM.c.state.in_([sa.literal(state) for state in sorted(MATCHING)]))
)
_PLACES: Final = _ON_ANY.where(CLAIM_HASH.c.number.in_(sa.bindparam("numbers", expanding=True)))
_FEW_NAMES: Final = [f"n{place}" for place in range(FEW)]
_FEW_PLACES: Final = PreparedSelect(
    _ON_ANY.where(CLAIM_HASH.c.number.in_([sa.bindparam(one, 0, type_=BIG) for one in _FEW_NAMES]))
)
_OF_PICTURES: Final = _PLACES.where(sa.or_(FRAME.c.at_ms.is_(None), FRAME.c.at_ms == STILL))


def bank_of(db: sa.Connection, name: BankName) -> Bank:
    """Raises NoSuchBank."""
    row = db.execute(sa.select(BANK).where(BANK.c.name == name)).one_or_none()
    if row is None:
        raise NoSuchBank(bank=name)
    return to_bank(row)


def banks(db: sa.Connection) -> tuple[Bank, ...]:
    """All banks by name, sorted here since databases collate differently."""
    every = (to_bank(row) for row in _BANKS.rows(db))
    return tuple(sorted(every, key=lambda bank: bank.name))


def claim_of(db: sa.Connection, claim: ClaimId) -> Claim:
    """Raises NoSuchClaim."""
    row = db.execute(sa.select(CLAIM).where(CLAIM.c.id == claim)).one_or_none()
    if row is None:
        raise NoSuchClaim(claim=claim)
    return to_claim(row)


def some(db: sa.Connection, claims: Iterable[ClaimId]) -> list[Claim]:
    """The claims that exist, each once, in the given order."""
    wanted = list(dict.fromkeys(claims))
    found = {
        row.id: to_claim(row)
        for batch in batches(wanted)
        for row in db.execute(sa.select(CLAIM).where(CLAIM.c.id.in_(batch)))
    }
    return [found[claim] for claim in wanted if claim in found]


def live(db: sa.Connection, claims: Iterable[ClaimId]) -> list[Claim]:
    """The claims that exist and are not withdrawn."""
    return [one for one in some(db, claims) if one.state is not ClaimState.WITHDRAWN]


def register(db: sa.Connection, clock: Clock, registrations: Sequence[Registration]) -> None:
    """Store claims with their hashes, clips and embeddings; raises NoSuchBank."""
    if not registrations:
        return
    for name in {one.claim.bank for one in registrations}:
        bank_of(db, name)
    first, at = next_change(db), stored_time(clock.now())
    rows = [
        {
            **from_claim(numbered(one.claim, number)),
            "changed": number,
            "changed_at": at,
            "look_back_at": at if one.looks_back else None,
        }
        for number, one in enumerate(registrations, start=first)
    ]
    db.execute(CLAIM.insert(), rows)
    wholes = [(one.claim.id, bits) for one in registrations for bits in one.whole]
    numbers = add_hashes(db, wholes)
    add_hashes(db, [(one.claim.id, bits) for one in registrations for bits in one.parts], part=True)
    for one in registrations:
        _add_clip(db, one)
        if one.embedding is not None:
            add_embedding(db, one.claim.id, numbers[one.whole[0]], one.embedding)
    append_event(db, clock, *(claim_told(one.claim) for one in registrations))


def _add_clip(db: sa.Connection, one: Registration) -> None:
    if one.video is not None:
        _add_video(db, one.claim.id, one.video)
    if one.sound is not None:
        add_sound(db, one.claim.id, one.sound)


def _add_video(db: sa.Connection, claim: ClaimId, video: VideoPrint) -> None:
    shown = add_hashes(db, [(claim, bits) for bits in video.hashes])
    inner = add_hashes(db, [(claim, bits) for bits in video.inner], part=True)
    places = [(shown[one.bits], one.at_ms) for one in video.frames]
    places += [(inner[one.inner], one.at_ms) for one in video.frames if one.inner is not None]
    add_frames(db, claim, places)


def next_change(db: sa.Connection) -> int:
    """The number that the next change of a claim gets."""
    newest = db.execute(sa.select(sa.func.max(CLAIM.c.changed))).scalar()
    return (newest or 0) + 1


def add_hashes(
    db: sa.Connection, wanted: Iterable[tuple[ClaimId, bytes]], *, part: bool = False
) -> dict[bytes, int]:
    """Link claims to hashes, which are stored if they are new.

    Returns:
        The number of each hash.
    """
    given = dict[bytes, int]()
    for batch in batches(dict.fromkeys(wanted)):
        every = list(dict.fromkeys(bits for _, bits in batch))
        rows = [{"bits": bits, "part": part} for bits in every]
        db.execute(insert_on_conflict(db, HASH).on_conflict_do_nothing(), rows)
        known = sa.select(HASH.c.bits, HASH.c.number)
        known = known.where(HASH.c.bits.in_(every), HASH.c.part == part)
        given |= {bytes(row.bits): row.number for row in db.execute(known)}
        pairs = [{"claim": claim, "number": given[bits]} for claim, bits in batch]
        db.execute(insert_on_conflict(db, CLAIM_HASH).on_conflict_do_nothing(), pairs)
    return given


def matching(db: sa.Connection, claims: Iterable[ClaimId]) -> set[ClaimId]:
    """Those of these claims that uploads are matched against."""
    return {one.id for one in live(db, claims) if one.state in MATCHING}


def claims_on(db: sa.Connection, entries: Collection[int]) -> tuple[tuple[int, Claim], ...]:
    """Matching claims on these hashes of pictures."""
    rows = _on(db, entries, _OF_PICTURES)
    return tuple((row.number, on_hash(to_claim(row), row.added)) for row in rows)


def next_content(db: sa.Connection, bank: BankName, after: int) -> int | None:
    """The next number of a picture's hash in the bank; walks the index of claims by hash."""
    shown = sa.exists().where(*_IS_FRAME)
    still = sa.exists().where(*_IS_FRAME, FRAME.c.at_ms == STILL)
    joined = CLAIM_HASH.join(HASH).join(CLAIM, CLAIM.c.id == CLAIM_HASH.c.claim)
    wanted = sa.select(CLAIM_HASH.c.number).select_from(joined)
    wanted = wanted.where(CLAIM_HASH.c.number > after, CLAIM.c.bank == bank)
    wanted = wanted.where(HASH.c.part.is_(False), sa.or_(~shown, still))
    return db.execute(wanted.order_by(CLAIM_HASH.c.number).limit(1)).scalar()


def places_on(db: sa.Connection, entries: Collection[int]) -> tuple[ShownBy, ...]:
    """Matching claims on these hashes of pictures and frames, and when each frame is shown.

    Query even for zero hashes, with the same statement as for up to ``FEW``, so that timing reveals
    no match.
    """
    if len(entries) <= FEW:
        rows: Iterable[Any] = _FEW_PLACES.rows(db, dict(zip(_FEW_NAMES, entries, strict=False)))
    else:
        rows = _on(db, entries, _PLACES)
    return tuple(
        (
            row.number,
            on_hash(to_claim(row), row.added if row.at_ms in (None, STILL) else None),
            None if row.at_ms == STILL else row.at_ms,
        )
        for row in rows
    )


def added_to(db: sa.Connection, claims: Collection[ClaimId]) -> dict[ClaimId, dict[bytes, Claim]]:
    """Hashes that reviewers added to these claims, with the claim as it applies to each."""
    found: dict[ClaimId, dict[bytes, Claim]] = defaultdict(dict)
    joined = CLAIM_HASH.join(HASH).join(CLAIM, CLAIM.c.id == CLAIM_HASH.c.claim)
    wanted = sa.select(HASH.c.bits, CLAIM_HASH.c.added, CLAIM).select_from(joined)
    wanted = wanted.where(CLAIM_HASH.c.added.is_not(None))
    for batch in batches(dict.fromkeys(claims)):
        for row in db.execute(wanted.where(CLAIM_HASH.c.claim.in_(batch))):
            found[ClaimId(row.id)][bytes(row.bits)] = on_hash(to_claim(row), row.added)
    return dict(found)


def _on(db: sa.Connection, entries: Collection[int], wanted: sa.Select[Any]) -> Iterator[Any]:
    for batch in batches(sorted(entries) or [0]):
        yield from db.execute(wanted, {"numbers": batch})


def wholes_of(
    db: sa.Connection, claims: Sequence[ClaimId], *, frames: bool = False, told: bool = False
) -> dict[ClaimId, tuple[bytes, ...]]:
    """Hashes of whole pictures, by claim.

    ``frames`` includes whole frames of videos; ``told`` leaves out hashes that only quarantine
    here, which partners are not told.
    """
    found: dict[ClaimId, tuple[bytes, ...]] = defaultdict(tuple)
    wanted = sa.select(CLAIM_HASH.c.claim, HASH.c.bits).join(HASH)
    shown, still = (
        sa.exists().where(*_IS_FRAME, *more) for more in ((), (FRAME.c.at_ms == STILL,))
    )
    for batch in batches(claims):
        mine = wanted.where(CLAIM_HASH.c.claim.in_(batch), HASH.c.part.is_(False))
        if told:
            mine = mine.where(CLAIM_HASH.c.added.is_distinct_from(HOLDS))
        mine = mine if frames else mine.where(sa.or_(~shown, still))
        for row in db.execute(mine.order_by(HASH.c.number)):
            found[row.claim] += (bytes(row.bits),)
    return found


def numbered(claim: Claim, number: int) -> Claim:
    """The claim with this number as the change that confirmed it, if it is confirmed."""
    return replace(claim, confirmed=number) if claim.state is ClaimState.CONFIRMED else claim
