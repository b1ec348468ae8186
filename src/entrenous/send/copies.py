"""Marked copies: one per recipient, all from one preparation of the original."""

from dataclasses import dataclass

import numpy as np

from entrenous.craft.crypto.derive import stream
from entrenous.craft.mark.code import dither_bytes, stream_bytes
from entrenous.craft.mark.embed import embed
from entrenous.craft.mark.prepare import Prepared, prepare
from entrenous.craft.media.resize import resize
from entrenous.craft.media.write import write_picture
from entrenous.model.picture import Picture
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.spec import COPY_CONTEXT, DITHER_CONTEXT, SEED_BYTES


@dataclass(frozen=True, slots=True)
class Original:
    """A picture about to be sent: its samples, what marking needs, and the secret of its dither."""

    source: bytes
    picture: Picture
    prepared: Prepared
    dither: Secret
    size_px: int | None


def prepare_original(untrusted_data: bytes, size_px: int | None, device: Device) -> Original:
    """Decode a picture in the jail, reduce it if asked, and measure where a mark can hide.

    Raises:
        NotAPicture, CutShort, TooManyPixels, DecoderGaveUp, TooSmallToMark.
    """
    read = device.read_picture(untrusted_data)
    picture = read if size_px is None else resize(read, size_px)
    dither = Secret(device.dice.token(SEED_BYTES))
    return Original(untrusted_data, picture, prepare(np.asarray(picture)), dither, size_px)


def new_seed(device: Device) -> Secret:
    """The secret that one copy's mark grows from."""
    return Secret(device.dice.token(SEED_BYTES))


def write_copy(original: Original, seed: Secret) -> bytes:
    """One marked copy as a file: no metadata, the original's format, size and colours."""
    width_px, height_px = original.picture.width_px, original.picture.height_px
    marked = embed(
        original.prepared,
        stream(seed, COPY_CONTEXT, stream_bytes(width_px, height_px)),
        stream(original.dither, DITHER_CONTEXT, dither_bytes(width_px, height_px)),
    )
    return write_picture(original.picture, marked)
