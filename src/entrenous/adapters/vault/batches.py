"""Copies that were added to a recorded message: a record per batch, joined when they are read.

A message to a thousand people would otherwise be written anew, whole, for each of its copies.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from entrenous.craft.wire.record import pack, unpack
from entrenous.model.ids import MessageId
from entrenous.model.message import Copy, Message
from entrenous.ports import Vault

_COPIES: Final = "copies"  # by message, place of the picture, place of the batch's first copy

Batches = Mapping[str, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Further copies of one picture, clip or sound, in order."""

    copies: tuple[Copy, ...]


def put_batch(
    message: MessageId, place: int, start: int, copies: tuple[Copy, ...], vault: Vault
) -> None:
    """Store a batch, or replace the one that begins at the same copy; without copies, drop it."""
    key = f"{_picture(message, place)} {start:08d}"
    if copies:
        vault.put(_COPIES, key, pack(Batch(copies)))
    else:
        vault.drop(_COPIES, key)


def drop_batches(message: MessageId, vault: Vault) -> None:
    """Forget every batch of a message."""
    for key in vault.keys(_COPIES, message.hex()):
        vault.drop(_COPIES, key)


def batches(vault: Vault) -> Batches:
    """Every batch, still packed, by picture and in order."""
    found = defaultdict[str, list[bytes]](list)
    for key, record in vault.items(_COPIES):
        found[key.rpartition(" ")[0]].append(record)
    return {picture: tuple(records) for picture, records in found.items()}


def batches_of(message: MessageId, vault: Vault) -> Batches:
    """One message's batches, still packed, by picture and in order."""
    found = defaultdict[str, list[bytes]](list)
    for key in vault.keys(_COPIES, message.hex()):
        record = vault.get(_COPIES, key)
        if record is not None:
            found[key.rpartition(" ")[0]].append(record)
    return {picture: tuple(records) for picture, records in found.items()}


def with_batches(message: Message, added: Batches) -> Message:
    """A message with the copies that were added to its pictures, clips and sounds."""
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
