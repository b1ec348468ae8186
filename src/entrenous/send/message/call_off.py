"""Call a message off while it is being sent: who presses Ctrl-C wants that it does not go out."""

from collections.abc import Iterator

from entrenous.model.ids import BlobId, MessageId
from entrenous.model.message import Message, StoppedWhileSending, UnknownMessage
from entrenous.model.sealed_copy import SealedCopy
from entrenous.ports import Device
from entrenous.send.doubts.note import forget_sent
from entrenous.send.drawers import COVERED, SEALED, take_all
from entrenous.send.outbox import drop_postings
from entrenous.send.states import can_be_called_off


def call_off(message: MessageId, device: Device) -> None:
    """Undo a message whose sending was stopped, if not one letter of it can have left.

    Who presses Ctrl-C once more does not want it back: it is begun anew until it is whole.

    Raises:
        StoppedWhileSending: one may have left. Then everything stays as it is, so that it can be
            taken back by its name.
    """
    undone = False
    while not undone:
        try:
            _call_off(message, device)
            undone = True
        except KeyboardInterrupt:
            continue


def _call_off(message: MessageId, device: Device) -> None:
    every = take_all(SealedCopy, SEALED, device.vault)
    copies = [copy for copy in every if copy.message == message]
    try:
        sent = device.ledger.read(message)
    except UnknownMessage:
        return  # it was stopped before there was anything to undo
    if not all(can_be_called_off(copy.departure) for copy in copies):
        raise StoppedWhileSending(name=sent.name)
    with device.vault.together():
        drop_postings({copy.envelope for copy in copies}, device)
        for copy in copies:
            for drawer in (SEALED, COVERED):
                device.vault.drop(drawer, copy.envelope.hex())
        device.ledger.forget(message)
        forget_sent(message, device)
        for kept in _kept_of(sent):
            device.vault.forget(kept)


def _kept_of(sent: Message) -> Iterator[BlobId]:
    """The files that the ledger keeps of a message."""
    for picture in sent.pictures:
        yield picture.original
    for clip in sent.clips:
        yield from (clip.original, clip.survey)
    for sound in sent.sounds:
        yield from (sound.original, sound.contour)
