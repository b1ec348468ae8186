"""Drafts: messages that are to be sent, and unfinished messages that the vault keeps until they are
sent or discarded. This module also has the guard's warnings about recipients (send/guard.py), and
the errors of sending, marking and recalling.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar

from entrenous.base.errors import DiskFull, EntrenousError, NotFound, Refused, Unreachable
from entrenous.base.identifiers import ID_BYTES, BlobId, RecipientId
from entrenous.base.limits import DEFAULT_EXPIRY_DAYS, FILES_PER_MESSAGE_MAX, UNDO_WINDOW_S_MAX
from entrenous.base.screen_text import check_caption, check_message_text
from entrenous.device.device import Device
from entrenous.device.vault_tables import DRAFT, Table
from entrenous.send.letter.letter_nouns import MessageReference
from entrenous.send.people.circles import CircleId, MessageParticipants


@dataclass(frozen=True, slots=True)
class MessagePolicy:
    """When a message expires and how many times it may be opened (None: any number).

    ``may_export`` says whether the recipient may export its files and text although openings are
    limited.
    """

    expires_at: datetime
    opens: int | None = None
    may_export: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be sent: files, a text or both, with recipients and a policy.

    Files are pictures, clips and sounds in any order. ``caption`` is a line beside files, ``text``
    a message of its own; at most one of them is set. ``confirmed`` are the names typed in answer to
    the guard. The members of ``circles`` whom this device can reach are among ``to``. ``within`` is
    the conversation that the draft belongs to, and ``reply`` the message that the draft answers.
    ``size_px`` is the size to which pictures are scaled. Nothing leaves for ``undo_s`` seconds
    after sealing.

    Raises:
        TooManyFiles, CaptionTooLong, TextTooLong, TextHasControlCharacters.
    """

    files: tuple[bytes, ...]
    to: tuple[RecipientId, ...]
    policy: MessagePolicy
    caption: str | None = None
    size_px: int | None = None
    confirmed: frozenset[str] = frozenset()
    circles: tuple[CircleId, ...] = ()
    within: MessageParticipants | None = None
    text: str | None = None
    reply: MessageReference | None = None
    undo_s: int = 0

    def __post_init__(self) -> None:
        if not self.files and not self.text:
            raise ValueError("a message has a file or a text")
        if self.text and self.caption:
            raise ValueError("a message has one text")
        if len(set(self.to)) != len(self.to) or not self.to:
            raise ValueError("a message goes to one or more people, each once")
        if len(self.files) > FILES_PER_MESSAGE_MAX:
            raise TooManyFiles(count=len(self.files), limit=FILES_PER_MESSAGE_MAX)
        if not 0 <= self.undo_s <= UNDO_WINDOW_S_MAX:
            raise ValueError("a message waits from now on, and for an hour at most")
        check_caption(self.caption)
        check_message_text(self.text)

    @property
    def text_or_caption(self) -> str | None:
        """The text that recipients read, if there is one."""
        return self.text or self.caption or None


@dataclass(frozen=True, slots=True)
class RecipientWarning:
    """The guard's warning about one recipient or circle, as a sentence. ``answer`` is the name
    to type: the first name, or the full name if the first name is ambiguous.
    """

    who: RecipientId
    why: str
    answer: str


class CannotOpenOwnMessage(Refused):
    """
    You sent message {name} yourself, so it is not in your inbox. Nothing was changed. To see
    whether it was opened: entrenous sent. To take it back: entrenous recall {name}
    """


class CannotRecallReceivedMessage(Refused):
    """
    You received message {name}; only the person who sent it can take it back. Nothing was changed.
    """


class UnansweredWarnings(Refused):
    """
    Please check before this message is sent: {reasons}. Nothing was sent. If the message goes to
    the right people, add this to the command: {names}
    """


class WaitsInOutbox(Unreachable):
    """
    Message {name} is encrypted and stored on this device, but has not been sent yet. {why} The
    message is sent when you next send something or open your inbox. To send it now: entrenous send
    --resume
    """


class MessageNotSentYet(WaitsInOutbox):
    """Message {name} is encrypted and stored on this device, but has not been sent yet. {why}"""


class RefusedForSome(Refused):
    """
    Message {name} cannot be sent to {refused}. {why} Entrenous will not try again for {refused}.
    Already on its way to: {has}. Still waiting on this device for: {waits}. Once the problem is
    solved, send the message again to {refused} alone. To take back any copies on their way:
    entrenous recall {name}
    """


class CopyRefused(Refused):
    """
    The copy of message {name} for {to} waited on this device, and now it cannot be sent. {why}
    Entrenous will not try again. Once the problem is solved, send the message again to {to}. To see
    the state of the message: entrenous sent
    """


class LetterRefused(Refused):
    """
    An automatic letter from this device to {to} cannot be sent. It contains nothing that you wrote.
    {why} Entrenous will not try to send it again.
    """


class SendingUndone(EntrenousError):
    """You stopped this message in time. Nothing was sent to anybody."""

    # Nothing failed, so it is in none of the five families in base/errors.py.
    family = "interrupted"


class StoppedWhileSending(EntrenousError):
    """
    Stopped. Message {name} is encrypted and may already have been sent. To take it back: entrenous
    recall {name}
    """

    family = "interrupted"


class StoppedWhileMarking(EntrenousError):
    """
    Stopped after {count} of {total} copies. These are complete. For each of them, your vault
    contains the name of its recipient, so a leaked copy can be traced. To start over, type the same
    command again; these copies are not changed.
    """

    family = "interrupted"


class NoRoomForAllCopies(DiskFull):
    """
    The disk is full, so only {count} of {total} copies were written. Those are complete. For each
    of them, your vault contains the name of its recipient, so a leaked copy can be traced. Free
    some space, or choose another folder with --out, and mark the file again for the others.
    """


class TooManyFiles(Refused):
    """
    A message can hold at most {limit} files, and you chose {count}. Nothing was sent. Send the
    files in several messages.
    """


class ConfirmedNameNotRecipient(Refused):
    """
    You confirmed {typed}, but this message goes to {to}. Nothing was sent. Type the name that you
    were asked for, or choose somebody else with --to.
    """


class RecallIncomplete(Unreachable):
    """
    It is not confirmed yet that message {name} has been taken back from everybody: {who} may still
    be able to open it. {why} Entrenous tries again with each command that fetches messages. To try
    again now, type the same command again.
    """


class UndoWindowStillOpen(Unreachable):
    """
    You can still cancel this message until {until}, so it stays on this device until then. After
    that, it is sent when you next send or fetch something. To take it back before then: entrenous
    recall {name}
    """


class LimitNotSupportedByRecipient(Refused):
    """
    These people use a program that does not promise to show a message only once: {names}. Nothing
    was sent. Ask them to update Entrenous and then to write to you, or send the message without
    --once.
    """


class NothingToRecall(NotFound):
    """
    Message {name} was only marked, so that you could send it by other means. No relay has it, so it
    cannot be taken back from here. Nothing was changed. Ask the people who have it to delete it.
    """


ItemT = TypeVar("ItemT")


class NoSuchDraft(NotFound):
    """
    The message, or the file that you chose from it, is no longer among your drafts: it was sent,
    discarded or removed. Nothing was changed. Before you write it again, look at the messages that
    you sent.
    """


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
    """Store a draft, and return it as stored. A draft with an empty ``id`` gets a new id.

    ``files`` are added to the files that the draft has. Raises DiskFull.
    """
    with device.vault.transaction():
        blobs = (*draft.files, *(device.vault.store_file(data) for data in files))
        draft_id = draft.id or device.random_source.token(ID_BYTES)
        kept = replace(draft, id=draft_id, files=blobs)
        DRAFT_TABLE.store(kept, draft_id.hex(), device.vault)
    return kept


def stored_drafts(device: Device) -> tuple[StoredDraft, ...]:
    """Return all drafts, newest first."""
    found: Iterator[StoredDraft] = DRAFT_TABLE.all(device.vault)
    return tuple(sorted(found, key=lambda draft: draft.written_at, reverse=True))


def find_draft(draft_id: bytes, device: Device) -> StoredDraft:
    """Return a draft; raises NoSuchDraft."""
    draft = DRAFT_TABLE.load(draft_id.hex(), device.vault)
    if draft is None:
        raise NoSuchDraft
    return draft


def remove_draft_file(draft_id: bytes, number_in_draft: int, device: Device) -> StoredDraft:
    """Delete a draft's file ``number_in_draft``, counted from 0; a missing file is no error.

    Raises NoSuchDraft.
    """
    draft = find_draft(draft_id, device)
    if not 0 <= number_in_draft < len(draft.files):
        return draft
    rest = replace(
        draft,
        files=_without_element_at(draft.files, number_in_draft),
        names=_without_element_at(draft.names, number_in_draft),
    )
    with device.vault.transaction():
        DRAFT_TABLE.store(rest, draft_id.hex(), device.vault)
        device.vault.delete_file(draft.files[number_in_draft])
    return rest


def _without_element_at(several: tuple[ItemT, ...], place: int) -> tuple[ItemT, ...]:
    return (*several[:place], *several[place + 1 :])


def discard_draft(draft_id: bytes, device: Device) -> None:
    """Delete a draft and its files; a missing draft is no error."""
    draft = DRAFT_TABLE.load(draft_id.hex(), device.vault)
    if draft is None:
        return
    with device.vault.transaction():
        DRAFT_TABLE.drop(draft_id.hex(), device.vault)
        for blob in draft.files:
            device.vault.delete_file(blob)
