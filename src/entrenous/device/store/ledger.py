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
from entrenous.device.sent_messages import Message, UnknownMessage
from entrenous.device.vault_tables import pack, unpack
from entrenous.fingerprint.nouns import Candidate
from entrenous.watermark.verdict import Trace

if TYPE_CHECKING:
    from entrenous.device.store.picture_looks import Looks


_MESSAGES: Final = "message"
_TRACES: Final = "trace"
_NEAR_MAX: Final = 32  # most distinct pictures that a leak is compared with
_LOOKS: Final = "looks"  # a picture record of each picture, by message and place
_NONE: Final = msgspec.msgpack.encode(())
_parts: Final = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode


class VaultLedger:
    """Which copy went to whom, and what finds a leaked copy's original."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._looks: Looks | None = None  # read once, when first needed

    def record(self, message: Message) -> None:
        """Insert a message, or replace the one with its id."""
        with self._vault.together():
            if self._vault.get(_MESSAGES, message.id.hex()) is not None:
                drop_batches(message.id, self._vault)
                drop_name(message.id, self._vault)
            self._vault.put(_MESSAGES, message.id.hex(), pack(message))
            put_name(message, self._vault)

    def add_copies(
        self, message: MessageId, place: int, start: int, copies: tuple[Copy, ...]
    ) -> None:
        """Add copies to file number ``place`` of a recorded message, which has ``start`` of them so
        far.

        Pictures count first, then clips, then sounds. Copies added before at the same ``start`` are
        replaced; without copies, they are deleted.
        """
        put_batch(message, place, start, copies, self._vault)

    def forget(self, message: MessageId) -> None:
        """Delete a message of which no copy has left; a missing one is no error."""
        with self._vault.together():
            drop_batches(message, self._vault)
            for key in self._vault.keys(_LOOKS, message.hex()):
                self._vault.drop(_LOOKS, key)
            self._looks = None
            self._vault.drop(_MESSAGES, message.hex())
            drop_name(message, self._vault)

    def messages(self) -> Iterator[Message]:
        """Return all messages, oldest first."""
        added = batches(self._vault)
        return _oldest_first(
            with_batches(unpack(Message, record), added)
            for _, record in self._vault.items(_MESSAGES)
        )

    def with_clips(self) -> Iterator[Message]:
        """Return all messages with a clip, oldest first; others are not fully decoded."""
        found = (
            unpack(Message, record)
            for _, record in self._vault.items(_MESSAGES)
            if bytes(_parts(record).get("clips", _NONE)) != _NONE
        )
        return _oldest_first(
            with_batches(message, batches_of(message.id, self._vault)) for message in found
        )

    def read(self, message: MessageId) -> Message:
        """Return one message; raises UnknownMessage."""
        record = self._vault.get(_MESSAGES, message.hex())
        if record is None:
            raise UnknownMessage(name=message.hex())
        return with_batches(unpack(Message, record), batches_of(message, self._vault))

    def find(self, name: str) -> Message:
        """Return the message of that name; raises UnknownMessage."""
        written = name.encode()
        for _, record in self._vault.items(_MESSAGES):
            if written in record and (message := unpack(Message, record)).name == name:
                return with_batches(message, batches_of(message.id, self._vault))
        raise UnknownMessage(name=name)

    def names_alike(self, name: str) -> frozenset[MessageName]:
        """Return the names of messages that differ from this one in their number at most.

        Called for each letter, so it reads no message.
        """
        return names_alike(name, _MESSAGES, self._vault)

    def learn(self, message: MessageId, place: int, picture: Picture) -> None:
        """Store the picture record of picture number ``place`` of a message, for ``near``."""
        from entrenous.fingerprint.picture_record import record_of  # noqa: PLC0415 - loads OpenCV

        self.keep_look(message, place, record_of(picture))

    def keep_look(self, message: MessageId, place: int, look: bytes) -> None:
        """Like :meth:`learn`, with a picture record that exists already."""
        self._vault.put(_LOOKS, _look_key(message, place), look)
        self._looks = None

    def look(self, message: MessageId, place: int) -> bytes | None:
        """Return the picture record of a picture, or None."""
        return self._vault.get(_LOOKS, _look_key(message, place))

    def near(self, found: Picture) -> tuple[Candidate, ...]:
        """Return sent pictures to compare with a found one, the likeliest first.

        Those without a picture record come last, ordered by fingerprint.
        """
        from entrenous.device.store.picture_looks import by_fingerprint  # noqa: PLC0415 - loads OpenCV

        looks = self._seen()
        strange = [(place, self._bits(*place)) for place in self.unlearnt()]
        others = by_fingerprint(found, strange, first_look=len(looks.places))
        return (*looks.near(found, _NEAR_MAX), *others)

    def unlearnt(self) -> tuple[tuple[MessageId, int], ...]:
        """Return the message and place of sent pictures without a readable picture record."""
        seen = self._seen()
        known = seen.messages | {message for message, _ in seen.damaged}
        names = (MessageId(bytes.fromhex(name)) for name in self._vault.keys(_MESSAGES))
        never = (
            (name, place)
            for name in names
            if name not in known
            for place in range(len(self.read(name).pictures))
        )
        return (*seen.damaged, *never)

    def _seen(self) -> "Looks":
        from entrenous.device.store.picture_looks import Looks  # noqa: PLC0415 - loads OpenCV

        if self._looks is None:
            self._looks = Looks.read(self._vault.items(_LOOKS))
        return self._looks

    def _bits(self, message: MessageId, place: int) -> bytes:
        return self.read(message).pictures[place].fingerprint.bits or bytes(PDQ_BYTES)

    def note(self, trace: Trace) -> None:
        """Store a trace, so that a case can be opened from it."""
        self._vault.put(_TRACES, f"{trace.number:08d}", pack(trace))

    def traces(self) -> tuple[Trace, ...]:
        """Return all stored traces, oldest first."""
        return tuple(unpack(Trace, record) for _, record in self._vault.items(_TRACES))


def _look_key(message: MessageId, place: int) -> str:
    return f"{message.hex()} {place:04d}"


def _oldest_first(messages: Iterable[Message]) -> Iterator[Message]:
    return iter(sorted(messages, key=lambda message: message.sent_at))


_COPIES: Final = "copies"  # by message, place of the file, place of the batch's first copy
Batches = Mapping[str, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Further copies of one picture, clip or sound, in order."""

    copies: tuple[Copy, ...]


def put_batch(
    message: MessageId, place: int, start: int, copies: tuple[Copy, ...], vault: Vault
) -> None:
    key = f"{_picture(message, place)} {start:08d}"
    if copies:
        vault.put(_COPIES, key, pack(Batch(copies)))
    else:
        vault.drop(_COPIES, key)


def drop_batches(message: MessageId, vault: Vault) -> None:
    for key in vault.keys(_COPIES, message.hex()):
        vault.drop(_COPIES, key)


def batches(vault: Vault) -> Batches:
    """Return all batches, still packed, by file and in order."""
    found = defaultdict[str, list[bytes]](list)
    for key, record in vault.items(_COPIES):
        found[key.rpartition(" ")[0]].append(record)
    return {picture: tuple(records) for picture, records in found.items()}


def batches_of(message: MessageId, vault: Vault) -> Batches:
    """Return one message's batches, still packed, by file and in order."""
    found = defaultdict[str, list[bytes]](list)
    for key in vault.keys(_COPIES, message.hex()):
        record = vault.get(_COPIES, key)
        if record is not None:
            found[key.rpartition(" ")[0]].append(record)
    return {picture: tuple(records) for picture, records in found.items()}


def with_batches(message: Message, added: Batches) -> Message:
    """Return the message with the copies that were added to its files."""
    parts = (*message.pictures, *message.clips, *message.sounds)
    names = [_picture(message.id, place) for place in range(len(parts))]
    if added.keys().isdisjoint(names):
        return message
    extra = iter([tuple(_copies(added.get(name, ()))) for name in names])
    return replace(
        message,
        pictures=tuple(
            replace(one, copies=(*one.copies, *next(extra))) for one in message.pictures
        ),
        clips=tuple(replace(one, copies=(*one.copies, *next(extra))) for one in message.clips),
        sounds=tuple(replace(one, copies=(*one.copies, *next(extra))) for one in message.sounds),
    )


def _copies(records: tuple[bytes, ...]) -> Iterator[Copy]:
    for record in records:
        yield from unpack(Batch, record).copies


def _picture(message: MessageId, place: int) -> str:
    return f"{message.hex()} {place:04d}"


_NAMES: Final = "message-name"  # by words, number and message
_INDEXED: Final = ("message-names", "indexed")  # set once older messages are in the index too


def put_name(message: Message, vault: Vault) -> None:
    """Index a message's name; call it in the transaction that records the message."""
    vault.put(_NAMES, name_index_key(message.name, message.id.hex()), b"")


def drop_name(message: MessageId, vault: Vault) -> None:
    for place in vault.keys(_NAMES):
        if place.endswith(message.hex()):
            vault.drop(_NAMES, place)


def names_alike(name: str, messages: str, vault: Vault) -> frozenset[MessageName]:
    """Return the indexed names that have the words of ``name``; ``messages`` is the messages'
    table.
    """
    if vault.get(*_INDEXED) is None:
        with vault.together():
            for _, record in vault.items(messages):
                put_name(unpack(Message, record), vault)
            vault.put(*_INDEXED, b"")
    return frozenset(map(name_from_index_key, vault.keys(_NAMES, name_index_prefix(name))))
