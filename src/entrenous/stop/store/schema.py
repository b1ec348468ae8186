"""The gate's tables and indexes (docs/spec/gate.md, 5). No table stores who somebody is."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

# The version of this schema; increment it with every change of a table or an index.
SCHEMA_VERSION: Final = 9
METADATA: Final = sa.MetaData()
# An integer of 64 bits. SQLite numbers rows by itself only if the column's type is INTEGER.
BIG_INTEGER: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def partial_index(name: str, where: sa.ColumnElement[bool], *columns: sa.Column[Any]) -> sa.Index:
    """Return an index over the rows that satisfy ``where``, for both databases."""
    return sa.Index(name, *columns, sqlite_where=where, postgresql_where=where)


SCHEMA_VERSION_TABLE: Final = sa.Table(
    "schema_version", METADATA, sa.Column("version", sa.Integer, primary_key=True)
)
BANK_TABLE: Final = sa.Table(
    "bank",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("radius", sa.Integer, nullable=False),
    sa.Column("on_claimed", sa.Text, nullable=False),
    sa.Column("on_confirmed", sa.Text, nullable=False),
    sa.Column("shadow", sa.Boolean, nullable=False, server_default=sa.false()),
)
# ``changed`` is the number of the latest change, ``confirmed`` of the latest confirmation;
# ``look_back_at`` is the time from which a due look-back may be leased.
CLAIM_TABLE: Final = sa.Table(
    "claim",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("bank", sa.ForeignKey("bank.name"), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("quality", sa.Integer, nullable=False),
    sa.Column("made_at", BIG_INTEGER, nullable=False),
    sa.Column("holder_sha256", sa.LargeBinary(32)),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("jurisdiction", sa.Text, nullable=False),
    sa.Column("disputes", sa.Integer, nullable=False),
    sa.Column("changed", BIG_INTEGER, nullable=False, server_default="0"),
    sa.Column("changed_at", BIG_INTEGER, nullable=False, server_default="0"),
    sa.Column("look_back_at", BIG_INTEGER),
    sa.Column("confirmed", BIG_INTEGER, nullable=False, server_default="0"),
    sa.Index("claims_by_change", "changed"),
)
# One row per distinct hash, shared by claims. A number is never reused, so that an index that has
# read it cannot confuse two hashes.
HASH_TABLE: Final = sa.Table(
    "hash",
    METADATA,
    sa.Column("number", BIG_INTEGER, primary_key=True, autoincrement=True),
    sa.Column("bits", sa.LargeBinary(32), nullable=False),
    sa.Column("part", sa.Boolean, nullable=False),
    sa.UniqueConstraint("bits", "part"),
    sqlite_autoincrement=True,
)
# ``added`` is null if the claim's owner registered the hash. If a reviewer added it by confirming
# an upload, it is the number of that change, or HOLD_ONLY_ADDED_NUMBER if uploads that match this
# hash can only be held.
HOLD_ONLY_ADDED_NUMBER: Final = 0
CLAIM_HASH_TABLE: Final = sa.Table(
    "claim_hash",
    METADATA,
    sa.Column("claim", sa.ForeignKey("claim.id"), primary_key=True),
    sa.Column("number", sa.ForeignKey("hash.number"), primary_key=True),
    sa.Column("added", BIG_INTEGER),
    sa.Index("claims_of_hash", "number"),
    sqlite_with_rowid=False,
)
# The times at which a claim's video shows the frame with this hash; STILL_PICTURE_AT_MS if the
# claim has the hash as a picture too. A claim's hash without a row here belongs to a picture.
STILL_PICTURE_AT_MS: Final = -1
FRAME_TABLE: Final = sa.Table(
    "frame",
    METADATA,
    sa.Column("claim", sa.Text, primary_key=True),
    sa.Column("number", BIG_INTEGER, primary_key=True, autoincrement=False),
    sa.Column("at_ms", sa.Integer, primary_key=True, autoincrement=False),
    sa.ForeignKeyConstraint(["claim", "number"], ["claim_hash.claim", "claim_hash.number"]),
    sqlite_with_rowid=False,
)
# One row per distinct sound, shared by claims. The unique index is on a hash of the words, since
# the words themselves are too long for one.
SOUND_TABLE: Final = sa.Table(
    "sound",
    METADATA,
    sa.Column("number", BIG_INTEGER, primary_key=True, autoincrement=True),
    sa.Column("words_sha256", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("words", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
CLAIM_SOUND_TABLE: Final = sa.Table(
    "claim_sound",
    METADATA,
    sa.Column("claim", sa.ForeignKey("claim.id"), primary_key=True),
    sa.Column("number", sa.ForeignKey("sound.number"), primary_key=True),
    sa.Index("claims_of_sound", "number"),
    sqlite_with_rowid=False,
)
# Registered embeddings of pictures; ``entry`` is the number of the picture's hash. Numbers are
# never reused. Counting reads the index on ``claim``, since rows are long.
EMBEDDING_TABLE: Final = sa.Table(
    "embedding",
    METADATA,
    sa.Column("number", BIG_INTEGER, primary_key=True, autoincrement=True),
    sa.Column("claim", sa.ForeignKey("claim.id"), nullable=False, unique=True),
    sa.Column("entry", sa.ForeignKey("hash.number"), nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("numbers", sa.LargeBinary(512), nullable=False),
    sa.Index("embeddings_of_hash", "entry"),
    sqlite_autoincrement=True,
)
# Reviewers besides the operator; only the hash of a token is stored.
REVIEWER_TABLE: Final = sa.Table(
    "reviewer",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("token_sha256", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("added_at", BIG_INTEGER, nullable=False),
)
# When an alert of this kind was last sent, and how many floods have not been reported yet.
ALERT_TABLE: Final = sa.Table(
    "page",
    METADATA,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("at", BIG_INTEGER, nullable=False, server_default="0"),
    sa.Column("untold", BIG_INTEGER, nullable=False, server_default="0"),
)
# The latest time that any gate's clock showed, and its last jump (serving/host_checks.py).
CLOCK_TABLE: Final = sa.Table(
    "clock",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # always 1
    sa.Column("at", BIG_INTEGER, nullable=False),
    sa.Column("odd_at", BIG_INTEGER),
    sa.Column("odd_s", sa.Integer, nullable=False),
)
# The platform's id for content that it listed itself, and when a suspended listing matches again
# (docs/spec/hma.md section 4).
CLAIM_LISTING_TABLE: Final = sa.Table(
    "listing",
    METADATA,
    sa.Column("claim", sa.ForeignKey("claim.id"), primary_key=True),
    sa.Column("content_id", sa.Text, nullable=False),
    sa.Column("on_at", BIG_INTEGER),
)
LISTINGS_DUE_INDEX: Final = partial_index(
    "listings_due", CLAIM_LISTING_TABLE.c.on_at.is_not(None), CLAIM_LISTING_TABLE.c.on_at
)
# Files that a reviewer released without a picture's hash: the SHA-256 of the file (of an unreadable
# file, its ``unreadable_release_key``), the time of the newest claim that the reviewer saw, and the
# number that the next change would have had.
RELEASED_FILE_TABLE: Final = sa.Table(
    "released_file",
    METADATA,
    sa.Column("sha256", sa.LargeBinary(32), primary_key=True),
    sa.Column("at", BIG_INTEGER, nullable=False),
    sa.Column("number", BIG_INTEGER, nullable=False, server_default="0"),
)
PARTNER_TABLE: Final = sa.Table(
    "partner",
    METADATA,
    sa.Column("key", sa.LargeBinary(32), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
)
OPINION_TABLE: Final = sa.Table(
    "opinion",
    METADATA,
    sa.Column("claim", sa.ForeignKey("claim.id"), primary_key=True),
    sa.Column("key", sa.LargeBinary(32), primary_key=True),
    sa.Column("stance", sa.Text, nullable=False),
    sa.Column("at", BIG_INTEGER, nullable=False),
)
LOOK_BACK_INDEX: Final = partial_index(
    "look_backs", CLAIM_TABLE.c.look_back_at.is_not(None), CLAIM_TABLE.c.look_back_at
)
AUDIT_TABLE: Final = sa.Table(
    "audit",
    METADATA,
    sa.Column("number", BIG_INTEGER, primary_key=True, autoincrement=False),
    sa.Column("at", BIG_INTEGER, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("of", sa.Text, nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Column("before", sa.LargeBinary(32), nullable=False),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),
)
AUDIT_HEAD_TABLE: Final = sa.Table(
    "audit_head",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),  # always 1
    sa.Column("number", BIG_INTEGER, nullable=False),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def stored_time(at: datetime) -> int:
    """Return the time as microseconds since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def read_optional_time(stored: int | None) -> datetime | None:
    """Return the stored time, or None if there is none."""
    return None if stored is None else read_time(stored)


def read_time(stored: int) -> datetime:
    """Return the stored time as an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=stored)


# ``lead``: the case that represents this one in the queue, if many wait as one item.
# ``waits_since``: when it entered the queue, if later than ``at``.
# ``slow_look``: "due", then "kept" once the bytes are stored for it, or "skipped"; null if it was
# done or is not needed. A process may start it from ``slow_look_at`` on.
# ``first_confirmer``: who confirmed first, while a second person has to.
# ``listed_until``: the end of the time in which the platform is told to remove an upload that it
# had published and that a reviewer confirmed.
UPLOAD_TABLE: Final = sa.Table(
    "upload",
    METADATA,
    sa.Column("number", BIG_INTEGER, primary_key=True, autoincrement=True),
    sa.Column("case_number", sa.Text, nullable=False, unique=True),
    sa.Column("at", BIG_INTEGER, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("matches", sa.JSON, nullable=False),
    sa.Column("bits", sa.LargeBinary(32)),
    sa.Column("untrusted_upload", sa.LargeBinary),
    sa.Column("would", sa.Text),
    sa.Column("entry", BIG_INTEGER),
    sa.Column("reference", sa.Text, nullable=False, server_default=""),
    sa.Column("found", sa.Text, nullable=False, server_default="upload"),
    sa.Column("secret_sha256", sa.LargeBinary(32)),
    sa.Column("upload_sha256", sa.LargeBinary(32)),
    sa.Column("appealed_at", BIG_INTEGER),
    sa.Column("lead", sa.Text),
    sa.Column("waits_since", BIG_INTEGER),
    sa.Column("slow_look", sa.Text),
    sa.Column("slow_look_at", BIG_INTEGER),
    sa.Column("slow_looks_taken", sa.Integer),
    sa.Column("first_confirmer", sa.Text),
    sa.Column("listed_until", BIG_INTEGER),
    sqlite_autoincrement=True,
)
# Fingerprints of a clip or a sound for look-backs: concatenated hashes of its frames, or empty, and
# the words of its sound (or null).
UPLOAD_CLIP_PRINT_TABLE: Final = sa.Table(
    "upload_frames",
    METADATA,
    sa.Column("number", sa.ForeignKey("upload.number"), primary_key=True, autoincrement=False),
    sa.Column("at", BIG_INTEGER, nullable=False, index=True),
    sa.Column("frames", sa.LargeBinary, nullable=False),
    sa.Column("words", sa.LargeBinary),
)
# Conditions shared by partial indexes and queries. Values are literals, not parameters, so that the
# planner can tell that an index applies.
IS_WAITING: Final = UPLOAD_TABLE.c.state == sa.literal_column("'waiting'")
# The time from which a waiting upload has waited.
WAITS_SINCE: Final = sa.func.coalesce(UPLOAD_TABLE.c.waits_since, UPLOAD_TABLE.c.at)
QUEUE_ITEM_CONDITIONS: Final = (IS_WAITING, UPLOAD_TABLE.c.lead.is_(None))
LET_THROUGH_CONDITIONS: Final = (
    UPLOAD_TABLE.c.state == sa.literal_column("'closed'"),
    UPLOAD_TABLE.c.outcome == sa.literal_column("'let through'"),
)
IS_RELEASED: Final = UPLOAD_TABLE.c.state == sa.literal_column("'released'")
_HAS_PICTURE_HASH: Final = UPLOAD_TABLE.c.bits.is_not(None)
LET_THROUGH_WITH_HASH_CONDITIONS: Final = (*LET_THROUGH_CONDITIONS, _HAS_PICTURE_HASH)
RELEASED_WITH_HASH_CONDITIONS: Final = (IS_RELEASED, _HAS_PICTURE_HASH)
# The condition that a hash or the fingerprint of a clip is stored.
HAS_FINGERPRINT: Final = sa.or_(
    _HAS_PICTURE_HASH, sa.exists().where(UPLOAD_CLIP_PRINT_TABLE.c.number == UPLOAD_TABLE.c.number)
)
# The condition that an upload waits or was decided although it was published: it was let through
# first, or the platform published it whatever the decision was.
_QUARANTINED_AFTER_PUBLISHING_CONDITIONS: Final = (
    UPLOAD_TABLE.c.found != sa.literal_column("'upload'"),
    UPLOAD_TABLE.c.found != sa.literal_column("'appeal'"),
)
WAS_QUARANTINED_AFTER_PUBLISHING: Final = sa.and_(*_QUARANTINED_AFTER_PUBLISHING_CONDITIONS)
PUBLISHED_AND_WAITING_CONDITIONS: Final = (IS_WAITING, *_QUARANTINED_AFTER_PUBLISHING_CONDITIONS)
IS_TO_BE_REMOVED: Final = UPLOAD_TABLE.c.listed_until.is_not(None)
_IS_QUEUE_ITEM: Final = sa.and_(*QUEUE_ITEM_CONDITIONS)
_IS_LET_THROUGH_WITH_HASH: Final = sa.and_(*LET_THROUGH_WITH_HASH_CONDITIONS)
_IS_PUBLISHED_AND_WAITING: Final = sa.and_(*PUBLISHED_AND_WAITING_CONDITIONS)
WAITING_BY_ENTRY_INDEX: Final = partial_index("waiting_by_entry", IS_WAITING, UPLOAD_TABLE.c.entry)
WAITING_BY_LEAD_INDEX: Final = partial_index("waiting_by_lead", IS_WAITING, UPLOAD_TABLE.c.lead)
# ``state`` is included, since SQLite would otherwise use the index on states and read past every
# upload's bytes.
WAITING_BY_FILE_INDEX: Final = partial_index(
    "waiting_by_file", IS_WAITING, UPLOAD_TABLE.c.upload_sha256, UPLOAD_TABLE.c.state
)
ACCEPTED_UPLOADS_INDEX: Final = partial_index(
    "accepted_uploads", _IS_LET_THROUGH_WITH_HASH, UPLOAD_TABLE.c.number
)
RELEASED_UPLOADS_INDEX: Final = partial_index(
    "released_uploads", sa.and_(*RELEASED_WITH_HASH_CONDITIONS), UPLOAD_TABLE.c.number
)
# Covers all columns that the query reads, so that no page of an upload's bytes is read.
WAITING_SINCE_INDEX: Final = partial_index(
    "waiting_since",
    _IS_QUEUE_ITEM,
    UPLOAD_TABLE.c.state,
    UPLOAD_TABLE.c.lead,
    UPLOAD_TABLE.c.waits_since,
    UPLOAD_TABLE.c.at,
)
PUBLISHED_WAITING_INDEX: Final = partial_index(
    "waiting_late",
    _IS_PUBLISHED_AND_WAITING,
    UPLOAD_TABLE.c.state,
    UPLOAD_TABLE.c.number,
    UPLOAD_TABLE.c.found,
)
UPLOADS_TO_REMOVE_INDEX: Final = partial_index(
    "uploads_to_remove", IS_TO_BE_REMOVED, UPLOAD_TABLE.c.number, UPLOAD_TABLE.c.listed_until
)
DEFERRED_SCANS_INDEX: Final = partial_index(
    "slow_looks",
    UPLOAD_TABLE.c.slow_look.is_not(None),
    UPLOAD_TABLE.c.slow_look,
    UPLOAD_TABLE.c.at,
    UPLOAD_TABLE.c.slow_look_at,
    UPLOAD_TABLE.c.slow_looks_taken,
)
UPLOADS_IN_SHADOW_INDEX: Final = partial_index(
    "uploads_in_shadow", UPLOAD_TABLE.c.would.is_not(None), UPLOAD_TABLE.c.at, UPLOAD_TABLE.c.would
)
