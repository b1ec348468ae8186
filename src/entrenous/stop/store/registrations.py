"""Claims with their hashes, clips and embeddings in the tables, inside an open transaction."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import islice
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from entrenous.base.environment import Clock
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.fingerprint.nouns import SoundPrint, VideoPrint
from entrenous.stop.nouns import Bank, NoSuchBank
from entrenous.stop.registration import (
    MATCHING_STATES,
    Claim,
    ClaimState,
    NoSuchClaim,
    Opinion,
    Registration,
    Stance,
)
from entrenous.stop.store.audit_events import append_events, claim_registered_event
from entrenous.stop.store.engine import insert_on_conflict_statement
from entrenous.stop.store.schema import (
    BANK_TABLE,
    CLAIM_HASH_TABLE,
    CLAIM_SOUND_TABLE,
    CLAIM_TABLE,
    EMBEDDING_TABLE,
    FRAME_TABLE,
    HASH_TABLE,
    HOLD_ONLY_ADDED_NUMBER,
    OPINION_TABLE,
    SOUND_TABLE,
    STILL_PICTURE_AT_MS,
    read_time,
    stored_time,
)
from entrenous.stop.upload_record import Outcome

ItemT = TypeVar("ItemT")
PARAMETERS_PER_STATEMENT: Final = 500  # parameters per statement; SQLite allows some thousands
FRAME_OF_HASH_CONDITIONS: Final = (
    FRAME_TABLE.c.claim == CLAIM_HASH_TABLE.c.claim,
    FRAME_TABLE.c.number == CLAIM_HASH_TABLE.c.number,
)
# The condition that the claim's hash belongs to a picture, not only to frames of a video.
IS_PICTURE: Final = sa.or_(
    ~sa.exists().where(*FRAME_OF_HASH_CONDITIONS),
    sa.exists().where(*FRAME_OF_HASH_CONDITIONS, FRAME_TABLE.c.at_ms == STILL_PICTURE_AT_MS),
)


def statement_batches(things: Iterable[ItemT]) -> Iterator[list[ItemT]]:
    """Split ``things`` into lists that fit into one statement."""
    rest = iter(things)
    while batch := list(islice(rest, PARAMETERS_PER_STATEMENT)):
        yield batch


def bank_from_row(row: Any) -> Bank:
    claimed, confirmed = Outcome(row.on_claimed), Outcome(row.on_confirmed)
    return Bank(BankName(row.name), row.radius, claimed, confirmed, row.shadow)


def row_from_claim(claim: Claim) -> dict[str, Any]:
    kept = {name: value for name, value in asdict(claim).items() if name != "added"}
    return {**kept, "made_at": stored_time(claim.made_at)}


def claim_from_row(row: Any) -> Claim:
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


def claim_on_hash(claim: Claim, added: int | None) -> Claim:
    """Return the claim as it applies to one of its hashes; ``added`` is the value of the column
    ``added`` (schema.py) for that hash: None if no reviewer added it.
    """
    if added is None:
        return claim
    if added == HOLD_ONLY_ADDED_NUMBER:
        return replace(claim, state=ClaimState.WAITING, added=True)
    confirmed = max(added, claim.confirmed)
    return replace(claim, state=ClaimState.CONFIRMED, confirmed=confirmed, added=True)


def with_confirmed_number(claim: Claim, number: int) -> Claim:
    """Return the claim; if it is confirmed, with ``number`` as the number of the change that
    confirmed it.
    """
    return replace(claim, confirmed=number) if claim.state is ClaimState.CONFIRMED else claim


def get_bank(db: sa.Connection, name: BankName) -> Bank:
    """Return the bank of that name; raises NoSuchBank."""
    row = db.execute(sa.select(BANK_TABLE).where(BANK_TABLE.c.name == name)).one_or_none()
    if row is None:
        raise NoSuchBank(bank=name)
    return bank_from_row(row)


def get_claim(db: sa.Connection, claim: ClaimId) -> Claim:
    """Return the claim from its row; raises NoSuchClaim."""
    row = db.execute(sa.select(CLAIM_TABLE).where(CLAIM_TABLE.c.id == claim)).one_or_none()
    if row is None:
        raise NoSuchClaim(claim=claim)
    return claim_from_row(row)


def existing_claims(db: sa.Connection, claims: Iterable[ClaimId]) -> list[Claim]:
    """Return the claims that exist, each once, in the given order."""
    unique_claims = list(dict.fromkeys(claims))
    found = {
        row.id: claim_from_row(row)
        for batch in statement_batches(unique_claims)
        for row in db.execute(sa.select(CLAIM_TABLE).where(CLAIM_TABLE.c.id.in_(batch)))
    }
    return [found[claim] for claim in unique_claims if claim in found]


def matching_claims(db: sa.Connection, claims: Iterable[ClaimId]) -> set[ClaimId]:
    """Return the claims among ``claims`` that uploads are compared with."""
    return {claim.id for claim in existing_claims(db, claims) if claim.state in MATCHING_STATES}


def get_opinions(db: sa.Connection, claim: ClaimId) -> tuple[Opinion, ...]:
    """Return opinions on a claim, oldest first."""
    query = sa.select(OPINION_TABLE).where(OPINION_TABLE.c.claim == claim)
    return tuple(
        Opinion(claim, Stance(row.stance), read_time(row.at), bytes(row.key))
        for row in db.execute(query.order_by(OPINION_TABLE.c.at, OPINION_TABLE.c.key))
    )


def whole_hashes_of(
    db: sa.Connection, claims: Sequence[ClaimId], *, frames: bool = False, shared: bool = False
) -> dict[ClaimId, tuple[bytes, ...]]:
    """Return hashes of whole pictures, by claim: first those that the claim's owner registered, in
    the order in which this gate first stored them, then those that reviewers added.

    With ``frames``, hashes of whole frames of videos are included. With ``shared``, hashes that a
    reviewer added only to hold uploads here are left out, since partners do not get them.
    """
    found: dict[ClaimId, tuple[bytes, ...]] = defaultdict(tuple)
    query = sa.select(CLAIM_HASH_TABLE.c.claim, HASH_TABLE.c.bits).join(HASH_TABLE)
    for batch in statement_batches(claims):
        mine = query.where(CLAIM_HASH_TABLE.c.claim.in_(batch), HASH_TABLE.c.part.is_(False))
        if shared:
            mine = mine.where(CLAIM_HASH_TABLE.c.added.is_distinct_from(HOLD_ONLY_ADDED_NUMBER))
        mine = mine if frames else mine.where(IS_PICTURE)
        is_added = CLAIM_HASH_TABLE.c.added.is_not(None)
        for row in db.execute(mine.order_by(is_added, HASH_TABLE.c.number)):
            found[row.claim] += (bytes(row.bits),)
    return found


def insert_registrations(
    db: sa.Connection, clock: Clock, registrations: Sequence[Registration]
) -> None:
    """Store claims with their hashes, clips and embeddings; raises NoSuchBank."""
    if not registrations:
        return
    for name in {one.claim.bank for one in registrations}:
        get_bank(db, name)
    first, at = next_change_number(db), stored_time(clock.now())
    rows = [
        {
            **row_from_claim(with_confirmed_number(one.claim, number)),
            "changed": number,
            "changed_at": at,
            "look_back_at": at if one.looks_back else None,
        }
        for number, one in enumerate(registrations, start=first)
    ]
    db.execute(CLAIM_TABLE.insert(), rows)
    wholes = [(one.claim.id, bits) for one in registrations for bits in one.whole]
    numbers = link_claims_to_hashes(db, wholes)
    link_claims_to_hashes(
        db, [(one.claim.id, bits) for one in registrations for bits in one.parts], part=True
    )
    for one in registrations:
        if one.video is not None:
            _add_video(db, one.claim.id, one.video)
        if one.sound is not None:
            _add_sound(db, one.claim.id, one.sound)
        if one.embedding is not None:
            model, values = one.embedding.model, one.embedding.numbers
            row = {"claim": one.claim.id, "entry": numbers[one.whole[0]]}
            db.execute(EMBEDDING_TABLE.insert().values(**row, model=model, numbers=values))
    append_events(db, clock, *(claim_registered_event(one.claim) for one in registrations))


def next_change_number(db: sa.Connection) -> int:
    """Return the number that the next change of a claim gets."""
    newest = db.execute(sa.select(sa.func.max(CLAIM_TABLE.c.changed))).scalar()
    return (newest or 0) + 1


def link_claims_to_hashes(
    db: sa.Connection, links: Iterable[tuple[ClaimId, bytes]], *, part: bool = False
) -> dict[bytes, int]:
    """Link claims to hashes, which are stored if they are new.

    Returns:
        The number of each hash.
    """
    given = dict[bytes, int]()
    for batch in statement_batches(dict.fromkeys(links)):
        every = list(dict.fromkeys(bits for _, bits in batch))
        rows = [{"bits": bits, "part": part} for bits in every]
        db.execute(insert_on_conflict_statement(db, HASH_TABLE).on_conflict_do_nothing(), rows)
        known = sa.select(HASH_TABLE.c.bits, HASH_TABLE.c.number)
        known = known.where(HASH_TABLE.c.bits.in_(every), HASH_TABLE.c.part == part)
        given |= {bytes(row.bits): row.number for row in db.execute(known)}
        pairs = [{"claim": claim, "number": given[bits]} for claim, bits in batch]
        db.execute(
            insert_on_conflict_statement(db, CLAIM_HASH_TABLE).on_conflict_do_nothing(), pairs
        )
    return given


def _add_video(db: sa.Connection, claim: ClaimId, video: VideoPrint) -> None:
    shown = link_claims_to_hashes(db, [(claim, bits) for bits in video.hashes])
    inner = link_claims_to_hashes(db, [(claim, bits) for bits in video.inner], part=True)
    places = [(shown[one.bits], one.at_ms) for one in video.frames]
    places += [(inner[one.inner], one.at_ms) for one in video.frames if one.inner is not None]
    rows = [{"claim": claim, "number": number, "at_ms": at_ms} for number, at_ms in places]
    db.execute(FRAME_TABLE.insert(), rows)


def _add_sound(db: sa.Connection, claim: ClaimId, sound: SoundPrint) -> None:
    """Link the claim to the sound, which is stored if it is new."""
    name = hashlib.sha256(sound.words).digest()
    row = {"words_sha256": name, "words": sound.words}
    db.execute(insert_on_conflict_statement(db, SOUND_TABLE).on_conflict_do_nothing().values(row))
    known = sa.select(SOUND_TABLE.c.number).where(SOUND_TABLE.c.words_sha256 == name)
    db.execute(
        CLAIM_SOUND_TABLE.insert().values(claim=claim, number=db.execute(known).scalar_one())
    )
