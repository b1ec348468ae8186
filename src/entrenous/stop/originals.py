"""The files of a message that was sent from here, or marked for another channel: to protect them
nobody has to find them again.
"""

from collections.abc import Iterator

from entrenous.model.message import Message, SentClip, SentPicture, SentSound
from entrenous.ports import Device


def originals_of(message: Message, device: Device) -> Iterator[bytes]:
    """Every file as it was before it was marked, in the order in which it was sent; one at a time.

    What is heard in a clip is in the clip, and no file of its own.
    """
    parts: tuple[SentPicture | SentClip | SentSound, ...] = (
        *message.pictures,
        *message.clips,
        *message.sounds,
    )
    for original in dict.fromkeys(
        part.original for part in sorted(parts, key=lambda part: part.place or 0)
    ):
        yield device.vault.kept(original)
