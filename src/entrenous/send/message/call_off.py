"""Call a message off while it is being sent: who presses Ctrl-C wants that it does not go out."""

from typing import Final

from entrenous.model.ids import MessageId
from entrenous.model.message import Departure, SealedCopy, StoppedWhileSending
from entrenous.ports import Device
from entrenous.send.doubts.talks import call_talks_off
from entrenous.send.drawers import SEALED, take_all
from entrenous.send.outbox import drop_postings

_MAY_HAVE_LEFT: Final = (Departure.TRIED, Departure.ACKNOWLEDGED)


def call_off(message: MessageId, device: Device) -> None:
    """Undo a message whose sending was stopped, if not one letter of it can have left.

    Raises:
        StoppedWhileSending: one may have left. Then everything stays as it is, so that it can be
            taken back by its name.
    """
    every = take_all(SealedCopy, SEALED, device.vault)
    copies = [copy for copy in every if copy.message == message]
    for sent in device.ledger.messages():
        if sent.id != message:
            continue
        if any(copy.departure in _MAY_HAVE_LEFT for copy in copies):
            raise StoppedWhileSending(name=sent.name)
        with device.vault.together():
            for copy in copies:
                drop_postings(copy.envelope, device)
                device.vault.drop(SEALED, copy.envelope.hex())
            device.ledger.forget(message)
            call_talks_off(message, device)
            for picture in sent.pictures:
                device.vault.forget(picture.original)
