"""Obey a sender's recall: forget the key and the files of her message."""

from entrenous.model.ids import PersonId
from entrenous.model.notes import RecallNote
from entrenous.model.received import InboxState, Received
from entrenous.ports import Device
from entrenous.send.drawers import INBOX, RECALLED, inbox_key, take
from entrenous.send.inbox import settle


def obey(note: RecallNote, sender: PersonId, device: Device) -> None:
    """Forget a message that its own sender took back; a note about anybody else's means nothing.

    One that has not come yet is remembered, so that it is forgotten when it does.
    """
    key = inbox_key(sender, note.message)
    received = take(Received, INBOX, key, device.vault)
    if received is None:
        device.vault.put(RECALLED, key, b"")
    else:
        settle(received, InboxState.TAKEN_BACK, device)
