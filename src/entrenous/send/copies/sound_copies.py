"""Marked copies of a sound."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from entrenous.base.audio_video import Sound
from entrenous.base.copies import Copy
from entrenous.base.identifiers import ID_BYTES, MessageId, MessageName, RecipientId
from entrenous.base.limits import SOUND_CONTEXT
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.crypto.key_derivation import stream
from entrenous.device.device import Device
from entrenous.device.sent_messages import Message, SentSound
from entrenous.media.sound_writer import write_sound, written_as
from entrenous.send.copies.mark_file import MarkedFile, NotWritten, forget_unwritten
from entrenous.send.copies.picture_copies import new_seed
from entrenous.send.copies.worker_pool import in_order, pool_size
from entrenous.send.inbox import new_name
from entrenous.watermark.audio_location import contour
from entrenous.watermark.audio_mark import PreparedSound, embed, prepare, stream_bytes

_PIXELS_PER_SAMPLE: Final = 2  # a sample in progress takes as much memory as this many pixels


@dataclass(frozen=True, slots=True)
class _Made:
    to: RecipientId
    seed: Secret
    data: bytes


def mark_sound_copies(
    untrusted_data: bytes, to: Sequence[RecipientId], device: Device
) -> Generator[tuple[MessageName, MarkedFile], None, None]:
    """Yield one marked copy per recipient; each is in the ledger before it is yielded.

    If the caller stops early, the ledger has the copies that were yielded and no others; throwing
    NotWritten in removes the last one too.

    Raises:
        NotASound, SoundUnknown, SoundTooLong, SoundBroken, SoundTooShortToMark, TooQuietToMark.
    """
    sound = device.read_sound(untrusted_data)
    prepared = prepare(np.asarray(sound), sound.rate_hz)
    marking = _Marking(
        MessageId(device.dice.token(ID_BYTES)),
        new_name(device),
        device.clock.now(),
        untrusted_data,
        contour(prepared.mono),
        sound.length_s,
    )
    workers = sound_pool_size(sound)
    jobs = ((recipient, new_seed(device)) for recipient in to)

    def make(job: tuple[RecipientId, Secret]) -> _Made:
        return _Made(*job, write_copy(sound, prepared, job[1]))

    suffix = written_as(sound.encoding).suffix
    with closing(in_order(make, jobs, workers)) as finished:
        for made in finished:
            marking.add(made, device)
            try:
                yield marking.name, MarkedFile(made.to, made.data, suffix)
            except NotWritten:
                marking.made -= 1
                forget_unwritten(marking.id, (0,), marking.made, device)
                raise


def sound_pool_size(sound: Sound) -> int:
    """Return how many workers may make copies of this sound at once."""
    return pool_size(_PIXELS_PER_SAMPLE * len(sound) * sound.channels)


def write_copy(sound: Sound, prepared: PreparedSound, seed: Secret) -> bytes:
    """Return one marked copy as a file: no metadata, the original's codec, about its bit rate."""
    size = stream_bytes(len(sound), sound.rate_hz)
    return write_sound(sound, embed(prepared, stream(seed, SOUND_CONTEXT, size)))


@dataclass(slots=True)
class _Marking:
    """A message whose copies are being made; ``made`` of them are in the ledger."""

    id: MessageId
    name: MessageName
    at: datetime
    source: bytes
    contour: bytes
    length_s: float
    made: int = 0

    def add(self, made: _Made, device: Device) -> None:
        """Add one copy to the ledger, and the original with the first."""
        copy = Copy(made.to, made.seed, sha256(made.data))
        with device.vault.together():
            if not self.made:
                kept = device.vault.keep(self.source), device.vault.keep(self.contour)
                sent = SentSound(*kept, self.length_s, ())
                device.ledger.record(Message(self.id, self.name, self.at, (), sounds=(sent,)))
            device.ledger.add_copies(self.id, 0, self.made, (copy,))
        self.made += 1
