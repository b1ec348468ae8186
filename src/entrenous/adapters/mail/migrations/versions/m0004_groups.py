"""A group for each counted share that has none, and the index of groups.

Step 0002 was published first without that index, and with a relay that counted the openings of a
share at its envelope alone: what was posted to that one has no group, and nobody could open it.
"""

import sqlalchemy as sql
from alembic.operations import Operations

revision = "0004"
down_revision = "0003"

_SHARE = sql.table("held_share", *map(sql.column, ("envelope", "opens", "group")))
_ENVELOPE = sql.table("held_envelope", *map(sql.column, ("envelope", "opened", "expires_at")))
_GROUP = sql.table("held_group", *map(sql.column, ("group", "opens", "opened", "due_at")))
_ALONE = _SHARE.c.opens.is_not(None) & _SHARE.c.group.is_(None)


def upgrade(op: Operations) -> None:
    """Count each such share in a group of its own, from as often as it was opened."""
    op.execute(_counted())
    op.execute(sql.update(_SHARE).where(_ALONE).values(group=_SHARE.c.envelope))
    op.create_index("held_share_by_group", "held_share", ["group"], if_not_exists=True)


def _counted() -> sql.Insert:
    held = sql.select(_SHARE.c.envelope, _SHARE.c.opens, _ENVELOPE.c.opened, _ENVELOPE.c.expires_at)
    held = held.join_from(_SHARE, _ENVELOPE, _SHARE.c.envelope == _ENVELOPE.c.envelope)
    return sql.insert(_GROUP).from_select(list(_GROUP.c), held.where(_ALONE))
