"""Messages that were written and not sent yet, kept in the vault until they are sent or
discarded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar

from entrenous.base.errors import NotFound
from entrenous.base.identifiers import ID_BYTES, BlobId
from entrenous.base.limits import DEFAULT_EXPIRY_DAYS
from entrenous.device.device import Device
from entrenous.device.vault_tables import DRAFT, Table

ItemT = TypeVar("ItemT")


class NoSuchDraft(NotFound):
    """This message was sent or discarded already. Nothing was changed. Write a new one."""


@dataclass(frozen=True, slots=True)
class StoredDraft:
    """A message that was written but not sent.

    ``to`` are the typed names of people and circles, ``files`` the sealed files in the vault,
    ``names`` their original names, ``reply`` the name of the message being answered.
    """

    id: bytes
    written_at: datetime
    files: tuple[BlobId, ...] = ()
    text: str = ""
    to: tuple[str, ...] = ()
    days: int = DEFAULT_EXPIRY_DAYS
    once: bool = False
    may_export: bool = False
    reply: str = ""
    names: tuple[str, ...] = ()


DRAFT_TABLE: Final = Table(DRAFT, StoredDraft)


def store_draft(draft: StoredDraft, files: tuple[bytes, ...], device: Device) -> StoredDraft:
    """Store a draft and its files; an empty ``id`` makes a new one.

    ``files`` are added to those that it has. Raises DiskFull.
    """
    with device.vault.transaction():
        blobs = (*draft.files, *(device.vault.keep_file(data) for data in files))
        number = draft.id or device.dice.token(ID_BYTES)
        kept = replace(draft, id=number, files=blobs)
        DRAFT_TABLE.store(kept, number.hex(), device.vault)
    return kept


def stored_drafts(device: Device) -> tuple[StoredDraft, ...]:
    """Return all drafts, newest first."""
    found: Iterator[StoredDraft] = DRAFT_TABLE.all(device.vault)
    return tuple(sorted(found, key=lambda draft: draft.written_at, reverse=True))


def find_draft(number: bytes, device: Device) -> StoredDraft:
    """Return a draft; raises NoSuchDraft."""
    draft = DRAFT_TABLE.load(number.hex(), device.vault)
    if draft is None:
        raise NoSuchDraft
    return draft


def remove_draft_file(number: bytes, number_in_draft: int, device: Device) -> StoredDraft:
    """Delete a draft's file ``number_in_draft``, counted from 0; a missing file is no error.

    Raises NoSuchDraft.
    """
    draft = find_draft(number, device)
    if not 0 <= number_in_draft < len(draft.files):
        return draft
    rest = replace(
        draft,
        files=_remove_at(draft.files, number_in_draft),
        names=_remove_at(draft.names, number_in_draft),
    )
    with device.vault.transaction():
        DRAFT_TABLE.store(rest, number.hex(), device.vault)
        device.vault.delete_file(draft.files[number_in_draft])
    return rest


def _remove_at(several: tuple[ItemT, ...], place: int) -> tuple[ItemT, ...]:
    return (*several[:place], *several[place + 1 :])


def discard_draft(number: bytes, device: Device) -> None:
    """Delete a draft and its files; a missing one is no error."""
    draft = DRAFT_TABLE.load(number.hex(), device.vault)
    if draft is None:
        return
    with device.vault.transaction():
        DRAFT_TABLE.drop(number.hex(), device.vault)
        for blob in draft.files:
            device.vault.delete_file(blob)
