"""How long the relay keeps what, and how it ends: rows, then the bytes of blobs without rows
(docs/spec/relay.md section 8).
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import EnvelopeId
from entrenous.base.limits import GONE_DAYS, TOMBSTONE_DAYS
from entrenous.carry.envelope_states import Event, step
from entrenous.carry.relay import (
    Relay,
    RowTransaction,
    note_sweep,
    now,
    refuse_ahead,
    refuse_far,
    wait_allowed,
)
from entrenous.carry.relay_rows import (
    HELD,
    GoneMailbox,
    HeldAttempt,
    HeldBlob,
    HeldEnvelope,
    HeldGroup,
    HeldKey,
    HeldLetter,
    HeldShare,
    HeldToken,
    HeldUpload,
    LastingKeys,
    Leftover,
    SpentKey,
)
from entrenous.wire.relay_nouns import EnvelopeState

_TOMBSTONE: Final = timedelta(days=TOMBSTONE_DAYS)
_FEW: Final = 50  # envelopes with all that they have
_MANY: Final = 500  # rows
_BATCH: Final = 100  # rows in one transaction, so that posting never waits long behind a sweep
#: When the name of a mailbox is free again that is not empty yet.
EMPTYING: Final = datetime(9999, 12, 31, tzinfo=UTC)


async def expire_due(relay: Relay) -> None:
    """Forget every row whose time has come, and what the database still has of dropped ones.

    It waits for no blob, since a bucket that is away must not keep deleted letters on a disk; and
    what could not be forgotten does not keep there what could.

    Raises:
        DiskFailed, DiskFull, DatabaseAway: something is left, which the next time tries again.
        RelayClockAhead: nothing was ended but what somebody had deleted.
    """
    present = now(relay)  # one for all of it: the clock may be set meanwhile
    try:
        while await relay.mail.together(lambda desk: _empty_any(desk, present)):
            pass  # whoever deleted that mailbox was not told of its end: the relay crashed
        refuse_far(await relay.mail.together(lambda desk: note_sweep(desk, present)), present)
        while await relay.mail.together(lambda desk: _sweep(desk, present)):
            pass
    except Exception:  # a cancellation is none: a relay that stops does not wait for this
        await relay.mail.scrub()
        raise
    await relay.mail.scrub()


async def expire_envelope(envelope: EnvelopeId, relay: Relay) -> None:
    """Forget one envelope's content now, if it is due; somebody has just asked for it.

    Raises:
        RelayClockAhead: by this clock nobody knows whether it is.
    """

    def work(desk: RowTransaction) -> None:
        held = desk.get(HeldEnvelope, envelope)
        if held is not None:
            lapse(desk, held, now(relay))

    _, left = await relay.mail.together(noted(work))
    await remove_soon(left, relay)


def lapse(desk: RowTransaction, held: HeldEnvelope, present: datetime) -> HeldEnvelope:
    """The envelope as it is now: expired, if its time has come and its content was still there.

    Raises:
        RelayClockAhead: by this clock nobody knows whether it has.
    """
    if not _is_over(held, present):
        return held
    refuse_ahead(desk, present)
    return close(desk, held, Event.EXPIRE, present)


def _is_over(held: HeldEnvelope, present: datetime) -> bool:
    return held.closed_at is None and present >= held.expires_at


def close(
    desk: RowTransaction, held: HeldEnvelope, event: Event, present: datetime
) -> HeldEnvelope:
    """Forget an envelope's content for ever, because of ``event``; a tombstone is left."""
    ended = replace(held, state=step(held.state, event, held.expires_at))
    return bury(desk, ended, present)


def use_up(desk: RowTransaction, held: HeldEnvelope, present: datetime) -> None:
    """Forget what nobody may open any more; a device that has not fetched its letter still gets
    it, so that its person is told.
    """
    if held.state is EnvelopeState.WAITING and desk.get(HeldLetter, held.envelope) is not None:
        _drop_content(desk, held, present)
    else:
        close(desk, held, Event.USE_UP, present)


def bury(desk: RowTransaction, held: HeldEnvelope, present: datetime) -> HeldEnvelope:
    """Drop whatever there still is; the tombstone's days count from the first time."""
    desk.drop(HeldLetter, held.envelope)
    _drop_content(desk, held, present)
    closed_at = held.closed_at or present
    buried = replace(held, closed_at=closed_at, due_at=closed_at + _TOMBSTONE)
    desk.put(buried)
    return buried


def _drop_content(desk: RowTransaction, held: HeldEnvelope, present: datetime) -> None:
    desk.drop(HeldShare, held.envelope)
    for attempt in desk.find(HeldAttempt, envelope=held.envelope):
        desk.drop(HeldAttempt, held.envelope, attempt.attempt)
    for blob in desk.find(HeldBlob, envelope=held.envelope):
        forget_blob(desk, blob, present)


def forget_blob(desk: RowTransaction, blob: HeldBlob, present: datetime) -> None:
    """Drop a blob's row; its bytes become a leftover that is due at once."""
    desk.drop(HeldBlob, blob.blob)
    desk.put(Leftover(blob.name, present))


def forget_upload(desk: RowTransaction, upload: HeldUpload, present: datetime) -> None:
    """Drop the row of a blob that is not whole; its bytes become a leftover that is due at once."""
    desk.drop(HeldUpload, upload.blob)
    desk.put(Leftover(upload.name, present))


def empty_some(desk: RowTransaction, gone: GoneMailbox, present: datetime) -> bool:
    """Drop a part of what lies in a deleted mailbox; False if nothing was left.

    In parts, so that nobody stops a relay by deleting much. What may be opened goes first.
    """
    if gone.due_at != EMPTYING:
        return False
    for kind, most, end in _REMAINS:
        if rows := desk.find(kind, most, mailbox=gone.mailbox):
            for row in rows:
                end(desk, row, present)
            return True
    desk.put(replace(gone, due_at=present + timedelta(days=GONE_DAYS)))
    return False


def _empty_any(desk: RowTransaction, present: datetime) -> bool:
    """The same for a mailbox that is not empty yet; False if there is none."""
    for gone in desk.find(GoneMailbox, 1, due_at=EMPTYING):
        empty_some(desk, gone, present)
        return True
    return False


def _revoke(desk: RowTransaction, row: HeldShare | HeldLetter, present: datetime) -> None:
    held = desk.get(HeldEnvelope, row.envelope)
    if held is not None:
        close(desk, held, Event.REVOKE, present)
    desk.drop(type(row), row.envelope)


def _revoke_blob(desk: RowTransaction, blob: HeldBlob, present: datetime) -> None:
    held = desk.get(HeldEnvelope, blob.envelope) if blob.envelope else None
    if held is not None:
        close(desk, held, Event.REVOKE, present)
    if desk.get(HeldBlob, blob.blob) is not None:
        forget_blob(desk, blob, present)


def _end_key(desk: RowTransaction, row: Any, _: datetime) -> None:
    desk.drop(type(row), *(getattr(row, name) for name in HELD[type(row)]))


def _end_envelope(desk: RowTransaction, held: HeldEnvelope, present: datetime) -> None:
    if _is_over(held, present):
        close(desk, held, Event.EXPIRE, present)
    elif held.closed_at is not None:
        desk.drop(HeldEnvelope, held.envelope)


def _end_token(desk: RowTransaction, held: HeldToken, _: datetime) -> None:
    desk.drop(HeldToken, held.mailbox, held.lock)


def _end_gone(desk: RowTransaction, gone: GoneMailbox, _: datetime) -> None:
    desk.drop(GoneMailbox, gone.mailbox)


def _end_group(desk: RowTransaction, group: HeldGroup, _: datetime) -> None:
    desk.drop(HeldGroup, group.group)


def _end_spent_key(desk: RowTransaction, key: SpentKey, _: datetime) -> None:
    desk.drop(SpentKey, key.mailbox, key.device, key.digest)


_ENDS: Final[Mapping[type[Any], Callable[[RowTransaction, Any, datetime], None]]] = {
    HeldEnvelope: _end_envelope,
    HeldBlob: forget_blob,
    HeldToken: _end_token,
    SpentKey: _end_spent_key,
    GoneMailbox: _end_gone,
    HeldGroup: _end_group,
    HeldUpload: forget_upload,
}
#: What goes with its mailbox, how many at once, and how. Uploads before the blobs they become.
_REMAINS: Final[
    tuple[tuple[type[Any], int, Callable[[RowTransaction, Any, datetime], None]], ...]
] = (
    (HeldShare, _FEW, _revoke),
    (HeldLetter, _FEW, _revoke),
    (HeldUpload, _MANY, forget_upload),
    (HeldBlob, _FEW, _revoke_blob),
    (HeldToken, _MANY, _end_token),
    (HeldKey, _MANY, _end_key),
    (SpentKey, _MANY, _end_spent_key),
    (LastingKeys, _MANY, _end_key),
)


def _sweep(desk: RowTransaction, present: datetime) -> int:
    """End a batch of each kind; how many rows that were."""
    due = [(row, end) for kind, end in _ENDS.items() for row in desk.due(kind, present, _BATCH)]
    for row, end in due:
        end(desk, row, present)
    return len(due)


Answer = TypeVar("Answer")
_AGAIN: Final = timedelta(minutes=1)  # by the next sweep
_FAILED_MAX: Final = 3  # as many, and it is the store that is away; each may have taken minutes
_SOON_S: Final = 2.0  # for all that one request left over


def noted(
    work: Callable[[RowTransaction], Answer],
) -> Callable[[RowTransaction], tuple[Answer, list[str]]]:
    """The same work, which also tells the names that it left over, for :func:`remove_soon`."""

    def noting(desk: RowTransaction) -> tuple[Answer, list[str]]:
        seen = _Noting(desk)
        return work(seen), seen.names

    return noting


async def remove_soon(names: Iterable[str], relay: Relay) -> None:
    """Delete the bytes that a request has just left over, as far as the store does so at once."""
    gone = list[str]()
    with suppress(EntrenousError, TimeoutError):
        async with wait_allowed(_SOON_S):
            for name in names:
                await relay.blobs.drop(name)
                gone.append(name)
    if gone:
        with suppress(EntrenousError):
            await relay.mail.together(partial(_forget, names=gone))


async def remove_orphan_blobs(relay: Relay) -> None:
    """Delete the bytes that are due; what fails is due again a minute later.

    Raises:
        DiskFailed, DiskFull: of the first name that failed; all others were tried, unless a third
            one failed too.
    """
    present, failed = now(relay), list[EntrenousError]()
    while len(failed) < _FAILED_MAX and (
        names := await relay.mail.look(lambda view: view.due(Leftover, present, _BATCH))
    ):
        gone, stuck = list[str](), list[Leftover]()
        for leftover in names:
            try:
                await relay.blobs.drop(leftover.name)
            except EntrenousError as why:
                failed.append(why)
                stuck.append(leftover)
                if len(failed) == _FAILED_MAX:
                    break
            else:
                gone.append(leftover.name)
        await relay.mail.together(partial(_note, gone=gone, stuck=stuck, again=present + _AGAIN))
    if failed:
        raise failed[0]


class _Noting:
    """A desk that writes down which names are left over."""

    def __init__(self, desk: RowTransaction) -> None:
        self.names = list[str]()
        self._put, self.drop = desk.put, desk.drop
        self.get, self.find, self.count = desk.get, desk.find, desk.count
        self.weigh, self.letters, self.due = desk.weigh, desk.letters, desk.due

    def put(self, row: object) -> None:
        if isinstance(row, Leftover):
            self.names.append(row.name)
        self._put(row)


def _forget(desk: RowTransaction, names: list[str]) -> None:
    for name in names:
        desk.drop(Leftover, name)


def _note(desk: RowTransaction, gone: list[str], stuck: list[Leftover], again: datetime) -> None:
    _forget(desk, gone)
    for leftover in stuck:
        if desk.get(Leftover, leftover.name) is not None:  # nobody else removed it meanwhile
            desk.put(replace(leftover, due_at=again))
