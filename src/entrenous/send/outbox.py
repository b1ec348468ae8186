"""The outbox: what was sealed leaves in order, and stays here until the relay has it on disk.

What can still be undone stays until its time, whatever happened meanwhile: that rule is in the
record of the posting, so that a crash lets nothing out early.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace

from entrenous.model.ids import EnvelopeId, MessageId
from entrenous.model.outbox import Posting
from entrenous.model.sealed_copy import Departure, SealedCopy
from entrenous.ports import Device
from entrenous.send.drawers import OUTBOX, SEALED, lay, take
from entrenous.send.states import CopyEvent, next_departure


def put_out(posting: Posting, device: Device) -> None:
    """Add a posting, in the transaction that moves the ratchet; or replace it."""
    lay(posting, OUTBOX, posting_key(posting), device.vault)


def next_order(device: Device) -> int:
    """The number of the next posting: after all that wait."""
    return max(map(int, device.vault.keys(OUTBOX)), default=0) + 1


def waiting_bytes(device: Device) -> int:
    """How many bytes of blobs wait to be brought."""
    return sum(posting.blob_bytes for posting in postings(device))


def let_go(message: MessageId, device: Device) -> None:
    """Hold nothing of a message back any more: its time to be undone is over, and was counted
    without the clock, which may have been set back meanwhile.
    """
    with device.vault.together():
        for posting in postings(device):
            copy = take_copy(posting.envelope.id, device)
            if copy is not None and copy.message == message:
                put_out(replace(posting, release_at=None), device)


def drop_postings(envelopes: Collection[EnvelopeId], device: Device) -> None:
    """Forget postings that have not left; they need not exist."""
    for posting in postings(device):
        if posting.envelope.id in envelopes:
            drop_posting(posting, device)


def refuse_postings(whose: str, device: Device, *, but_recalls: bool = False) -> None:
    """Forget what waits here for a device (send/drawers.py: ``peer_key``), or, given the beginning
    of that, for all of a person's; copies among it count as refused, but for those that may have
    left already. Call it in a transaction.
    """
    for posting in postings(device):
        goes = but_recalls and posting.recalls
        if posting.peer is not None and posting.peer.startswith(whose) and not goes:
            if not _may_have_left(posting, device):
                mark_copy(posting, CopyEvent.REFUSE, device)
            drop_posting(posting, device)


def drop_promises(lock: bytes, device: Device) -> None:
    """Forget what waits here and would hand out the token of this lock."""
    for posting in postings(device):
        if posting.needs == lock:
            drop_posting(posting, device)


def drop_every_promise(device: Device) -> None:
    """Forget all that waits here and would hand out tokens: they are of no use any more."""
    for posting in postings(device):
        if posting.needs is not None:
            drop_posting(posting, device)


def postings(device: Device) -> Iterator[Posting]:
    """Those that wait now, in order; one of them in memory at a time."""
    for key in device.vault.keys(OUTBOX):
        posting = take(Posting, OUTBOX, key, device.vault)
        if posting is not None:
            yield posting


def take_copy(envelope: EnvelopeId, device: Device) -> SealedCopy | None:
    """The copy that this envelope carries; None for a greeting, a recall and the like."""
    return take(SealedCopy, SEALED, envelope.hex(), device.vault)


def _may_have_left(posting: Posting, device: Device) -> bool:
    """Whether it was tried, and no answer came: its relay is asked what became of it."""
    copy = take_copy(posting.envelope.id, device)
    return copy is not None and copy.departure is Departure.TRIED


def mark_copy(posting: Posting, event: CopyEvent, device: Device) -> SealedCopy | None:
    """Note how far a copy has come; None if this posting carries none."""
    copy = take_copy(posting.envelope.id, device)
    if copy is None:
        return None
    departure = next_departure(copy.departure, event)
    if departure is not copy.departure:
        key = posting.envelope.id.hex()
        lay(replace(copy, departure=departure), SEALED, key, device.vault)
    return copy


def drop_posting(posting: Posting, device: Device) -> None:
    """Forget a posting, and the blobs that are kept for it."""
    device.vault.drop(OUTBOX, posting_key(posting))
    for _, kept in posting.blobs:
        device.vault.forget(kept)


def posting_key(posting: Posting) -> str:
    """Its key in the outbox: by order."""
    return f"{posting.order:012d}"
