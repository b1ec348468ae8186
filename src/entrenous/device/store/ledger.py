"""The ledger: messages, copies and traces, as records in a vault."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from entrenous.base.copies import Copy
from entrenous.base.identifiers import (
    MessageId,
    MessageName,
    name_from_index_key,
    name_index_key,
    name_index_prefix,
)
from entrenous.base.limits import PDQ_BYTES
from entrenous.base.picture import Picture
from entrenous.device.device import Vault
from entrenous.device.sent_messages import (
    Message,
    SentClip,
    SentPicture,
    SentSound,
    UnknownMessage,
)
from entrenous.device.vault_tables import Table, pack, unpack
from entrenous.fingerprint.nouns import PictureCandidate
from entrenous.watermark.verdict import Trace

if TYPE_CHECKING:
    from entrenous.device.store.picture_search import PictureRecords


_MESSAGE_TABLE: Final = "message"
_MESSAGE_NAME_TABLE: Final = "message-name"  # keys: the name's words and number, and the message
# keys: the message, the file's place in it, and the number of the batch's first copy
_COPY_TABLE: Final = "copies"
_PICTURE_RECORD_TABLE: Final = (
    "looks"  # picture records; keys: the message and the picture's place in it
)
_TRACE_TABLE: Final = Table("trace", Trace)
# VaultLedger.pictures_to_compare returns the pictures of at most this many distinct picture
# records, and all pictures that have no record.
_COMPARED_PICTURES_MAX: Final = 32
_PACKED_EMPTY_TUPLE: Final = msgspec.msgpack.encode(())
_decode_message_fields: Final = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode
_decode_list: Final = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
EncodedCopyBatches = Mapping[str, list[bytes]]  # the batches of each file, still encoded, in order
SentMedia = tuple[SentPicture | SentClip | SentSound, ...]


@dataclass(frozen=True, slots=True)
class CopyBatch:
    """Some copies of one picture, clip or sound, in order, which are stored together."""

    copies: tuple[Copy, ...]


class VaultLedger:
    """Stores who got which copy, and the features by which the original of a leaked copy is
    found.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._looks: PictureRecords | None = None  # read once, when first needed

    def store_message(self, message: Message) -> None:
        """Insert a message, or replace the one with its id."""
        key = message.id.hex()
        with self._vault.transaction():
            if self._vault.get(_MESSAGE_TABLE, key) is not None:
                self._drop_copies_and_name(message.id)
            self._vault.put(_MESSAGE_TABLE, key, pack(message))
            self._vault.put(_MESSAGE_NAME_TABLE, name_index_key(message.name, key), b"")

    def put_copy_batch(
        self, message: MessageId, place: int, start: int, copies: tuple[Copy, ...]
    ) -> None:
        """Add copies to file number ``place`` of a message; the file already has ``start`` copies.

        Files are numbered in this order: pictures, clips, sounds. Copies that were added earlier
        with the same ``start`` are replaced, or deleted if ``copies`` is empty.
        """
        key = f"{_file_key(message, place)} {start:08d}"
        if copies:
            self._vault.put(_COPY_TABLE, key, pack(CopyBatch(copies)))
        else:
            self._vault.drop(_COPY_TABLE, key)

    def delete_message(self, message: MessageId) -> None:
        """Delete a message of which no copy was sent; a missing one is no error."""
        with self._vault.transaction():
            self._drop_copies_and_name(message)
            for key in self._vault.keys(_PICTURE_RECORD_TABLE, message.hex()):
                self._vault.drop(_PICTURE_RECORD_TABLE, key)
            self._looks = None
            self._vault.drop(_MESSAGE_TABLE, message.hex())

    def _drop_copies_and_name(self, message: MessageId) -> None:
        for key in self._vault.keys(_COPY_TABLE, message.hex()):
            self._vault.drop(_COPY_TABLE, key)
        for key in self._vault.keys(_MESSAGE_NAME_TABLE):
            if key.endswith(message.hex()):
                self._vault.drop(_MESSAGE_NAME_TABLE, key)

    def messages(self) -> Iterator[Message]:
        """Return all messages, oldest first."""
        added = _copy_batches_by_file(self._vault.items(_COPY_TABLE))
        return _oldest_first(
            _with_copy_batches(unpack(Message, record), added)
            for _, record in self._vault.items(_MESSAGE_TABLE)
        )

    def messages_with_clips(self) -> Iterator[Message]:
        """Return all messages that have a clip, oldest first; other messages are not decoded
        fully.
        """
        return _oldest_first(
            self._unpack_with_copies(record)
            for _, record in self._vault.items(_MESSAGE_TABLE)
            if bytes(_decode_message_fields(record).get("clips", _PACKED_EMPTY_TUPLE))
            != _PACKED_EMPTY_TUPLE
        )

    def message(self, message: MessageId) -> Message:
        """Return one message; raises UnknownMessage."""
        record = self._vault.get(_MESSAGE_TABLE, message.hex())
        if record is None:
            raise UnknownMessage(name=message.hex())
        return self._unpack_with_copies(record)

    def message_named(self, name: str) -> Message:
        """Return the message of that name; raises UnknownMessage."""
        start = name_index_key(name, "")
        for key in self._vault.keys(_MESSAGE_NAME_TABLE, start):
            record = self._vault.get(_MESSAGE_TABLE, key.removeprefix(start))
            if record is not None and unpack(Message, record).name == name:
                return self._unpack_with_copies(record)
        raise UnknownMessage(name=name)

    def _unpack_with_copies(self, record: bytes) -> Message:
        message = unpack(Message, record)
        keys = self._vault.keys(_COPY_TABLE, message.id.hex())
        records = ((key, self._vault.get(_COPY_TABLE, key)) for key in keys)
        return _with_copy_batches(
            message, _copy_batches_by_file((key, one) for key, one in records if one)
        )

    def names_with_same_words(self, name: str) -> frozenset[MessageName]:
        """Return the names that equal this one except for the number.

        This is called for each letter, so it reads no message.
        """
        return frozenset(
            map(name_from_index_key, self._vault.keys(_MESSAGE_NAME_TABLE, name_index_prefix(name)))
        )

    def store_picture_record(self, message: MessageId, place: int, picture: Picture) -> None:
        """Store the picture record of picture number ``place`` of a message, for
        ``pictures_to_compare``.
        """
        from entrenous.fingerprint.picture_record import make_picture_record  # noqa: PLC0415 - loads OpenCV

        self.store_existing_picture_record(message, place, make_picture_record(picture))

    def store_existing_picture_record(self, message: MessageId, place: int, record: bytes) -> None:
        """Like :meth:`store_picture_record`, but store a picture record that exists already."""
        self._vault.put(_PICTURE_RECORD_TABLE, _file_key(message, place), record)
        self._looks = None

    def picture_record(self, message: MessageId, place: int) -> bytes | None:
        """Return the encoded picture record of a picture, or None."""
        return self._vault.get(_PICTURE_RECORD_TABLE, _file_key(message, place))

    def pictures_to_compare(self, found: Picture) -> tuple[PictureCandidate, ...]:
        """Return sent pictures to compare with a found one, the likeliest first.

        Those without a picture record come last, ordered by fingerprint.
        """
        from entrenous.device.store.picture_search import sort_by_fingerprint  # noqa: PLC0415 - loads OpenCV

        looks = self._picture_records()
        without_record = [
            ((message, place), self.message(message).pictures[place].fingerprint.bits)
            for message, place in self.pictures_without_record()
        ]
        others = sort_by_fingerprint(
            found,
            [(place, bits or bytes(PDQ_BYTES)) for place, bits in without_record],
            first_look=len(looks.places),
        )
        return (*looks.likeliest_pictures(found, _COMPARED_PICTURES_MAX), *others)

    def pictures_without_record(self) -> tuple[tuple[MessageId, int], ...]:
        """Return the sent pictures without a readable picture record: the message and place of
        each.
        """
        seen = self._picture_records()
        stored = {place for same in seen.places for place in same} | set(seen.damaged)
        never = (place for place in self._picture_places() if place not in stored)
        return (*seen.damaged, *never)

    def _picture_places(self) -> Iterator[tuple[MessageId, int]]:
        """Yield the message and place of every sent picture; no picture is decoded."""
        for key, record in self._vault.items(_MESSAGE_TABLE):
            pictures = _decode_message_fields(record).get("pictures", _PACKED_EMPTY_TUPLE)
            message = MessageId(bytes.fromhex(key))
            yield from ((message, place) for place in range(len(_decode_list(pictures))))

    def _picture_records(self) -> "PictureRecords":
        from entrenous.device.store.picture_search import PictureRecords  # noqa: PLC0415 - loads OpenCV

        if self._looks is None:
            self._looks = PictureRecords.from_encoded(self._vault.items(_PICTURE_RECORD_TABLE))
        return self._looks

    def record_trace(self, trace: Trace) -> None:
        """Store a trace, so that a case can be opened from it."""
        _TRACE_TABLE.store(trace, f"{trace.number:08d}", self._vault)

    def traces(self) -> tuple[Trace, ...]:
        return tuple(_TRACE_TABLE.all(self._vault))


def _file_key(message: MessageId, place: int) -> str:
    return f"{message.hex()} {place:04d}"


def _oldest_first(messages: Iterable[Message]) -> Iterator[Message]:
    return iter(sorted(messages, key=lambda message: message.sent_at))


def _copy_batches_by_file(records: Iterable[tuple[str, bytes]]) -> EncodedCopyBatches:
    found = defaultdict[str, list[bytes]](list)
    for key, record in records:
        found[key.rpartition(" ")[0]].append(record)
    return found


def _with_copy_batches(message: Message, added: EncodedCopyBatches) -> Message:
    parts: SentMedia = (*message.pictures, *message.clips, *message.sounds)
    keys = [_file_key(message.id, place) for place in range(len(parts))]
    if added.keys().isdisjoint(keys):
        return message
    copies = [
        (
            *part.copies,
            *(copy for one in added.get(key, ()) for copy in unpack(CopyBatch, one).copies),
        )
        for part, key in zip(parts, keys, strict=True)
    ]
    extended = iter(copies)
    return replace(
        message,
        pictures=tuple(replace(one, copies=next(extended)) for one in message.pictures),
        clips=tuple(replace(one, copies=next(extended)) for one in message.clips),
        sounds=tuple(replace(one, copies=next(extended)) for one in message.sounds),
    )
