"""What a relay holds, in numbers: no id, no name, nothing of one person."""

from entrenous.carry.clock import last_sweep
from entrenous.carry.restore import restored_at
from entrenous.model.held import (
    HeldBlob,
    HeldEnvelope,
    HeldLetter,
    HeldLock,
    HeldMailbox,
    HeldShare,
    HeldToken,
    HeldUpload,
)
from entrenous.model.relay_stats import RelayStats
from entrenous.ports import MailView, Relay


async def stats_of(relay: Relay) -> RelayStats:
    """Count what is there now."""
    return await relay.mail.look(lambda view: _count(view, relay.blobs.room()))


def _count(view: MailView, room: int | None) -> RelayStats:
    blobs, blob_bytes = view.weigh(HeldBlob, "size")
    swept = last_sweep(view)
    uploads, upload_bytes = view.weigh(HeldUpload, "size")
    return RelayStats(
        mailboxes=view.count(HeldMailbox),
        locks=view.count(HeldLock),
        tokens=view.count(HeldToken),
        letters=view.count(HeldLetter),
        shares=view.count(HeldShare),
        envelopes=view.count(HeldEnvelope),
        blobs=blobs,
        blob_bytes=blob_bytes,
        uploads=uploads,
        upload_bytes=upload_bytes,
        free_bytes=room,
        restored_at=restored_at(view),
        swept_at=swept.at if swept else None,
    )
