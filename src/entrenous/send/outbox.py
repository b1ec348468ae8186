"""The outbox: sealed letters are sent in order, and stay here until the relay has stored them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar
from urllib.parse import urlsplit

from entrenous.base.errors import ClocksDiffer, EntrenousError, Expired, TooFarAhead, WaitedTooLong
from entrenous.base.identifiers import BlobId, EnvelopeId, MessageId
from entrenous.base.language import translated
from entrenous.base.limits import EXPIRY_DAYS_MAX
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.sent_messages import (
    COPY_DELIVERY_TABLE,
    CopyDelivery,
    SendState,
    UnknownMessage,
)
from entrenous.device.vault_tables import OUTBOX, Table
from entrenous.send.clock_sanity import contentless_letter_expiry
from entrenous.send.message.states import CopyEvent, next_send_state
from entrenous.wire.relay_nouns import BlobDeposit, Envelope


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """One envelope to post, with the blobs that it names.

    ``order`` is the posting order. ``blobs`` pairs the announcement of each blob with its sealed
    file in the vault. ``needs`` is the hash of our token that must be registered before this item
    is sent. The item stays until ``release_at``, the end of its undo window. ``begun`` means that
    some blobs may already be at the relay, whole or in part. ``index`` is the index of ``token`` in
    the token range from ``peer`` (``peer_key`` in device/vault_tables.py), or None outside a range.
    ``recalls`` marks a recall letter, which is sent even to blocked people.
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
        """The total size of its blobs in bytes."""
        return sum(deposit.size for deposit, _ in self.blobs)


OUTBOX_TABLE: Final = Table(OUTBOX, OutboxItem)


def store_outbox_item(item: OutboxItem, device: Device) -> None:
    """Add or replace an item. Add a new one in the transaction that moves the ratchet."""
    OUTBOX_TABLE.store(item, outbox_key(item), device.vault)


def next_outbox_order(device: Device) -> int:
    """Return the order number after all waiting items."""
    return max(map(int, OUTBOX_TABLE.keys(device.vault)), default=0) + 1


def waiting_upload_bytes(device: Device) -> int:
    """Return the total size, in bytes, of blobs waiting to be uploaded."""
    return sum(item.blob_bytes for item in outbox_items(device))


def release_message(message: MessageId, device: Device) -> None:
    """Release a message after its undo window.

    The caller measured the window, since the clock may have been set back meanwhile.
    """
    with device.vault.transaction():
        for item in outbox_items(device):
            copy = copy_in_envelope(item.envelope.id, device)
            if copy is not None and copy.message == message:
                store_outbox_item(replace(item, release_at=None), device)


def drop_outbox_items(envelopes: Collection[EnvelopeId], device: Device) -> None:
    """Drop the items with these envelopes."""
    for item in outbox_items(device):
        if item.envelope.id in envelopes:
            drop_outbox_item(item, device)


def drop_items_for_peers(peer_prefix: str, device: Device, *, but_recalls: bool = False) -> None:
    """Drop the items for a device, given its ``peer_key``, or for a person, given the start of that
    key.

    Copies among them count as refused unless they may already have left. With ``but_recalls``,
    recall letters stay. Call it in a transaction.
    """
    for item in outbox_items(device):
        stays = but_recalls and item.recalls
        if item.peer is not None and item.peer.startswith(peer_prefix) and not stays:
            if not _may_have_been_posted(item, device):
                record_copy_event(item, CopyEvent.REFUSE, device)
            drop_outbox_item(item, device)


def drop_items_handing_out_token(last_hash: bytes, device: Device) -> None:
    """Drop the items that would hand out tokens, the last of which has this hash."""
    for item in outbox_items(device):
        if item.needs == last_hash:
            drop_outbox_item(item, device)


def drop_items_handing_out_any_token(device: Device) -> None:
    """Drop all items that would hand out tokens, when none of these tokens is valid any more."""
    for item in outbox_items(device):
        if item.needs is not None:
            drop_outbox_item(item, device)


def outbox_items(device: Device) -> Iterator[OutboxItem]:
    """Yield the waiting items in order, one in memory at a time."""
    for key in OUTBOX_TABLE.keys(device.vault):
        item = OUTBOX_TABLE.load(key, device.vault)
        if item is not None:
            yield item


def copy_in_envelope(envelope: EnvelopeId, device: Device) -> CopyDelivery | None:
    """Return the sealed copy that an envelope carries; None for a greeting, a recall or similar."""
    return COPY_DELIVERY_TABLE.load(envelope.hex(), device.vault)


def _may_have_been_posted(item: OutboxItem, device: Device) -> bool:
    """Return whether the item's copy was posted without an answer; its relay will be asked about
    it.
    """
    copy = copy_in_envelope(item.envelope.id, device)
    return copy is not None and copy.departure is SendState.TRIED


def record_copy_event(item: OutboxItem, event: CopyEvent, device: Device) -> CopyDelivery | None:
    """Record an event for the copy that an item carries.

    Returns: the copy as it was before the event; None if the item carries no copy.
    """
    copy = copy_in_envelope(item.envelope.id, device)
    if copy is None:
        return None
    departure = next_send_state(copy.departure, event)
    if departure is not copy.departure:
        key = item.envelope.id.hex()
        COPY_DELIVERY_TABLE.store(replace(copy, departure=departure), key, device.vault)
    return copy


def drop_outbox_item(item: OutboxItem, device: Device) -> None:
    """Drop an item and the blobs kept for it."""
    OUTBOX_TABLE.drop(outbox_key(item), device.vault)
    for _, kept in item.blobs:
        device.vault.delete_file(kept)


def outbox_key(item: OutboxItem) -> str:
    return f"{item.order:012d}"


_EXPIRY_TOLERANCE: Final = timedelta(hours=1)  # docs/spec/relay.md section 5
ClockErrorT = TypeVar("ClockErrorT", bound=ClocksDiffer)


def with_new_expiry(
    item: OutboxItem, why: TooFarAhead | Expired, device: Device
) -> OutboxItem | None:
    """Return a letter without content (no message, but for example a hello) with a new expiry,
    after its relay refused the old one.

    Returns:
        None if the old expiry is valid by our clock, so a new one would not help.
    """
    had = item.envelope.expires_at
    if isinstance(why, Expired):
        until = contentless_letter_expiry(device)
        is_better = had <= device.clock.now()
    else:
        until = contentless_letter_expiry(device, _days_relay_keeps_letters(why))
        is_better = until < had
    envelope = replace(item.envelope, expires_at=until)
    return replace(item, envelope=envelope) if is_better else None


def expiry_refusal_error(
    why: TooFarAhead | Expired, item: OutboxItem, copy: CopyDelivery, device: Device
) -> EntrenousError:
    """Return the reason why the expiry of a copy was refused, as its sender should read it."""
    until, now = item.envelope.expires_at, device.clock.now()
    if isinstance(why, Expired) and until <= now:
        return WaitedTooLong()
    if isinstance(why, TooFarAhead):
        longest = timedelta(days=_days_relay_keeps_letters(why)) + _EXPIRY_TOLERANCE
        if until - _message_sent_at(copy, device) > longest:
            return TooFarAhead(limit_days=_days_relay_keeps_letters(why))
        if until > now + longest:
            return clock_difference_error(ClocksDiffer, why, item.relay_url, device, then=True)
    return clock_difference_error(ClocksDiffer, why, item.relay_url, device)


def clock_difference_error(
    kind: type[ClockErrorT],
    why: TooFarAhead | Expired,
    relay_url: str,
    device: Device,
    *,
    then: bool = False,
) -> ClockErrorT:
    """Return the error for a relay that accepts none of our dates.

    ``then`` says that our clock was wrong when the letter was written, and has been corrected
    since.
    """
    differs = translated("is behind") if isinstance(why, Expired) else translated("is ahead of")
    if then:
        differs = translated("was, when the message was written, ahead of")
    return kind(differs=differs, host=urlsplit(relay_url).netloc, now=device.clock.now())


def _days_relay_keeps_letters(why: TooFarAhead) -> int:
    """Return for how many days a relay keeps letters.

    The relay's answer is untrusted, so it is limited to a valid range.
    """
    days = why.facts.get("limit_days")
    return min(max(days, 1), EXPIRY_DAYS_MAX) if isinstance(days, int) else EXPIRY_DAYS_MAX


def _message_sent_at(copy: CopyDelivery, device: Device) -> datetime:
    try:
        return device.ledger.message(copy.message).sent_at
    except UnknownMessage:
        return device.clock.now()
