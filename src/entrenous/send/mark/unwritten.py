"""A copy that was handed over, and that whoever got it could not write: it is nobody's."""

from collections.abc import Sequence

from entrenous.model.ids import MessageId
from entrenous.ports import Device


class NotWritten(Exception):
    """Thrown into a generator of marked copies: nobody has the one that it yielded last."""


def forget_unwritten(
    message: MessageId, places: Sequence[int], number: int, device: Device
) -> None:
    """Take copy ``number``, counted from 0, out of the ledger, where it stands as a batch of its
    own at these places of the message; with the first of them goes the message.
    """
    with device.vault.together():
        if number > 0:
            for place in places:
                device.ledger.add_copies(message, place, number, ())
            return
        sent = device.ledger.read(message)
        device.ledger.forget(message)
        clips = {blob for one in sent.clips for blob in (one.original, one.survey)}
        sounds = {blob for one in sent.sounds for blob in (one.original, one.contour)}
        for blob in clips | sounds:
            device.vault.forget(blob)
