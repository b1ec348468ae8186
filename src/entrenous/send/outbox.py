"""The outbox: what was sealed leaves in order, and stays until the relay has it on disk."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar
from urllib.parse import urlsplit

from entrenous.base.errors import ClocksDiffer, EntrenousError, Expired, TooFarAhead, WaitedTooLong
from entrenous.base.identifiers import BlobId, EnvelopeId, MessageId
from entrenous.base.limits import EXPIRY_DAYS_MAX
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.sent_messages import Departure, SealedCopy, UnknownMessage
from entrenous.device.vault_tables import OUTBOX, SEALED, load_record, store_record
from entrenous.send.clock_sanity import plain_until
from entrenous.send.message.states import CopyEvent, next_departure
from entrenous.wire.relay_nouns import BlobDeposit, Envelope


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """One envelope to post, with the blobs that it names.

    ``order`` numbers postings in the order in which they must leave; ``blobs`` pairs what is told
    to the relay with the sealed file in the vault that holds the bytes; ``needs`` is the lock of a
    token of ours that must be registered before this leaves. Nothing of it leaves before
    ``release_at``, until which it can be undone. ``begun`` means that some of its blobs may be at
    the relay already, whole or in part. ``index`` is that of ``token`` in the window of ``peer``
    (device/vault_tables.py: ``peer_key``); None for a token of no window. ``recalls`` is of a letter that
    takes something back, which goes to who is blocked too.
    """

    order: int
    relay_url: str
    token: Secret
    envelope: Envelope
    blobs: tuple[tuple[BlobDeposit, BlobId], ...] = ()
    needs: bytes | None = None
    release_at: datetime | None = None
    begun: bool = False
    index: int | None = None
    peer: str | None = None
    recalls: bool = False

    @property
    def blob_bytes(self) -> int:
        """How many bytes its blobs have together."""
        return sum(deposit.size for deposit, _ in self.blobs)


def add_to_outbox(posting: OutboxItem, device: Device) -> None:
    """Add a posting, in the transaction that moves the ratchet; or replace it."""
    store_record(posting, OUTBOX, outbox_key(posting), device.vault)


def next_order(device: Device) -> int:
    """The number of the next posting: after all that wait."""
    return max(map(int, device.vault.keys(OUTBOX)), default=0) + 1


def waiting_bytes(device: Device) -> int:
    """How many bytes of blobs wait to be brought."""
    return sum(posting.blob_bytes for posting in outbox_items(device))


def release_message(message: MessageId, device: Device) -> None:
    """Hold nothing of a message back any more: its time to be undone is over, and was counted
    without the clock, which may have been set back meanwhile.
    """
    with device.vault.together():
        for posting in outbox_items(device):
            copy = take_copy(posting.envelope.id, device)
            if copy is not None and copy.message == message:
                add_to_outbox(replace(posting, release_at=None), device)


def drop_outbox_items(envelopes: Collection[EnvelopeId], device: Device) -> None:
    """Forget postings that have not left; they need not exist."""
    for posting in outbox_items(device):
        if posting.envelope.id in envelopes:
            drop_outbox_item(posting, device)


def refuse_outbox_items(whose: str, device: Device, *, but_recalls: bool = False) -> None:
    """Forget what waits here for a device (device/vault_tables.py: ``peer_key``), or, given the beginning
    of that, for all of a person's; copies among it count as refused, but for those that may have
    left already. Call it in a transaction.
    """
    for posting in outbox_items(device):
        goes = but_recalls and posting.recalls
        if posting.peer is not None and posting.peer.startswith(whose) and not goes:
            if not _may_have_left(posting, device):
                mark_copy(posting, CopyEvent.REFUSE, device)
            drop_outbox_item(posting, device)


def drop_promises(lock: bytes, device: Device) -> None:
    """Forget what waits here and would hand out the token of this lock."""
    for posting in outbox_items(device):
        if posting.needs == lock:
            drop_outbox_item(posting, device)


def drop_every_promise(device: Device) -> None:
    """Forget all that waits here and would hand out tokens: they are of no use any more."""
    for posting in outbox_items(device):
        if posting.needs is not None:
            drop_outbox_item(posting, device)


def outbox_items(device: Device) -> Iterator[OutboxItem]:
    """Those that wait now, in order; one of them in memory at a time."""
    for key in device.vault.keys(OUTBOX):
        posting = load_record(OutboxItem, OUTBOX, key, device.vault)
        if posting is not None:
            yield posting


def take_copy(envelope: EnvelopeId, device: Device) -> SealedCopy | None:
    """The copy that this envelope carries; None for a greeting, a recall and the like."""
    return load_record(SealedCopy, SEALED, envelope.hex(), device.vault)


def _may_have_left(posting: OutboxItem, device: Device) -> bool:
    """Whether it was tried, and no answer came: its relay is asked what became of it."""
    copy = take_copy(posting.envelope.id, device)
    return copy is not None and copy.departure is Departure.TRIED


def mark_copy(posting: OutboxItem, event: CopyEvent, device: Device) -> SealedCopy | None:
    """Note how far a copy has come; None if this posting carries none."""
    copy = take_copy(posting.envelope.id, device)
    if copy is None:
        return None
    departure = next_departure(copy.departure, event)
    if departure is not copy.departure:
        key = posting.envelope.id.hex()
        store_record(replace(copy, departure=departure), SEALED, key, device.vault)
    return copy


def drop_outbox_item(posting: OutboxItem, device: Device) -> None:
    """Forget a posting, and the blobs that are kept for it."""
    device.vault.drop(OUTBOX, outbox_key(posting))
    for _, kept in posting.blobs:
        device.vault.forget(kept)


def outbox_key(posting: OutboxItem) -> str:
    """Its key in the outbox: by order."""
    return f"{posting.order:012d}"


_GRACE: Final = timedelta(hours=1)  # beyond its days (docs/spec/relay.md section 5)
Kind = TypeVar("Kind", bound=ClocksDiffer)


def with_new_expiry(
    posting: OutboxItem, why: TooFarAhead | Expired, device: Device
) -> OutboxItem | None:
    """A letter without content, with an end that its relay may take, after it refused the one that
    it had; None if by our clock that one should do.
    """
    had = posting.envelope.expires_at
    if isinstance(why, Expired):
        until = plain_until(device)
        helps = had <= device.clock.now()
    else:
        until = plain_until(device, _kept_days(why))
        helps = until < had
    envelope = replace(posting.envelope, expires_at=until)
    return replace(posting, envelope=envelope) if helps else None


def why_refused(
    why: TooFarAhead | Expired, posting: OutboxItem, copy: SealedCopy, device: Device
) -> EntrenousError:
    """The refusal of a copy's date as its sender should read it."""
    until, now = posting.envelope.expires_at, device.clock.now()
    if isinstance(why, Expired) and until <= now:
        return WaitedTooLong()
    if isinstance(why, TooFarAhead):
        longest = timedelta(days=_kept_days(why)) + _GRACE
        if until - _sent_at(copy, device) > longest:
            return TooFarAhead(limit_days=_kept_days(why))
        if until > now + longest:
            return clocks_differ(ClocksDiffer, why, posting.relay_url, device, then=True)
    return clocks_differ(ClocksDiffer, why, posting.relay_url, device)


def clocks_differ(
    kind: type[Kind],
    why: TooFarAhead | Expired,
    relay_url: str,
    device: Device,
    *,
    then: bool = False,
) -> Kind:
    """What to say where a relay takes no date of ours; ``then``: of a clock that was wrong when
    this was written, and was set since.
    """
    differs = "is behind" if isinstance(why, Expired) else "is ahead of"
    if then:
        differs = "was, when this was written, ahead of"
    return kind(differs=differs, host=urlsplit(relay_url).netloc, now=device.clock.now())


def _kept_days(why: TooFarAhead) -> int:
    """For how many days that relay keeps letters; what it says is not trusted."""
    told = why.facts.get("limit_days")
    return min(max(told, 1), EXPIRY_DAYS_MAX) if isinstance(told, int) else EXPIRY_DAYS_MAX


def _sent_at(copy: SealedCopy, device: Device) -> datetime:
    try:
        return device.ledger.read(copy.message).sent_at
    except UnknownMessage:
        return device.clock.now()
