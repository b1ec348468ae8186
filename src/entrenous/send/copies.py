"""Marked copies: one per recipient, all from one preparation of the original."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from queue import SimpleQueue
from typing import Final

import numpy as np

from entrenous.craft.crypto.derive import stream
from entrenous.craft.crypto.hashing import sha256
from entrenous.craft.mark.code import dither_bytes, stream_bytes
from entrenous.craft.mark.embed import colours, paint
from entrenous.craft.mark.lay_on import Canvas, canvas
from entrenous.craft.mark.luma import Pixels
from entrenous.craft.mark.prepare import Prepared, prepare
from entrenous.craft.media.finer import finer_needed
from entrenous.craft.media.resize import resize
from entrenous.craft.media.write import write_picture
from entrenous.model.picture import Picture
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.crew import crew_size, in_batches, in_order
from entrenous.spec import COPY_CONTEXT, DITHER_CONTEXT, SEED_BYTES

_TRIAL: Final = Secret(bytes(SEED_BYTES))  # of the copy that nobody gets: all others are as strong


@dataclass(frozen=True, slots=True, eq=False)
class Original:
    """A picture about to be sent: its samples, what marking needs, and the secret of its dither.

    ``dither_stream`` is what that secret grows into, and ``colours`` are the samples taken apart:
    every copy needs all of both.
    ``finer`` says how many steps finer than the original the copies are written.
    """

    source: bytes
    picture: Picture
    prepared: Prepared
    colours: tuple[Pixels, ...]
    dither: Secret
    dither_stream: bytes
    size_px: int | None
    finer: int = 0


@dataclass(frozen=True, slots=True)
class MadeCopy:
    """One recipient's copy as a file, and the secret that its mark grew from."""

    seed: Secret
    data: bytes
    sha256: bytes


def prepare_original(untrusted_data: bytes, size_px: int | None, device: Device) -> Original:
    """Decode a picture in the jail, reduce it if asked, measure where a mark can hide and how
    finely a copy must be written.

    Raises:
        NotAPicture, CutShort, TooManyPixels, DecoderGaveUp, TooSmallToMark.
    """
    read = device.read_picture(untrusted_data)
    picture = read if size_px is None else resize(read, size_px)
    dither = Secret(device.dice.token(SEED_BYTES))
    size = dither_bytes(picture.width_px, picture.height_px)
    prepared = prepare(np.asarray(picture))
    original = Original(
        untrusted_data,
        picture,
        prepared,
        colours(prepared),
        dither,
        stream(dither, DITHER_CONTEXT, size),
        size_px,
    )
    trial = canvas(*original.prepared.layout.full)
    _paint(original, _TRIAL, trial)
    return replace(original, finer=finer_needed(picture, trial.pixels))


def new_seed(device: Device) -> Secret:
    """The secret that one copy's mark grows from."""
    return Secret(device.dice.token(SEED_BYTES))


def write_copy(original: Original, seed: Secret) -> bytes:
    """One marked copy as a file: no metadata, the original's format, size and colours."""
    return _write(original, seed, canvas(*original.prepared.layout.full))


def write_copies(
    original: Original, seeds: Iterable[Secret]
) -> Generator[tuple[MadeCopy, ...], None, None]:
    """Copy after copy, in the order of their seeds, on all processors; what is ready comes
    together.

    A seed is taken when somebody is free for it, and what is made waits to be asked for, so memory
    does not grow with the number of copies.
    """
    workers = crew_size(original.picture.pixels)
    free = SimpleQueue[Canvas]()  # one canvas for each worker, used again and again
    for _ in range(workers):
        free.put(canvas(*original.prepared.layout.full))

    def make(seed: Secret) -> MadeCopy:
        onto = free.get()
        try:
            data = _write(original, seed, onto)
        finally:
            free.put(onto)
        return MadeCopy(seed, data, sha256(data))

    return in_batches(make, seeds, workers)


def write_each(
    originals: Sequence[Original], seeds: Sequence[tuple[Secret, ...]]
) -> Generator[tuple[MadeCopy, ...], None, None]:
    """For one recipient after the other their copies of all pictures, on all processors.

    ``seeds`` has for each recipient one seed a picture.
    """

    def make(job: tuple[Original, Secret]) -> MadeCopy:
        data = write_copy(*job)
        return MadeCopy(job[1], data, sha256(data))

    jobs = (job for own in seeds for job in zip(originals, own, strict=True))
    workers = crew_size(max(original.picture.pixels for original in originals))
    with closing(in_order(make, jobs, workers)) as made:
        for _ in seeds:
            yield tuple(islice(made, len(originals)))


def _write(original: Original, seed: Secret, onto: Canvas) -> bytes:
    _paint(original, seed, onto)
    return write_picture(original.picture, onto.pixels, finer=original.finer)


def _paint(original: Original, seed: Secret, onto: Canvas) -> None:
    picture = original.picture
    size = stream_bytes(picture.width_px, picture.height_px)
    key_stream = stream(seed, COPY_CONTEXT, size)
    paint(original.prepared, original.colours, key_stream, original.dither_stream, onto=onto)
