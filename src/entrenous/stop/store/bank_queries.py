"""The queries of BankStore: banks, claims, hashes, sounds and embeddings."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from entrenous.base.environment import Clock, SystemClock
from entrenous.base.identifiers import BankName, ClaimId
from entrenous.fingerprint.nouns import PICTURE_KIND, Embedding, RegisteredEmbedding, SoundPrint
from entrenous.stop.audit import AuditHead, AuditRow
from entrenous.stop.nouns import Bank, BankCounts, HashEntry
from entrenous.stop.registration import (
    MATCHING_STATES,
    Claim,
    ClaimChange,
    ClaimFacts,
    ClaimState,
    Opinion,
    Partner,
    Stance,
)
from entrenous.stop.store.audit_events import audit_head, audit_rows_after
from entrenous.stop.store.engine import EngineOrTransaction, single_read, snapshot_read
from entrenous.stop.store.prepared_statements import PreparedSelect
from entrenous.stop.store.registrations import (
    FRAME_OF_HASH_CONDITIONS,
    IS_PICTURE,
    bank_from_row,
    claim_from_row,
    claim_on_hash,
    existing_claims,
    get_bank,
    get_claim,
    get_opinions,
    statement_batches,
    whole_hashes_of,
)
from entrenous.stop.store.schema import (
    BANK_TABLE,
    BIG_INTEGER,
    CLAIM_HASH_TABLE,
    CLAIM_SOUND_TABLE,
    CLAIM_TABLE,
    EMBEDDING_TABLE,
    FRAME_TABLE,
    HASH_TABLE,
    OPINION_TABLE,
    PARTNER_TABLE,
    RELEASED_FILE_TABLE,
    SOUND_TABLE,
    STILL_PICTURE_AT_MS,
    read_time,
)
from entrenous.stop.upload_record import Release

_ENTRIES_PER_READ_MAX: Final = 100_000  # entries per read; a new index reads all entries
_EMBEDDINGS_PER_READ_MAX: Final = 10_000  # embeddings per read, 0.6 kB each
_SOUNDS_PER_READ_MAX: Final = 500  # sounds per read, 40 kB each
_FEW_HASHES_MAX: Final = (
    16  # up to this many hashes are queried with one statement, in constant time
)
_SELECT_BANKS: Final = PreparedSelect(sa.select(BANK_TABLE))
_SELECT_ENTRIES_AFTER: Final = PreparedSelect(
    sa.select(HASH_TABLE)
    .where(HASH_TABLE.c.number > sa.bindparam("after"))
    .order_by(HASH_TABLE.c.number)
    .limit(_ENTRIES_PER_READ_MAX)
)
_SELECT_FILE_RELEASE: Final = PreparedSelect(
    sa.select(RELEASED_FILE_TABLE).where(RELEASED_FILE_TABLE.c.sha256 == sa.bindparam("of"))
)
_SELECT_CLAIMS_ON_HASHES: Final = (
    sa.select(CLAIM_HASH_TABLE.c.number, CLAIM_HASH_TABLE.c.added, CLAIM_TABLE, FRAME_TABLE.c.at_ms)
    .select_from(
        CLAIM_HASH_TABLE.join(CLAIM_TABLE, CLAIM_TABLE.c.id == CLAIM_HASH_TABLE.c.claim).outerjoin(
            FRAME_TABLE, sa.and_(*FRAME_OF_HASH_CONDITIONS)
        )
    )
    .where(CLAIM_TABLE.c.state.in_([sa.literal(state) for state in sorted(MATCHING_STATES)]))
)
_SELECT_CLAIMS_BY_HASH_NUMBER: Final = _SELECT_CLAIMS_ON_HASHES.where(
    CLAIM_HASH_TABLE.c.number.in_(sa.bindparam("numbers", expanding=True))
)
_NUMBER_PARAMETER_NAMES: Final = [f"n{place}" for place in range(_FEW_HASHES_MAX)]
_SELECT_CLAIMS_BY_FEW_HASH_NUMBERS: Final = PreparedSelect(
    _SELECT_CLAIMS_ON_HASHES.where(
        CLAIM_HASH_TABLE.c.number.in_(
            [sa.bindparam(name, 0, type_=BIG_INTEGER) for name in _NUMBER_PARAMETER_NAMES]
        )
    )
)
_SELECT_PICTURE_CLAIMS_BY_HASH_NUMBER: Final = _SELECT_CLAIMS_BY_HASH_NUMBER.where(
    sa.or_(FRAME_TABLE.c.at_ms.is_(None), FRAME_TABLE.c.at_ms == STILL_PICTURE_AT_MS)
)


ClaimWithHashes = tuple[Claim, tuple[bytes, ...]]
ClaimOnHash = tuple[int, Claim, int | None]  # a hash's number, a claim on it, its time in the video


@dataclass(frozen=True, slots=True)
class BankQueries:
    """Queries that run on the database ``engine``, or in an open transaction given in its place."""

    engine: EngineOrTransaction
    clock: Clock = field(default_factory=SystemClock)

    def bank(self, name: BankName) -> Bank:
        """Return the bank of that name; raises NoSuchBank."""
        with snapshot_read(self.engine) as db:
            return get_bank(db, name)

    def banks(self) -> tuple[Bank, ...]:
        """Return all banks, by name."""
        with single_read(self.engine) as db:
            every = (bank_from_row(row) for row in _SELECT_BANKS.rows(db))
            # Sorted here, since databases sort strings differently.
            return tuple(sorted(every, key=lambda bank: bank.name))

    def count_claims_and_hashes(self) -> BankCounts:
        """Count matching claims and distinct hashes."""
        matching = (
            sa.select(sa.func.count())
            .select_from(CLAIM_TABLE)
            .where(CLAIM_TABLE.c.state.in_(MATCHING_STATES))
        )
        hashes = sa.select(sa.func.count()).select_from(HASH_TABLE)
        with snapshot_read(self.engine) as db:
            return BankCounts(db.execute(matching).scalar_one(), db.execute(hashes).scalar_one())

    def claim(self, claim: ClaimId) -> Claim:
        """Return the claim, even if it is withdrawn; raises NoSuchClaim."""
        with snapshot_read(self.engine) as db:
            return get_claim(db, claim)

    def claim_facts(self, claims: Collection[ClaimId]) -> dict[ClaimId, ClaimFacts]:
        """Return, for the claims that exist, each claim and the number of platforms with each
        opinion on it.
        """
        with snapshot_read(self.engine) as db:
            opinions = _opinion_counts(db, claims)
            existing = existing_claims(db, claims)
            return {claim.id: ClaimFacts(claim, opinions[claim.id]) for claim in existing}

    def find_hashes_in_bank(
        self, bank: BankName, hashes: Collection[bytes], states: Collection[ClaimState]
    ) -> dict[bytes, Claim]:
        """Return the whole-picture hashes among ``hashes`` that this bank has, with one claim each.

        Only claims that are on pictures and in one of ``states`` count.
        """
        joined = HASH_TABLE.join(CLAIM_HASH_TABLE).join(
            CLAIM_TABLE, CLAIM_TABLE.c.id == CLAIM_HASH_TABLE.c.claim
        )
        query = (
            sa.select(HASH_TABLE.c.bits, CLAIM_TABLE)
            .select_from(joined)
            .where(HASH_TABLE.c.part.is_(False))
        )
        mine = (
            CLAIM_TABLE.c.bank == bank,
            CLAIM_TABLE.c.kind == PICTURE_KIND,
            CLAIM_TABLE.c.state.in_(states),
        )
        with snapshot_read(self.engine) as db:
            return {
                bytes(row.bits): claim_from_row(row)
                for batch in statement_batches(dict.fromkeys(hashes))
                for row in db.execute(query.where(*mine, HASH_TABLE.c.bits.in_(batch)))
            }

    def whole_picture_hashes_of(self, claim: ClaimId) -> tuple[bytes, ...]:
        """Return a claim's hashes of whole pictures, 32 bytes each; none if it is withdrawn.

        Hashes of frames are left out.
        """
        with snapshot_read(self.engine) as db:
            return whole_hashes_of(db, [claim]).get(claim, ())

    def claims_with_hashes(
        self, claims: Collection[ClaimId], *, frames: bool = False
    ) -> dict[ClaimId, ClaimWithHashes]:
        """Return the claims that exist, in the order given, with the hashes of
        :meth:`whole_picture_hashes_of`.

        With ``frames``, hashes of whole frames are included.
        """
        with snapshot_read(self.engine) as db:
            existing = existing_claims(db, claims)
            hashes = whole_hashes_of(db, [claim.id for claim in existing], frames=frames)
            return {claim.id: (claim, hashes.get(claim.id, ())) for claim in existing}

    def hashes_added_to(self, claims: Collection[ClaimId]) -> dict[ClaimId, dict[bytes, Claim]]:
        """Return the hashes that :meth:`add_upload_hashes` added, by claim.

        Each hash comes with the claim's state for that hash. Claims without added hashes are left
        out.
        """
        found: dict[ClaimId, dict[bytes, Claim]] = defaultdict(dict)
        joined = CLAIM_HASH_TABLE.join(HASH_TABLE).join(
            CLAIM_TABLE, CLAIM_TABLE.c.id == CLAIM_HASH_TABLE.c.claim
        )
        query = sa.select(HASH_TABLE.c.bits, CLAIM_HASH_TABLE.c.added, CLAIM_TABLE).select_from(
            joined
        )
        query = query.where(CLAIM_HASH_TABLE.c.added.is_not(None))
        with snapshot_read(self.engine) as db:
            for batch in statement_batches(dict.fromkeys(claims)):
                for row in db.execute(query.where(CLAIM_HASH_TABLE.c.claim.in_(batch))):
                    added = claim_on_hash(claim_from_row(row), row.added)
                    found[ClaimId(row.id)][bytes(row.bits)] = added
        return dict(found)

    def entries(self, after: int) -> tuple[HashEntry, ...]:
        """Return distinct hashes numbered above ``after``, in order, to update an index.

        Only the first ones may be returned; to get more, call again with the last one's number.
        """
        with single_read(self.engine) as db:
            rows = _SELECT_ENTRIES_AFTER.rows(db, {"after": after})
            return tuple(HashEntry(row.number, row.bits, row.part) for row in rows)

    def claims_on_pictures(self, entries: Collection[int]) -> tuple[tuple[int, Claim], ...]:
        """Return matching (waiting or confirmed) claims on these picture hashes.

        Each comes with the number of its hash. Frames of videos are left out.
        """
        with snapshot_read(self.engine) as db:
            rows = _rows_for_hashes(db, entries, _SELECT_PICTURE_CLAIMS_BY_HASH_NUMBER)
            return tuple(
                (row.number, claim_on_hash(claim_from_row(row), row.added)) for row in rows
            )

    def next_picture_hash_number(self, bank: BankName, after: int) -> int | None:
        """Return the lowest number above ``after`` of a whole picture's hash in that bank.

        Hashes of matching and of suspended claims count. Returns None if there is no such hash.

        The query walks the index of claims by hash, so that no claim is read twice.
        """
        joined = CLAIM_HASH_TABLE.join(HASH_TABLE).join(
            CLAIM_TABLE, CLAIM_TABLE.c.id == CLAIM_HASH_TABLE.c.claim
        )
        query = sa.select(CLAIM_HASH_TABLE.c.number).select_from(joined)
        query = query.where(CLAIM_HASH_TABLE.c.number > after, CLAIM_TABLE.c.bank == bank)
        query = query.where(HASH_TABLE.c.part.is_(False), IS_PICTURE)
        with snapshot_read(self.engine) as db:
            return db.execute(query.order_by(CLAIM_HASH_TABLE.c.number).limit(1)).scalar()

    def claims_on_pictures_and_frames(self, entries: Collection[int]) -> tuple[ClaimOnHash, ...]:
        """Return matching claims on these hashes of pictures and of frames of videos.

        Each comes with the number of its hash, and with the time at which its video shows it (ms;
        None for a picture). A claim is listed once for each such time.

        The database is queried even for zero hashes, with the same statement as for up to sixteen,
        so that timing reveals no match.
        """
        if len(entries) <= _FEW_HASHES_MAX:
            with single_read(self.engine) as db:
                return _claims_by_number(
                    _SELECT_CLAIMS_BY_FEW_HASH_NUMBERS.rows(
                        db, dict(zip(_NUMBER_PARAMETER_NAMES, entries, strict=False))
                    )
                )
        with snapshot_read(self.engine) as db:
            return _claims_by_number(_rows_for_hashes(db, entries, _SELECT_CLAIMS_BY_HASH_NUMBER))

    def sounds(self, after: int) -> tuple[tuple[int, SoundPrint], ...]:
        """Return distinct sounds numbered above ``after``, in order, to update an index.

        Only the first ones may be returned; to get more, call again with the last one's number.
        """
        query = sa.select(SOUND_TABLE.c.number, SOUND_TABLE.c.words).where(
            SOUND_TABLE.c.number > after
        )
        with single_read(self.engine) as db:
            rows = db.execute(query.order_by(SOUND_TABLE.c.number).limit(_SOUNDS_PER_READ_MAX))
            return tuple((row.number, SoundPrint(bytes(row.words))) for row in rows)

    def sounds_of(self, claims: Collection[ClaimId]) -> dict[ClaimId, tuple[int, SoundPrint]]:
        """Return the number and the sound of each claim that has a sound."""
        joined = CLAIM_SOUND_TABLE.join(
            SOUND_TABLE, SOUND_TABLE.c.number == CLAIM_SOUND_TABLE.c.number
        )
        query = sa.select(
            CLAIM_SOUND_TABLE.c.claim, SOUND_TABLE.c.number, SOUND_TABLE.c.words
        ).select_from(joined)
        with snapshot_read(self.engine) as db:
            return {
                ClaimId(row.claim): (row.number, SoundPrint(bytes(row.words)))
                for batch in statement_batches(dict.fromkeys(claims))
                for row in db.execute(query.where(CLAIM_SOUND_TABLE.c.claim.in_(batch)))
            }

    def claims_on_sounds(self, sounds: Collection[int]) -> tuple[tuple[int, Claim], ...]:
        """Return matching claims on these sounds, each with the sound's number.

        The database is queried even for zero sounds, so that timing reveals no match.
        """
        joined = CLAIM_SOUND_TABLE.join(CLAIM_TABLE, CLAIM_TABLE.c.id == CLAIM_SOUND_TABLE.c.claim)
        query = sa.select(CLAIM_SOUND_TABLE.c.number, CLAIM_TABLE).select_from(joined)
        query = query.where(CLAIM_TABLE.c.state.in_(MATCHING_STATES))
        with snapshot_read(self.engine) as db:
            return tuple(
                (row.number, claim_from_row(row))
                for batch in statement_batches(sorted(sounds) or [0])
                for row in db.execute(query.where(CLAIM_SOUND_TABLE.c.number.in_(batch)))
            )

    def embeddings(self, after: int) -> tuple[RegisteredEmbedding, ...]:
        """Return embeddings numbered above ``after``, in order, to update an index. Only the first
        ones may be returned.
        """
        query = sa.select(EMBEDDING_TABLE).where(EMBEDDING_TABLE.c.number > after)
        with single_read(self.engine) as db:
            rows = db.execute(
                query.order_by(EMBEDDING_TABLE.c.number).limit(_EMBEDDINGS_PER_READ_MAX)
            )
            return tuple(
                RegisteredEmbedding(
                    row.number,
                    row.entry,
                    ClaimId(row.claim),
                    Embedding(bytes(row.numbers), row.model),
                )
                for row in rows
            )

    def embedding_count(self) -> int:
        with single_read(self.engine) as db:
            return db.execute(sa.select(sa.func.count(EMBEDDING_TABLE.c.claim))).scalar_one()

    def release_of_file(self, sha256: bytes) -> Release | None:
        """Return the newest release of this exact file, or None."""
        with single_read(self.engine) as db:
            rows = _SELECT_FILE_RELEASE.rows(db, {"of": sha256})
        return Release(read_time(rows[0].at), rows[0].number) if rows else None

    def opinions(self, claim: ClaimId) -> tuple[Opinion, ...]:
        """Return each partner platform's opinion on the claim (one per signing key), the oldest
        first.
        """
        with snapshot_read(self.engine) as db:
            return get_opinions(db, claim)

    def partners(self) -> tuple[Partner, ...]:
        """Return all platforms, by name."""
        with snapshot_read(self.engine) as db:
            found = [
                Partner(row.name, bytes(row.key)) for row in db.execute(sa.select(PARTNER_TABLE))
            ]
        return tuple(sorted(found, key=lambda one: (one.name, one.key)))

    def changes(self, after: int, limit: int) -> tuple[ClaimChange, ...]:
        """Return changes with a number above ``after``, in order. Numbers become visible in
        ascending order.

        A claim appears only at its newest number; a withdrawn one has no hashes. Hashes that
        :meth:`add_upload_hashes` added without confirmation stay on this platform.
        """
        query = (
            sa.select(CLAIM_TABLE)
            .where(CLAIM_TABLE.c.changed > after)
            .order_by(CLAIM_TABLE.c.changed)
        )
        with snapshot_read(self.engine) as db:
            rows = db.execute(query.limit(limit)).all()
            hashes = whole_hashes_of(db, [row.id for row in rows], shared=True)
        return tuple(
            ClaimChange(
                number=row.changed,
                at=read_time(row.changed_at),
                claim=ClaimId(row.id),
                bank=BankName(row.bank),
                kind=row.kind,
                state=ClaimState(row.state),
                hashes=hashes.get(row.id, ()),
            )
            for row in rows
        )

    def log(self, after: int, limit: int) -> tuple[AuditRow, ...]:
        """Return rows of the log with a number above ``after``, in order."""
        with snapshot_read(self.engine) as db:
            return audit_rows_after(db, after, limit)

    def audit_log_head(self) -> AuditHead:
        """Return the log's head, which is stored beside the log."""
        with snapshot_read(self.engine) as db:
            return audit_head(db)


def _rows_for_hashes(
    db: sa.Connection, entries: Collection[int], query: sa.Select[Any]
) -> Iterator[Any]:
    for batch in statement_batches(sorted(entries) or [0]):
        yield from db.execute(query, {"numbers": batch})


def _claims_by_number(rows: Iterable[Any]) -> tuple[ClaimOnHash, ...]:
    return tuple(
        (
            row.number,
            claim_on_hash(
                claim_from_row(row), row.added if row.at_ms in (None, STILL_PICTURE_AT_MS) else None
            ),
            None if row.at_ms == STILL_PICTURE_AT_MS else row.at_ms,
        )
        for row in rows
    )


def _opinion_counts(
    db: sa.Connection, claims: Collection[ClaimId]
) -> Mapping[ClaimId, Counter[Stance]]:
    found: dict[ClaimId, Counter[Stance]] = defaultdict(Counter)
    query = sa.select(OPINION_TABLE.c.claim, OPINION_TABLE.c.stance, sa.func.count().label("many"))
    query = query.group_by(OPINION_TABLE.c.claim, OPINION_TABLE.c.stance)
    for batch in statement_batches(dict.fromkeys(claims)):
        for row in db.execute(query.where(OPINION_TABLE.c.claim.in_(batch))):
            found[ClaimId(row.claim)][Stance(row.stance)] = row.many
    return found
