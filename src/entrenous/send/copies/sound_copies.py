"""Make marked copies of a sound: for a message, or for people who get them by another channel."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from entrenous.base.audio_video import Sound
from entrenous.base.copies import Copy
from entrenous.base.identifiers import MessageId, MessageName, RecipientId
from entrenous.base.limits import SOUND_MARK_KEY_CONTEXT
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.crypto.key_derivation import derive_key_stream
from entrenous.device.device import Device
from entrenous.device.sent_messages import Message, SentSound
from entrenous.media.sound_writer import write_sound, written_format
from entrenous.send.copies.mark_file import CopyRecorder, MarkedFile
from entrenous.send.copies.picture_copies import MarkedCopy, new_mark_seed
from entrenous.send.copies.worker_pool import ordered_results, pool_size
from entrenous.send.letter.letter_nouns import FileRole
from entrenous.send.message.prepared_files import CopyFormat, LedgerEntries
from entrenous.send.message.transfer_progress import ByteCounter, ProgressCallback
from entrenous.watermark.audio_location import compute_contour
from entrenous.watermark.audio_mark import (
    PreparedSound,
    embed_sound_mark,
    key_stream_bytes,
    prepare_sound,
)

_PIXELS_OF_MEMORY_PER_SAMPLE: Final = (
    2  # a sample in progress takes as much memory as this many pixels
)


def mark_sound_copies(
    untrusted_data: bytes, to: Sequence[RecipientId], device: Device
) -> Generator[tuple[MessageName, MarkedFile], None, None]:
    """Yield one marked copy per recipient; each is in the ledger before it is yielded.

    If the caller stops early, the ledger has the copies that were yielded and no others; throw
    CopyNotWritten into the generator to remove the copy that it yielded last.

    Raises:
        NoSoundFound, UnsupportedSoundCodec, SoundTooLong, DamagedSound, SoundTooShortToMark,
        TooQuietToMark.
    """
    sound = device.read_sound(untrusted_data)
    prepared = prepare_sound(np.asarray(sound), sound.rate_hz)
    search_index = compute_contour(prepared.mono)

    def store_original(id_: MessageId, name: MessageName, at: datetime) -> Message:
        kept = device.vault.store_file(untrusted_data), device.vault.store_file(search_index)
        return Message(id_, name, at, (), sounds=(SentSound(*kept, sound.length_s, ()),))

    def make_copy(job: tuple[RecipientId, Secret]) -> tuple[Copy, bytes]:
        data = write_sound_copy(sound, prepared, job[1])
        return Copy(*job, sha256(data)), data

    recording = CopyRecorder(device, (0,), store_original)
    workers = sound_pool_size(sound)
    jobs = ((recipient, new_mark_seed(device)) for recipient in to)
    suffix = written_format(sound.encoding).suffix
    with closing(ordered_results(make_copy, jobs, workers)) as finished:
        for copy, data in finished:
            yield from recording.record_and_yield(copy, MarkedFile(copy.to, data, suffix))


def sound_pool_size(sound: Sound) -> int:
    """Return how many workers may make copies of this sound at once."""
    return pool_size(_PIXELS_OF_MEMORY_PER_SAMPLE * len(sound) * sound.channels)


def write_sound_copy(sound: Sound, prepared: PreparedSound, seed: Secret) -> bytes:
    """Return one marked copy as a file: without metadata, in the original's codec and at roughly
    its bit rate.
    """
    size = key_stream_bytes(len(sound), sound.rate_hz)
    return write_sound(
        sound, embed_sound_mark(prepared, derive_key_stream(seed, SOUND_MARK_KEY_CONTEXT, size))
    )


@dataclass(frozen=True, slots=True, eq=False)
class MessageSound:
    """One sound of a message."""

    places: tuple[int]
    source: bytes
    sound: Sound
    prepared: PreparedSound

    @property
    def copy_formats(self) -> tuple[CopyFormat, ...]:
        return (CopyFormat(written_format(self.sound.encoding).media_type, FileRole.VOICE),)

    def make_copies(
        self, people: int, device: Device, marking: ByteCounter
    ) -> Generator[tuple[MarkedCopy, ...], None, None]:
        def make_copy(seed: Secret) -> tuple[MarkedCopy, ...]:
            data = write_sound_copy(self.sound, self.prepared, seed)
            return (MarkedCopy(seed, data, sha256(data)),)

        seeds = (new_mark_seed(device) for _ in range(people))
        marking.add(0)  # shows the progress bar before the first copy is done
        with closing(ordered_results(make_copy, seeds, sound_pool_size(self.sound))) as made:
            for one in made:
                marking.add(len(self.source))
                yield one

    def keep_originals(self, copies: Sequence[tuple[Copy, ...]], device: Device) -> LedgerEntries:
        """Store the original, and the data for tracing it."""
        (made,) = copies
        kept = device.vault.store_file(self.source)
        contour_blob = device.vault.store_file(compute_contour(self.prepared.mono))
        length_s, place = self.sound.length_s, self.places[0] + 1
        return LedgerEntries(sounds=(SentSound(kept, contour_blob, length_s, made, place),))

    def store_features(self, message: MessageId, device: Device) -> None:
        """Do nothing: a trace finds a sound by its loudness contour, which ``keep_originals``
        stores.
        """


def prepare_message_sound(
    place: int, untrusted_data: bytes, device: Device, reached: ProgressCallback
) -> MessageSound:
    """Prepare a sound; ``reached`` is called once, at the end.

    Raises:
        NoSoundFound, UnsupportedSoundCodec, SoundTooLong, DamagedSound, SoundTooShortToMark,
        TooQuietToMark.
    """
    sound = device.read_sound(untrusted_data)
    prepared = prepare_sound(np.asarray(sound), sound.rate_hz)
    reached(1.0)
    return MessageSound((place,), untrusted_data, sound, prepared)
