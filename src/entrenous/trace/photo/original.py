"""The pictures that copies were marked from, as they were then."""

from entrenous.craft.media.resize import resize
from entrenous.model.message import SentPicture
from entrenous.model.picture import Picture
from entrenous.ports import Device


def original_of(sent: SentPicture, device: Device) -> Picture:
    """The picture that a message's copies were marked from, decoded and reduced as it was then.

    Raises:
        NoSuchBlob: its file is gone from the vault; DecoderGaveUp and its kin.
    """
    return read_original(device.vault.kept(sent.original), sent.size_px, device)


def read_original(source: bytes, size_px: int | None, device: Device) -> Picture:
    """The same from the source file's bytes."""
    read = device.read_picture(source)
    return read if size_px is None else resize(read, size_px)
