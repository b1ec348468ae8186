"""A sender's device, marked copies of one photo, a leak, and the trace of the leak."""

import io
from dataclasses import dataclass

import numpy as np
import skimage.data
from PIL import Image

from entrenous.base.identifiers import RecipientId
from entrenous.device.device import Device
from entrenous.device.store.ledger import VaultLedger
from entrenous.media.picture_reader import read_picture
from entrenous.send.copies.mark_file import mark_picture_copies
from entrenous.trace.picture import PictureTrace, trace_picture
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.vault import MemoryVault
from tests.village.relay import relay_with_courier
from tests.village.world import RELAY_URL


@dataclass(frozen=True)
class TracedLeak:
    """A device that marked copies of a picture, a leak, and the trace of the leak."""

    device: Device
    original: bytes
    copies: dict[str, bytes]
    leak: bytes
    picture_trace: PictureTrace


def coffee_photo() -> Image.Image:
    """Return a photo of 360 x 240 pixels."""
    return Image.fromarray(np.asarray(skimage.data.coffee())).resize((360, 240))


def encode_jpeg(picture: Image.Image, quality: int = 90) -> bytes:
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=quality)
    return file.getvalue()


def open_picture(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def crop_jpeg(data: bytes, quality: int = 70) -> bytes:
    """Crop a picture of 360 x 240 pixels to 76 % of the area; return a JPEG."""
    return encode_jpeg(Image.open(io.BytesIO(data)).crop((16, 12, 332, 220)), quality)


def empty_device() -> Device:
    clock, rng, vault = SettableClock(), SeededRandomSource("ana"), MemoryVault()
    courier = relay_with_courier(RELAY_URL, clock, SeededRandomSource("relay"))[1]
    return Device(clock, rng, vault, VaultLedger(vault), courier, read_picture)


def mark_and_trace(names: tuple[str, ...], leaked_copy: str | None = None) -> TracedLeak:
    """Mark a photo for ``names``, and trace a crop of the copy for ``leaked_copy``.

    If ``leaked_copy`` is None, trace a crop of the original.
    """
    device, original = empty_device(), encode_jpeg(coffee_photo(), 95)
    labels = [RecipientId(name) for name in names]
    copies = {
        str(copy.to): copy.data for _, copy in mark_picture_copies(original, labels, None, device)
    }
    leak = crop_jpeg(original if leaked_copy is None else copies[leaked_copy])
    return TracedLeak(device, original, copies, leak, trace_picture(leak, device))
