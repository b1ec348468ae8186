"""What the relay keeps, and for how long (docs/spec/relay.md section 8).

| what | until |
| --- | --- |
| sealed bytes | delivered, taken back or expired |
| share, attempts, blobs of an envelope | used up, taken back or expired |
| a blob that no envelope names | 24 hours, or its own expiry |
| a tombstone (id, locks, digest, state, count, times) | 30 days after the content went |
| a send token | withdrawn, used up or expired |
| a one-time key | handed out; then its hash for 30 days, so that it is never handed out again |
| a count of openings that several devices share | its envelopes expired |
| a blob of which a part is here | it is whole, or its rest has not come in time |
| when the relay was restored from a backup | it is restored again |
| card, lasting prekeys, mailbox, unlock key | replaced; as long as the mailbox is there |
| that a mailbox was deleted (its name) | 30 days, so that nobody else takes it |

An envelope expires 30 days after it was posted at the latest. :func:`expire` runs every minute;
whoever asks for something that is due in between is told that it has expired, and gets nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from entrenous.carry.moment import now
from entrenous.carry.states import Event, step
from entrenous.model.held import (
    GoneMailbox,
    HeldAttempt,
    HeldBlob,
    HeldEnvelope,
    HeldGroup,
    HeldLetter,
    HeldShare,
    HeldToken,
    HeldUpload,
    Leftover,
    SpentKey,
)
from entrenous.model.ids import EnvelopeId
from entrenous.ports import MailDesk, Relay
from entrenous.spec import TOMBSTONE_DAYS

_TOMBSTONE: Final = timedelta(days=TOMBSTONE_DAYS)
_BATCH: Final = 100  # rows in one transaction, so that posting never waits long behind a sweep


async def expire(relay: Relay) -> None:
    """Forget everything whose time has come, down to the bytes on the medium."""
    while await relay.mail.together(lambda desk: _sweep(desk, now(relay))):
        pass
    await remove_leftovers(relay)
    await relay.mail.scrub()


async def expire_envelope(envelope: EnvelopeId, relay: Relay) -> None:
    """Forget one envelope's content now, if it is due; somebody has just asked for it."""

    def work(desk: MailDesk) -> None:
        held = desk.get(HeldEnvelope, envelope)
        if held is not None:
            lapse(desk, held, now(relay))

    await relay.mail.together(work)
    await remove_leftovers(relay)


async def remove_leftovers(relay: Relay) -> None:
    """Delete the bytes of blobs whose rows are gone; the next sweep tries again what fails."""
    present = now(relay)
    while names := await relay.mail.look(lambda view: view.due(Leftover, present, _BATCH)):
        for leftover in names:
            await relay.blobs.drop(leftover.name)
        await relay.mail.together(partial(_cross_out, gone=names))


def lapse(desk: MailDesk, held: HeldEnvelope, present: datetime) -> HeldEnvelope:
    """The envelope as it is now: expired, if its time has come and its content was still there."""
    if held.closed_at is not None or present < held.expires_at:
        return held
    return close(desk, held, Event.EXPIRE, present)


def close(desk: MailDesk, held: HeldEnvelope, event: Event, present: datetime) -> HeldEnvelope:
    """Forget an envelope's content for ever, because of ``event``; a tombstone is left."""
    ended = replace(held, state=step(held.state, event, held.expires_at))
    return bury(desk, ended, present)


def bury(desk: MailDesk, held: HeldEnvelope, present: datetime) -> HeldEnvelope:
    """Drop whatever content there still is; the tombstone's days count from the first time."""
    desk.drop(HeldLetter, held.envelope)
    desk.drop(HeldShare, held.envelope)
    for attempt in desk.find(HeldAttempt, envelope=held.envelope):
        desk.drop(HeldAttempt, held.envelope, attempt.attempt)
    for blob in desk.find(HeldBlob, envelope=held.envelope):
        forget_blob(desk, blob, present)
    closed_at = held.closed_at or present
    buried = replace(held, closed_at=closed_at, due_at=closed_at + _TOMBSTONE)
    desk.put(buried)
    return buried


def forget_blob(desk: MailDesk, blob: HeldBlob, present: datetime) -> None:
    """Drop a blob's row; its bytes become a leftover that is due at once."""
    desk.drop(HeldBlob, blob.blob)
    desk.put(Leftover(blob.name, present))


def forget_upload(desk: MailDesk, upload: HeldUpload, present: datetime) -> None:
    """Drop the row of a blob that is not whole; its bytes become a leftover that is due at once."""
    desk.drop(HeldUpload, upload.blob)
    desk.put(Leftover(upload.name, present))


def _end_envelope(desk: MailDesk, held: HeldEnvelope, present: datetime) -> None:
    if held.closed_at is None:
        lapse(desk, held, present)
    else:
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


def _sweep(desk: MailDesk, present: datetime) -> int:
    """End a batch of each kind; how many rows that were."""
    due = [(row, end) for kind, end in _ENDS.items() for row in desk.due(kind, present, _BATCH)]
    for row, end in due:
        end(desk, row, present)
    return len(due)


def _cross_out(desk: MailDesk, gone: list[Leftover]) -> None:
    for leftover in gone:
        desk.drop(Leftover, leftover.name)
