"""Bring a relay's database up to date with Alembic, or make it: both are the same steps.

Only Alembic's operations and its table ``alembic_version`` are used. Its environment (env.py,
alembic.ini) would hold the connection in a global, which two databases of one process would share.
"""

from pathlib import Path

import sqlalchemy as sql
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from entrenous.model.held import NewerDatabase


def upgrade(connection: sql.Connection) -> None:
    """Do all steps that this database has not seen, in the transaction of ``connection``.

    The caller began the transaction, keeps other processes out of it, and commits.

    Raises:
        NewerDatabase: it has seen a step that is not known here; nothing was done.
        sqlalchemy.exc.DBAPIError: the database; the caller rolls back.
    """
    steps, context = ScriptDirectory(Path(__file__).parent), MigrationContext.configure(connection)
    seen = context.get_current_revision()
    if seen not in {None, *(step.revision for step in steps.walk_revisions())}:
        raise NewerDatabase
    missing = list(steps.iterate_revisions("head", seen or "base"))
    operations = Operations(context)
    for step in reversed(missing):
        step.module.upgrade(operations)
    context.stamp(steps, "head")
