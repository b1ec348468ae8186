"""The tables of judged uploads, their indexes, and what these are of (docs/spec/gate.md 5)."""

from typing import Final

import sqlalchemy as sa

from entrenous.adapters.bank.tables import BIG, METADATA, partial_index

# ``lead`` is the case that stands for this one in the queue, where many wait as one item;
# ``waits_since`` is when it came before a reviewer, where that was later than ``at``.
# ``slow_look`` is "due" until the bytes are "kept" for it, or it was "skipped"; null when it was
# made or none is due. Somebody may take it at ``slow_look_at``. ``first_confirmer`` is who
# confirmed it first, while it waits for another person to do so. ``listed_until`` is for how long
# the platform is told to remove it: it had published it, and a person confirmed it.
UPLOAD: Final = sa.Table(
    "upload",
    METADATA,
    sa.Column("number", BIG, primary_key=True, autoincrement=True),
    sa.Column("case_number", sa.Text, nullable=False, unique=True),
    sa.Column("at", BIG, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, index=True),
    sa.Column("matches", sa.JSON, nullable=False),
    sa.Column("bits", sa.LargeBinary(32)),
    sa.Column("untrusted_upload", sa.LargeBinary),
    sa.Column("would", sa.Text),
    sa.Column("entry", BIG),
    sa.Column("reference", sa.Text, nullable=False, server_default=""),
    sa.Column("found", sa.Text, nullable=False, server_default="upload"),
    sa.Column("secret_sha256", sa.LargeBinary(32)),
    sa.Column("upload_sha256", sa.LargeBinary(32)),
    sa.Column("appealed_at", BIG),
    sa.Column("lead", sa.Text),
    sa.Column("waits_since", BIG),
    sa.Column("slow_look", sa.Text),
    sa.Column("slow_look_at", BIG),
    sa.Column("slow_looks_taken", sa.Integer),
    sa.Column("first_confirmer", sa.Text),
    sa.Column("listed_until", BIG),
    sqlite_autoincrement=True,
)
# Of a clip or a sound, while it may be looked back at: hashes of its frames, one after the other,
# and the words of its sound. Each may be missing: empty, and null.
UPLOAD_FRAMES: Final = sa.Table(
    "upload_frames",
    METADATA,
    sa.Column("number", sa.ForeignKey("upload.number"), primary_key=True, autoincrement=False),
    sa.Column("at", BIG, nullable=False, index=True),
    sa.Column("frames", sa.LargeBinary, nullable=False),
    sa.Column("words", sa.LargeBinary),
)
# What indexes are of, and questions ask by the same words. Values are written out, not parameters:
# so the planner knows that the index will do.
WAITS: Final = UPLOAD.c.state == sa.literal_column("'waiting'")
SINGLE: Final = (WAITS, UPLOAD.c.lead.is_(None))
LET_THROUGH: Final = (
    UPLOAD.c.state == sa.literal_column("'closed'"),
    UPLOAD.c.outcome == sa.literal_column("'let through'"),
)
RELEASED: Final = UPLOAD.c.state == sa.literal_column("'released'")
_HAS_HASH: Final = UPLOAD.c.bits.is_not(None)
ACCEPTED: Final = (*LET_THROUGH, _HAS_HASH)
RELEASED_KEPT: Final = (RELEASED, _HAS_HASH)
# Whether a hash of it is kept, or what it is if it is a clip.
IS_COMPARED: Final = sa.or_(_HAS_HASH, sa.exists().where(UPLOAD_FRAMES.c.number == UPLOAD.c.number))
# What was published first, and waits now: neither of the others.
_FOUND: Final = (
    UPLOAD.c.found != sa.literal_column("'upload'"),
    UPLOAD.c.found != sa.literal_column("'appeal'"),
)
WAS_PUBLISHED: Final = sa.and_(*_FOUND)
PUBLISHED: Final = (WAITS, *_FOUND)
TO_REMOVE: Final = UPLOAD.c.listed_until.is_not(None)
_SINGLE: Final = sa.and_(*SINGLE)
_ACCEPTED: Final = sa.and_(*ACCEPTED)
_PUBLISHED: Final = sa.and_(*PUBLISHED)
WAITING_BY_ENTRY: Final = partial_index("waiting_by_entry", WAITS, UPLOAD.c.entry)
WAITING_BY_LEAD: Final = partial_index("waiting_by_lead", WAITS, UPLOAD.c.lead)
# With the state, or SQLite prefers the index of states and reads past the bytes of every upload.
WAITING_BY_FILE: Final = partial_index(
    "waiting_by_file", WAITS, UPLOAD.c.upload_sha256, UPLOAD.c.state
)
ACCEPTED_UPLOADS: Final = partial_index("accepted_uploads", _ACCEPTED, UPLOAD.c.number)
RELEASED_UPLOADS: Final = partial_index(
    "released_uploads", sa.and_(*RELEASED_KEPT), UPLOAD.c.number
)
# It has all that is asked for, so that no page of an upload's bytes is read.
WAITING_SINCE: Final = partial_index(
    "waiting_since", _SINGLE, UPLOAD.c.state, UPLOAD.c.lead, UPLOAD.c.waits_since, UPLOAD.c.at
)
WAITING_LATE: Final = partial_index(
    "waiting_late", _PUBLISHED, UPLOAD.c.state, UPLOAD.c.number, UPLOAD.c.found
)
UPLOADS_TO_REMOVE: Final = partial_index(
    "uploads_to_remove", TO_REMOVE, UPLOAD.c.number, UPLOAD.c.listed_until
)
SLOW_LOOKS: Final = partial_index(
    "slow_looks",
    UPLOAD.c.slow_look.is_not(None),
    UPLOAD.c.slow_look,
    UPLOAD.c.at,
    UPLOAD.c.slow_look_at,
    UPLOAD.c.slow_looks_taken,
)
UPLOADS_IN_SHADOW: Final = partial_index(
    "uploads_in_shadow", UPLOAD.c.would.is_not(None), UPLOAD.c.at, UPLOAD.c.would
)
