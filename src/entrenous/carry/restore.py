"""What a relay forgets after it was restored from a backup (docs/spec/relay.md section 12)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from entrenous.carry.envelope_states import Event
from entrenous.carry.expire import bury, close, forget_blob, forget_upload, remove_orphan_blobs
from entrenous.carry.relay import Relay, RowTransaction, RowView, now
from entrenous.carry.relay_rows import (
    HELD,
    HeldAttempt,
    HeldBlob,
    HeldEnvelope,
    HeldGroup,
    HeldKey,
    HeldRestore,
    HeldShare,
    HeldUpload,
)

_BATCH: Final = 500  # rows in one transaction
#: What can't be trusted any more, or has lost its bytes.
_DOUBTFUL: Final[tuple[type[Any], ...]] = (HeldAttempt, HeldKey)


async def close_after_restore(relay: Relay, missing: frozenset[str], *, with_shares: bool) -> int:
    """Forget what may have ended since the backup; how many copies were lost by that.

    Args:
        relay: one that was just put back and serves nobody yet.
        missing: names of blobs whose bytes are not in the backup: they had gone meanwhile.
        with_shares: keep shares and one-time keys; then what was taken back after the backup may
            be opened again.
    """
    present, lost = now(relay), 0
    while await relay.mail.together(lambda desk: _drop_uploads(desk, present)):
        pass
    while not with_shares and (ended := await relay.mail.together(lambda d: _end(d, present))):
        lost += ended
    while not with_shares and await relay.mail.together(_drop_doubtful):
        pass
    if not with_shares:
        await _use_up_groups(relay)
    lost += await relay.mail.together(lambda desk: _end_missing(desk, missing, present))
    await relay.mail.together(lambda desk: desk.put(HeldRestore(1, present)))
    try:
        await remove_orphan_blobs(relay)
    finally:
        await relay.mail.scrub()
    return lost


def restored_at(view: RowView) -> datetime | None:
    """When this relay was last restored from a backup."""
    held = view.get(HeldRestore, 1)
    return held.restored_at if held else None


def _drop_uploads(desk: RowTransaction, present: datetime) -> int:
    """Uploads that were not whole are in no backup."""
    uploads = desk.find(HeldUpload, _BATCH)
    for upload in uploads:
        forget_upload(desk, upload, present)
    return len(uploads)


def _end(desk: RowTransaction, present: datetime) -> int:
    """End a batch of the envelopes that have a share; a share without one is dropped."""
    shares = desk.find(HeldShare, _BATCH)
    for share in shares:
        held = desk.get(HeldEnvelope, share.envelope)
        if held is not None and held.closed_at is None:
            close(desk, held, Event.RESTORE, present)
        else:
            desk.drop(HeldShare, share.envelope)
    return len(shares)


def _drop_doubtful(desk: RowTransaction) -> bool:
    """Drop a batch of each kind; whether there was any."""
    rows = [row for kind in _DOUBTFUL for row in desk.find(kind, _BATCH)]
    for row in rows:
        desk.drop(type(row), *(getattr(row, name) for name in HELD[type(row)]))
    return bool(rows)


async def _use_up_groups(relay: Relay) -> None:
    """From now on nothing is given out that joins a group which was there at the backup."""
    groups = await relay.mail.look(lambda view: view.find(HeldGroup))
    for some in _batches(groups):
        await relay.mail.together(partial(_use_up, groups=some))


def _use_up(desk: RowTransaction, groups: list[HeldGroup]) -> None:
    for group in groups:
        desk.put(replace(group, opened=group.opens))


def _batches(groups: list[HeldGroup]) -> Iterator[list[HeldGroup]]:
    for start in range(0, len(groups), _BATCH):
        yield groups[start : start + _BATCH]


def _end_missing(desk: RowTransaction, missing: frozenset[str], present: datetime) -> int:
    """End what names a blob that is not there: it was used up, taken back or expired meanwhile."""
    ended = 0
    for blob in (blob for name in missing for blob in desk.find(HeldBlob, name=name)):
        held = desk.get(HeldEnvelope, blob.envelope) if blob.envelope else None
        if held is None:
            forget_blob(desk, blob, present)
        elif held.closed_at is None:
            close(desk, held, Event.RESTORE, present)
            ended += 1
        else:
            bury(desk, held, present)
    return ended
