"""Obey a sender's recall: forget the key and the files of her message."""

from entrenous.model.ids import PersonId
from entrenous.model.letter import RecallNote
from entrenous.model.message import InboxState, Received
from entrenous.ports import Device
from entrenous.send.drawers import INBOX, inbox_key, take
from entrenous.send.inbox import settle


def obey(note: RecallNote, sender: PersonId, device: Device) -> None:
    """Forget a message that its own sender took back; a note about anybody else's is ignored."""
    received = take(Received, INBOX, inbox_key(sender, note.message), device.vault)
    if received is not None:
        settle(received, InboxState.TAKEN_BACK, device)
