"""An in-memory device that marks and traces pictures, and some photos for it."""

import io

import numpy as np
import skimage.data
from PIL import Image

from entrenous.base.identifiers import RecipientId
from entrenous.device.device import Device
from entrenous.device.store.ledger import VaultLedger
from entrenous.media.picture_reader import read_picture
from entrenous.send.copies.mark_file import mark_picture_copies
from entrenous.trace import picture
from entrenous.trace.originals import OriginalsCache
from entrenous.watermark.verdict import Trace
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.vault import MemoryVault
from tests.village.relay import relay_with_courier
from tests.village.world import RELAY_URL


def offline_device() -> Device:
    clock, rng, vault = SettableClock(), SeededRandomSource("ana"), MemoryVault()
    courier = relay_with_courier(RELAY_URL, clock, SeededRandomSource("relay"))[1]
    return Device(clock, rng, vault, VaultLedger(vault), courier, read_picture)


def encode_jpeg(picture: Image.Image, quality: int = 90) -> bytes:
    file = io.BytesIO()
    picture.convert("RGB").save(file, "JPEG", quality=quality)
    return file.getvalue()


def sample_photo(name: str) -> Image.Image:
    return Image.fromarray(np.asarray(getattr(skimage.data, name)()))


def mark_for_people(
    device: Device, photo: Image.Image, *people: str
) -> tuple[str, dict[str, bytes]]:
    """Mark a photo for these people; return the name of the message and each person's copy."""
    made = list(
        mark_picture_copies(
            encode_jpeg(photo, 95), [RecipientId(one) for one in people], None, device
        )
    )
    return made[0][0], {copy.to: copy.data for _, copy in made}


def trace_picture(
    untrusted_data: bytes, device: Device, originals: OriginalsCache | None = None
) -> Trace:
    """Trace a found picture; return the trace that the device records."""
    return picture.trace_picture(untrusted_data, device, originals=originals).trace
