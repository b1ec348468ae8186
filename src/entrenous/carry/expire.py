"""What the relay keeps, and for how long (docs/spec/relay.md section 8).

| what | until |
| --- | --- |
| sealed bytes | delivered, taken back or expired |
| share, attempts, blobs of an envelope | used up, taken back or expired |
| a blob that no envelope names | 24 hours, or its own expiry |
| a tombstone (id, locks, digest, state, count, times) | 30 days after the content went |
| an id that was taken back before anything came under it | an hour |
| a send token | withdrawn, used up or expired |
| a one-time key | handed out; then its hash for 30 days, so that it is never handed out again |
| a count of openings that several devices share | its envelopes expired |
| a blob of which a part is here | it is whole, or its rest has not come in time |
| when the relay was restored from a backup | it is restored again |
| card, lasting prekeys, mailbox, unlock key | replaced; as long as the mailbox is there |
| that a mailbox was deleted (its name) | 30 days, so that nobody else takes it |
| when it was last looked what is due | it is looked again |

An envelope expires 30 days after it was posted at the latest. :func:`forget_due` runs every
minute, and beside it leftovers.py removes the bytes of blobs; whoever asks for something that is
due in between is told that it has expired, and gets nothing. By a clock that cannot be right
nothing expires (clock.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from entrenous.carry.clock import note_clock, refuse_ahead, refuse_far
from entrenous.carry.leftovers import noted, remove_soon
from entrenous.carry.moment import now
from entrenous.carry.states import Event, step
from entrenous.model.envelope import EnvelopeState
from entrenous.model.held import (
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
from entrenous.model.ids import EnvelopeId
from entrenous.ports import MailDesk, Relay
from entrenous.spec import GONE_DAYS, TOMBSTONE_DAYS

_TOMBSTONE: Final = timedelta(days=TOMBSTONE_DAYS)
_FEW: Final = 50  # envelopes with all that they have
_MANY: Final = 500  # rows
_BATCH: Final = 100  # rows in one transaction, so that posting never waits long behind a sweep

#: When the name of a mailbox is free again that is not empty yet.
EMPTYING: Final = datetime(9999, 12, 31, tzinfo=UTC)


async def forget_due(relay: Relay) -> None:
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
        refuse_far(await relay.mail.together(lambda desk: note_clock(desk, present)), present)
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

    def work(desk: MailDesk) -> None:
        held = desk.get(HeldEnvelope, envelope)
        if held is not None:
            lapse(desk, held, now(relay))

    _, left = await relay.mail.together(noted(work))
    await remove_soon(left, relay)


def lapse(desk: MailDesk, held: HeldEnvelope, present: datetime) -> HeldEnvelope:
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


def close(desk: MailDesk, held: HeldEnvelope, event: Event, present: datetime) -> HeldEnvelope:
    """Forget an envelope's content for ever, because of ``event``; a tombstone is left."""
    ended = replace(held, state=step(held.state, event, held.expires_at))
    return bury(desk, ended, present)


def use_up(desk: MailDesk, held: HeldEnvelope, present: datetime) -> None:
    """Forget what nobody may open any more; a device that has not fetched its letter still gets
    it, so that its person is told.
    """
    if held.state is EnvelopeState.WAITING and desk.get(HeldLetter, held.envelope) is not None:
        _drop_content(desk, held, present)
    else:
        close(desk, held, Event.USE_UP, present)


def bury(desk: MailDesk, held: HeldEnvelope, present: datetime) -> HeldEnvelope:
    """Drop whatever there still is; the tombstone's days count from the first time."""
    desk.drop(HeldLetter, held.envelope)
    _drop_content(desk, held, present)
    closed_at = held.closed_at or present
    buried = replace(held, closed_at=closed_at, due_at=closed_at + _TOMBSTONE)
    desk.put(buried)
    return buried


def _drop_content(desk: MailDesk, held: HeldEnvelope, present: datetime) -> None:
    desk.drop(HeldShare, held.envelope)
    for attempt in desk.find(HeldAttempt, envelope=held.envelope):
        desk.drop(HeldAttempt, held.envelope, attempt.attempt)
    for blob in desk.find(HeldBlob, envelope=held.envelope):
        forget_blob(desk, blob, present)


def forget_blob(desk: MailDesk, blob: HeldBlob, present: datetime) -> None:
    """Drop a blob's row; its bytes become a leftover that is due at once."""
    desk.drop(HeldBlob, blob.blob)
    desk.put(Leftover(blob.name, present))


def forget_upload(desk: MailDesk, upload: HeldUpload, present: datetime) -> None:
    """Drop the row of a blob that is not whole; its bytes become a leftover that is due at once."""
    desk.drop(HeldUpload, upload.blob)
    desk.put(Leftover(upload.name, present))


def empty_some(desk: MailDesk, gone: GoneMailbox, present: datetime) -> bool:
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


def _empty_any(desk: MailDesk, present: datetime) -> bool:
    """The same for a mailbox that is not empty yet; False if there is none."""
    for gone in desk.find(GoneMailbox, 1, due_at=EMPTYING):
        empty_some(desk, gone, present)
        return True
    return False


def _revoke(desk: MailDesk, row: HeldShare | HeldLetter, present: datetime) -> None:
    held = desk.get(HeldEnvelope, row.envelope)
    if held is not None:
        close(desk, held, Event.REVOKE, present)
    desk.drop(type(row), row.envelope)


def _revoke_blob(desk: MailDesk, blob: HeldBlob, present: datetime) -> None:
    held = desk.get(HeldEnvelope, blob.envelope) if blob.envelope else None
    if held is not None:
        close(desk, held, Event.REVOKE, present)
    if desk.get(HeldBlob, blob.blob) is not None:
        forget_blob(desk, blob, present)


def _end_key(desk: MailDesk, row: Any, _: datetime) -> None:
    desk.drop(type(row), *(getattr(row, name) for name in HELD[type(row)]))


def _end_envelope(desk: MailDesk, held: HeldEnvelope, present: datetime) -> None:
    if _is_over(held, present):
        close(desk, held, Event.EXPIRE, present)
    elif held.closed_at is not None:
        desk.drop(HeldEnvelope, held.envelope)


def _end_token(desk: MailDesk, held: HeldToken, _: datetime) -> None:
    desk.drop(HeldToken, held.mailbox, held.lock)


def _end_gone(desk: MailDesk, gone: GoneMailbox, _: datetime) -> None:
    desk.drop(GoneMailbox, gone.mailbox)


def _end_group(desk: MailDesk, group: HeldGroup, _: datetime) -> None:
    desk.drop(HeldGroup, group.group)


def _end_spent_key(desk: MailDesk, key: SpentKey, _: datetime) -> None:
    desk.drop(SpentKey, key.mailbox, key.device, key.digest)


_ENDS: Final[Mapping[type[Any], Callable[[MailDesk, Any, datetime], None]]] = {
    HeldEnvelope: _end_envelope,
    HeldBlob: forget_blob,
    HeldToken: _end_token,
    SpentKey: _end_spent_key,
    GoneMailbox: _end_gone,
    HeldGroup: _end_group,
    HeldUpload: forget_upload,
}

#: What goes with its mailbox, how many at once, and how. Uploads before the blobs they become.
_REMAINS: Final[tuple[tuple[type[Any], int, Callable[[MailDesk, Any, datetime], None]], ...]] = (
    (HeldShare, _FEW, _revoke),
    (HeldLetter, _FEW, _revoke),
    (HeldUpload, _MANY, forget_upload),
    (HeldBlob, _FEW, _revoke_blob),
    (HeldToken, _MANY, _end_token),
    (HeldKey, _MANY, _end_key),
    (SpentKey, _MANY, _end_spent_key),
    (LastingKeys, _MANY, _end_key),
)


def _sweep(desk: MailDesk, present: datetime) -> int:
    """End a batch of each kind; how many rows that were."""
    due = [(row, end) for kind, end in _ENDS.items() for row in desk.due(kind, present, _BATCH)]
    for row, end in due:
        end(desk, row, present)
    return len(due)
