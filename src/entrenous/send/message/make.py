"""Make a message: mark copies of the files for each device, seal and record these copies, and put
them into the outbox. Each device's content is sealed under a key made from two shares
(docs/spec/content.md).
"""

import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from entrenous.base.copies import Copy
from entrenous.base.errors import TooLarge
from entrenous.base.identifiers import (
    ID_BYTES,
    BlobId,
    DeviceId,
    EnvelopeId,
    MessageId,
    MessageName,
    PersonId,
    RecipientId,
)
from entrenous.base.limits import BLOB_BYTES_MAX
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import encrypt_stream
from entrenous.crypto.hashing import HashingWriter, mark_commitment, token_hash
from entrenous.crypto.key_derivation import blob_key, content_key, share_group_id
from entrenous.crypto.nouns import BlobRef
from entrenous.device.device import Device
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, CopyDelivery, Message
from entrenous.send.formats.message_format import (
    padded_length,
    padded_reader,
    write_frame,
    write_manifest,
)
from entrenous.send.guard import record_message_recipients
from entrenous.send.letter.letter_nouns import (
    ContentFile,
    Manifest,
    MessageFileEntry,
    MessageFrame,
    MessageReference,
    PersonDeviceListHead,
)
from entrenous.send.letter.write import Addressee, OuterLetterParts, seal_and_queue_letter
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.message.prepared_files import PreparedFiles
from entrenous.send.message.transfer_progress import ByteCounter, TransferStage, TransferWatch
from entrenous.send.message_index import index_copy
from entrenous.wire.receipt import write_committed_mark
from entrenous.wire.relay_nouns import BlobDeposit, ShareDeposit

if TYPE_CHECKING:
    from entrenous.send.copies.picture_copies import MarkedCopy


@dataclass(frozen=True, slots=True)
class MessageLetterParts:
    manifest: Manifest
    outer: OuterLetterParts


@dataclass(frozen=True, slots=True)
class _SealedDeviceCopies:
    """One device's sealed copies, in the order of the draft's files."""

    to: Addressee
    sealed: MessageLetterParts
    copies: tuple[Copy, ...]


@dataclass(frozen=True, slots=True)
class SendingContext:
    """Data that all copies of one message share.

    ``groups`` is the secret from which the ids of share groups are derived. A share group is all
    copies for one person, whose openings a relay counts together.

    ``sent_at`` has the clock's full precision, so that the ledger keeps the order of messages sent
    within one second; recipients get whole seconds.
    """

    message: MessageId
    name: MessageName
    sent_at: datetime
    policy: MessagePolicy
    audience: tuple[tuple[PersonId, DeviceId], ...]
    heads: tuple[PersonDeviceListHead, ...]
    groups: Secret
    reply: MessageReference | None = None
    circle: bytes | None = None


def seal_and_queue_message(  # noqa: PLR0913, PLR0917 - all that a message is made of
    draft: Draft,
    prepared: PreparedFiles,
    to: tuple[Addressee, ...],
    sending: SendingContext,
    device: Device,
    watch: TransferWatch,
) -> datetime | None:
    """Make, seal, record and queue all copies of a message. Return when the message may be sent;
    None means at once.

    Call it in a transaction.

    Raises:
        TooLarge, LetterTooLong, DeviceWithoutRelay, RolledBack, UnlockNotConfirmed.
        KeyboardInterrupt: ``watch`` noticed that the person stopped the transfer.
    """
    making = _MessageInProgress(draft, prepared, sending, device)
    making.seal_all_copies(to, watch)
    return making.record_and_queue()


@dataclass(slots=True)
class _MessageInProgress:
    """The copies of one message that have been made so far; ``record_and_queue`` records them."""

    draft: Draft
    prepared: PreparedFiles
    sending: SendingContext
    device: Device
    made: list[_SealedDeviceCopies] = field(default_factory=list)

    def seal_all_copies(self, to: tuple[Addressee, ...], watch: TransferWatch) -> None:
        """Make and encrypt the copies for one device at a time, to save memory."""
        size = sum(map(len, self.draft.files))
        marking = ByteCounter(TransferStage.MARKING, size * len(to), watch)
        sealing = ByteCounter(TransferStage.SEALING, size * len(to), watch)
        for one, copies in zip(to, self._make_copies(len(to), marking), strict=True):
            self.made.append(self._seal_for_device(one, copies))
            sealing.add(size)

    def _make_copies(self, people: int, marking: ByteCounter) -> Iterator[tuple["MarkedCopy", ...]]:
        with closing(self.prepared.make_copies(people, self.device, marking)) as copies:
            yield from copies

    def _seal_for_device(
        self, to: Addressee, made: tuple["MarkedCopy", ...]
    ) -> _SealedDeviceCopies:
        copies = tuple(_make_ledger_copy(to, one, self.device) for one in made)
        files = tuple(
            FileForDevice(
                ContentFile(shape.media_type, one.data, shape.role),
                mark_commitment(write_committed_mark(self.sending.message, place, copy)),
            )
            for place, (shape, one, copy) in enumerate(
                zip(self.prepared.copy_formats, made, copies, strict=True), start=1
            )
        )
        return _SealedDeviceCopies(
            to,
            seal_content(files, self.draft.text_or_caption, to, self.sending, self.device),
            copies,
        )

    def record_and_queue(self) -> datetime | None:
        """Record the message and put its letters into the outbox; return when they may be sent."""
        device, message = self.device, self._ledger_message_with_stored_originals()
        device.ledger.store_message(message)
        record_message_recipients(message, self.draft, device)
        self.prepared.store_features(message.id, device)
        wait = timedelta(seconds=self.draft.undo_s)
        release_at = device.clock.now() + wait if wait else None
        for one in self.made:
            outer = replace(one.sealed.outer, release_at=release_at)
            seal_and_queue_letter(one.sealed.manifest, one.to, outer, device)
            copy = _make_copy_delivery(one, self.sending)
            COPY_DELIVERY_TABLE.store(copy, outer.envelope.hex(), device.vault)
            index_copy(copy, message.sent_at, device.vault)
        return release_at

    def _ledger_message_with_stored_originals(self) -> Message:
        by_file = tuple(zip(*(one.copies for one in self.made), strict=True))
        kept = self.prepared.keep_originals(by_file, self.device)
        return Message(
            id=self.sending.message,
            name=self.sending.name,
            sent_at=self.sending.sent_at,
            pictures=kept.pictures,
            caption=self.draft.text_or_caption,
            expires_at=self.sending.policy.expires_at,
            clips=kept.clips,
            sounds=kept.sounds,
        )


def _make_ledger_copy(to: Addressee, made: "MarkedCopy", device: Device) -> Copy:
    return Copy(
        to=RecipientId(to.contact.name),
        seed=made.seed,
        sha256=made.sha256,
        person=to.contact.person.id,
        device=to.key.device,
        nonce=Secret(device.random_source.token(32)),
    )


def _make_copy_delivery(made: _SealedDeviceCopies, sending: SendingContext) -> CopyDelivery:
    return CopyDelivery(
        message=sending.message,
        to=RecipientId(made.to.contact.name),
        person=made.to.contact.person.id,
        device=made.to.key.device,
        relay_url=made.to.contact.person.relay_url,
        envelope=made.sealed.outer.envelope,
        withdraw_token=made.sealed.outer.withdraw_token,
    )


# ciphertext of up to this size is written at once, larger ciphertext in chunks
_CIPHERTEXT_IN_MEMORY_BYTES_MAX: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileForDevice:
    """A file for one device, and the commitment to its mark (None: unmarked)."""

    file: ContentFile
    commitment: bytes | None


def seal_content(
    files: tuple[FileForDevice, ...],
    text: str | None,
    to: Addressee,
    sending: SendingContext,
    device: Device,
) -> MessageLetterParts:
    """Encrypt the files and the text for one device. The key is made from two shares: one for the
    device's letter, one for its relay.

    Raises:
        TooLarge: a file exceeds the relay's limit.
    """
    envelope, share = EnvelopeId(device.random_source.token(ID_BYTES)), _new_secret(device)
    marks = tuple(one.commitment for one in files)
    manifest = replace(_make_manifest(to, sending, device), marks=marks)
    key = content_key(
        manifest.secret,
        share,
        message=sending.message,
        envelope=envelope,
        manifest=write_manifest(manifest),
    )
    opens, person = sending.policy.opens, to.contact.person.id
    group = None if opens is None else share_group_id(sending.groups, person)
    withdraw_token = _new_secret(device)
    fetch_lock, withdraw_lock = token_hash(manifest.fetch_token), token_hash(withdraw_token)
    deposits = list[tuple[BlobDeposit, BlobId]]()
    for place, padded in enumerate(_padded_blobs(files, text)):
        kept, size, sha256 = _encrypt_blob(blob_key(key, place), *padded, device)
        deposit = BlobDeposit(
            id=BlobId(device.random_source.token(ID_BYTES)),
            mailbox=to.key.mailbox,
            size=size,
            sha256=sha256,
            fetch_lock=fetch_lock,
            withdraw_lock=withdraw_lock,
            expires_at=sending.policy.expires_at,
        )
        deposits.append((deposit, kept))
    blobs = tuple(deposits)
    outer = OuterLetterParts(
        envelope=envelope,
        expires_at=sending.policy.expires_at,
        withdraw_token=withdraw_token,
        message=sending.message,
        share=ShareDeposit(share, token_hash(manifest.open_token), opens, group),
        blobs=blobs,
    )
    refs = tuple(BlobRef(deposit.id, deposit.size, deposit.sha256) for deposit, _ in blobs)
    return MessageLetterParts(replace(manifest, blobs=refs), outer)


def _padded_blobs(
    files: tuple[FileForDevice, ...], text: str | None
) -> Iterator[tuple[BinaryIO, int]]:
    """Yield the padded message frame (the list of files, and the text), then the padded files, each
    with its size in bytes.
    """
    frame_files = tuple(
        MessageFileEntry(one.file.media_type, len(one.file.data), one.file.role) for one in files
    )
    frame = write_frame(MessageFrame(frame_files, text or None))
    yield io.BytesIO(frame), len(frame)
    for one in files:
        yield padded_reader(one.file.data), padded_length(len(one.file.data))


def _make_manifest(to: Addressee, sending: SendingContext, device: Device) -> Manifest:
    return Manifest(
        name=sending.name,
        sent_at=sending.sent_at.replace(microsecond=0),
        expires_at=sending.policy.expires_at,
        opens=sending.policy.opens,
        audience=sending.audience,
        heads=sending.heads,
        secret=_new_secret(device),
        blobs=(),
        fetch_token=_new_secret(device),
        open_token=_new_secret(device),
        relay_url=to.contact.person.relay_url,
        reply=sending.reply,
        circle=sending.circle,
        may_export=sending.policy.may_export,
    )


def _encrypt_blob(
    key: Secret, padded: BinaryIO, size: int, device: Device
) -> tuple[BlobId, int, bytes]:
    """Encrypt a blob into the vault; return its id there, its size in bytes and its SHA-256."""
    if size > BLOB_BYTES_MAX:
        raise TooLarge(limit_bytes=BLOB_BYTES_MAX)
    if size <= _CIPHERTEXT_IN_MEMORY_BYTES_MAX:
        buffer = io.BytesIO()
        length, sha256 = _encrypt_into(buffer, key, padded)
        kept = device.vault.store_sealed_file(buffer.getvalue())
    else:
        kept = device.vault.store_sealed_file(b"")
        with device.vault.append_to_sealed_file(kept) as file:
            length, sha256 = _encrypt_into(file, key, padded)
    if length > BLOB_BYTES_MAX:
        raise TooLarge(limit_bytes=BLOB_BYTES_MAX)
    return kept, length, sha256


def _encrypt_into(writer: BinaryIO, key: Secret, padded: BinaryIO) -> tuple[int, bytes]:
    hashed = HashingWriter(writer)
    encrypt_stream(key, padded, cast("BinaryIO", hashed))
    return hashed.size, hashed.digest()


def _new_secret(device: Device) -> Secret:
    return Secret(device.random_source.token(32))
