"""Bring the tables of an earlier version up to date, in place: whole or not at all.

Version 1 had banks, claims, hashes and uploads. Version 2 adds shadow banks, the order of changes,
what floods, appeals and looking back need of an upload, partners and their opinions, and the log.
Version 3 adds since when an upload waits, what is due after an answer, and tables of frames,
sounds, released clips and embeddings. Version 4 adds by which change a claim became confirmed.
Version 5 adds reviewers, who confirmed first, and what somebody was told of. Version 6 adds hashes
of the frames of clips that were let through, version 7 how these sound, an
index of what a person released, and which hashes a reviewer added. Version 8 adds what the clock
said, version 9 what a platform is told to remove.
"""

from typing import Any, Final

import sqlalchemy as sa

from entrenous.adapters.bank.tables import (
    BANK,
    CLAIM,
    CLAIM_HASH,
    LOOK_BACKS,
    METADATA,
    RELEASED_FILE,
    SCHEMA_VERSION,
    VERSION,
)
from entrenous.adapters.bank.upload_tables import (
    ACCEPTED_UPLOADS,
    RELEASED_UPLOADS,
    SLOW_LOOKS,
    UPLOAD,
    UPLOAD_FRAMES,
    UPLOADS_IN_SHADOW,
    UPLOADS_TO_REMOVE,
    WAITING_BY_ENTRY,
    WAITING_BY_FILE,
    WAITING_BY_LEAD,
    WAITING_LATE,
    WAITING_SINCE,
)
from entrenous.model.bank import NewerBank

_NEW_IN_2: Final = (
    BANK.c.shadow,
    CLAIM.c.changed,
    CLAIM.c.changed_at,
    UPLOAD.c.would,
    UPLOAD.c.entry,
    UPLOAD.c.reference,
    UPLOAD.c.found,
    UPLOAD.c.secret_sha256,
    UPLOAD.c.upload_sha256,
    UPLOAD.c.appealed_at,
    UPLOAD.c.lead,
)
_NEW_IN_3: Final = (
    CLAIM.c.look_back_at,
    UPLOAD.c.waits_since,
    UPLOAD.c.slow_look,
    UPLOAD.c.slow_look_at,
    UPLOAD.c.slow_looks_taken,
)
_INDEXES_IN_3: Final = (UPLOADS_IN_SHADOW, WAITING_SINCE, WAITING_LATE, SLOW_LOOKS, LOOK_BACKS)
_CONFIRMED: Final = "UPDATE claim SET confirmed = changed WHERE state = 'confirmed'"
# Claims that were there get numbers in the order in which they were made.
_NUMBER_CLAIMS: Final = """
UPDATE claim SET changed = numbered.n, changed_at = claim.made_at
FROM (SELECT id, row_number() OVER (ORDER BY made_at, id) AS n FROM claim) AS numbered
WHERE numbered.id = claim.id
"""


def prepare_tables(db: sa.Connection) -> None:
    """Make what is missing, in the transaction of ``db``.

    Raises:
        NewerBank: a newer Entrenous made these tables.
    """
    version = _version(db)
    if version is not None and version > VERSION:
        raise NewerBank
    if version == 1:
        _from_version_1(db)
    if version in (1, 2):
        _add(db, *_NEW_IN_3)
        for index in _INDEXES_IN_3:
            index.create(db)
    if version in (1, 2, 3):
        _to_version_4(db, version)
    if version in (1, 2, 3, 4):
        _add(db, UPLOAD.c.first_confirmer)
    if version is not None:
        _to_version_9(db, version)
    METADATA.create_all(db)
    if version is None:
        db.execute(SCHEMA_VERSION.insert().values(version=VERSION))
    elif version < VERSION:
        db.execute(SCHEMA_VERSION.update().values(version=VERSION))


def _version(db: sa.Connection) -> int | None:
    if not sa.inspect(db).has_table(SCHEMA_VERSION.name):
        return None
    version: int | None = db.execute(sa.select(sa.func.max(SCHEMA_VERSION.c.version))).scalar()
    return version


def _from_version_1(db: sa.Connection) -> None:
    _add(db, *_NEW_IN_2)
    db.exec_driver_sql(_NUMBER_CLAIMS)
    claims_by_change = next(one for one in CLAIM.indexes if one.name == "claims_by_change")
    by_upload = WAITING_BY_ENTRY, WAITING_BY_FILE, WAITING_BY_LEAD, ACCEPTED_UPLOADS
    for index in (claims_by_change, *by_upload):
        index.create(db)


def _to_version_4(db: sa.Connection, version: int) -> None:
    """Since when a claim is confirmed was not kept: it counts as confirmed by its newest change, so
    that nothing is let through that a person confirmed last. A clip's release comes before all.
    """
    _add(db, CLAIM.c.confirmed)
    if version == 3:
        _add(db, RELEASED_FILE.c.number)
    db.exec_driver_sql(_CONFIRMED)


def _to_version_7(db: sa.Connection, version: int) -> None:
    """The table of frames is there since version 6."""
    if version == 6:
        _add(db, UPLOAD_FRAMES.c.words)
    _add(db, CLAIM_HASH.c.added)
    RELEASED_UPLOADS.create(db)


def _to_version_9(db: sa.Connection, version: int) -> None:
    if version < 7:
        _to_version_7(db, version)
    if version < 9:
        _add(db, UPLOAD.c.listed_until)
        UPLOADS_TO_REMOVE.create(db)


def _add(db: sa.Connection, *columns: sa.Column[Any]) -> None:
    compiler = db.dialect.ddl_compiler(db.dialect, None)  # type: ignore[arg-type]  # for columns
    for column in columns:
        said = compiler.get_column_specification(column)
        db.exec_driver_sql(f"ALTER TABLE {column.table.name} ADD COLUMN {said}")
