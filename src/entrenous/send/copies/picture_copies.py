"""Make marked copies of a picture, all from one preparation of the original; compute its
features.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from queue import SimpleQueue
from threading import Lock
from typing import Final

import numpy as np
from PIL import Image

from entrenous.base.copies import Copy
from entrenous.base.errors import note_error_file_index
from entrenous.base.identifiers import BlobId, MessageId
from entrenous.base.limits import COPY_MARK_KEY_CONTEXT, DITHER_KEY_CONTEXT, MARK_SEED_BYTES
from entrenous.base.picture import Picture
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.crypto.key_derivation import derive_key_stream
from entrenous.device.device import Device
from entrenous.device.sent_messages import SentPicture
from entrenous.fingerprint.pdq import fingerprint
from entrenous.fingerprint.picture_record import make_picture_record
from entrenous.media.picture_writer import quality_steps_needed, write_picture
from entrenous.media.previews import amplified_difference, encode_jpeg, small_jpeg
from entrenous.media.resize import shrink_picture
from entrenous.send.copies.worker_pool import (
    ordered_batches,
    ordered_results,
    pool_size,
    run_in_this_thread,
    start_in_thread,
)
from entrenous.send.letter.letter_nouns import FileRole
from entrenous.send.message.prepared_files import CopyFormat, LedgerEntries
from entrenous.send.message.transfer_progress import ByteCounter
from entrenous.watermark.chip_layout import Shape, dither_stream_bytes, key_stream_bytes
from entrenous.watermark.embed import (
    CopyCanvas,
    PreparedPicture,
    new_copy_canvas,
    paint_copy,
    prepare_picture,
    split_colours,
)
from entrenous.watermark.pyramid import Pixels

_TRIAL_COPY_SEED: Final = Secret(
    bytes(MARK_SEED_BYTES)
)  # the seed of the trial copy; nobody receives that copy


@dataclass(frozen=True, slots=True, eq=False)
class PictureOriginal:
    """A picture about to be sent: its samples, what marking needs, and the secret of its dither.

    ``dither_stream`` is expanded from the secret ``dither``, and ``colours`` are the separated
    samples; both are made once for all copies. ``look`` gives the features by which the ledger
    finds the original of a leak; another thread may still be computing them.
    """

    source: bytes
    picture: Picture
    prepared: PreparedPicture
    colours: tuple[Pixels, ...]
    dither: Secret
    dither_stream: bytes
    look: Future[bytes]
    trial: "TrialCopy"
    size_px: int | None

    @property
    def finer_quality_steps(self) -> int:
        """The number of quality steps by which copies are encoded finer than the original."""
        return self.trial.finer_quality_steps


class TrialCopy:
    """A trial copy, marked as strongly as all other copies, to find the quality that they need.

    The first thread with a free canvas makes it, while other threads already paint copies.
    """

    def __init__(self, shape: Shape, judge: Callable[[CopyCanvas], int]) -> None:
        """``shape`` is (rows, columns); ``judge`` paints over the canvas that it is given."""
        self._shape = shape
        self._judge = judge
        self._finer: int | None = None
        self._lock = Lock()

    def make_if_needed(self, onto: CopyCanvas) -> None:
        """Make the trial copy, unless it exists or another thread is making it."""
        if self._lock.acquire(blocking=False):
            try:
                self._measure_trial(lambda: onto)
            finally:
                self._lock.release()

    @property
    def finer_quality_steps(self) -> int:
        """Return the number of quality steps, after waiting for another thread or making the
        trial copy.
        """
        with self._lock:
            return self._measure_trial(lambda: new_copy_canvas(*self._shape))

    def _measure_trial(self, room: Callable[[], CopyCanvas]) -> int:
        if self._finer is None:
            self._finer = self._judge(room())
        return self._finer


@dataclass(frozen=True, slots=True)
class MarkedCopy:
    """One recipient's copy as a file, and the seed of its mark."""

    seed: Secret
    data: bytes
    sha256: bytes


def prepare_original(
    untrusted_data: bytes, size_px: int | None, device: Device, *, sparing: bool = False
) -> PictureOriginal:
    """Decode a picture in the sandbox, scale it down if requested, and measure where marks can
    hide.

    Another thread computes the picture's features. With ``sparing``, this thread computes them
    first, which saves memory.

    Raises:
        NotAPicture, IncompletePicture, TooManyPixels, PictureDecodingFailed, TooSmallToMark.
    """
    decoded = device.read_picture(untrusted_data)
    picture = decoded if size_px is None else shrink_picture(decoded, size_px)
    # Each step keeps one processor busy; doing two at once takes twice the memory.
    look = (run_in_this_thread if sparing else start_in_thread)(
        lambda: make_picture_record(picture)
    )
    dither = Secret(device.random_source.token(MARK_SEED_BYTES))
    size = dither_stream_bytes(picture.width_px, picture.height_px)
    dither_stream = derive_key_stream(dither, DITHER_KEY_CONTEXT, size)
    prepared = prepare_picture(np.asarray(picture))
    separated = split_colours(prepared)

    def finer_steps_needed(trial: CopyCanvas) -> int:
        paint_copy(
            prepared,
            separated,
            _key_stream_of_mark(picture, _TRIAL_COPY_SEED),
            dither_stream,
            onto=trial,
        )
        return quality_steps_needed(picture, trial.pixels)

    trial = TrialCopy(prepared.layout.full, finer_steps_needed)
    return PictureOriginal(
        untrusted_data, picture, prepared, separated, dither, dither_stream, look, trial, size_px
    )


def new_mark_seed(device: Device) -> Secret:
    return Secret(device.random_source.token(MARK_SEED_BYTES))


def write_picture_copy(original: PictureOriginal, seed: Secret) -> bytes:
    """Return one marked copy as a file without metadata, with the original's size and colours, and
    in the original's format (HEIC becomes JPEG).
    """
    return _write_copy_on_canvas(original, seed, new_copy_canvas(*original.prepared.layout.full))


def write_picture_copies(
    original: PictureOriginal, seeds: Iterable[Secret]
) -> Generator[tuple[MarkedCopy, ...], None, None]:
    """Make copies in the order of their seeds, on all processors; yield batches of finished ones.

    Only a few copies are made ahead of the caller, so memory does not grow with the number of
    copies.
    """
    workers = pool_size(original.picture.pixel_count)
    free_canvases = SimpleQueue[CopyCanvas]()  # one canvas per worker, reused
    for _ in range(workers):
        free_canvases.put(new_copy_canvas(*original.prepared.layout.full))

    def make_copy(seed: Secret) -> MarkedCopy:
        canvas = free_canvases.get()
        try:
            data = _write_copy_on_canvas(original, seed, canvas)
        finally:
            free_canvases.put(canvas)
        return MarkedCopy(seed, data, sha256(data))

    return ordered_batches(make_copy, seeds, workers)


def write_copies_per_recipient(
    originals: Sequence[PictureOriginal],
    seeds: Sequence[tuple[Secret, ...]],
    done: Callable[[PictureOriginal], None],
) -> Generator[tuple[MarkedCopy, ...], None, None]:
    """For each recipient, yield their copies of all pictures, made on as many processors as the
    memory allows.

    ``seeds`` has one seed per picture for each recipient. Apart from the originals, memory holds
    one unfinished copy per worker and a few finished ones. ``done`` is called with the original of
    each finished copy.
    """

    def make_copy(job: tuple[PictureOriginal, Secret]) -> MarkedCopy:
        data = write_picture_copy(*job)
        return MarkedCopy(job[1], data, sha256(data))

    jobs = (job for own in seeds for job in zip(originals, own, strict=True))
    workers = pool_size(max(original.picture.pixel_count for original in originals), sparing=True)
    making = (
        ordered_results(make_copy, jobs, workers)
        if workers > 1
        else (make_copy(job) for job in jobs)
    )
    with closing(making) as made:
        for _ in seeds:
            yield tuple(_report_each_copy(originals, made, done))


def _report_each_copy(
    originals: Sequence[PictureOriginal],
    made: Iterator[MarkedCopy],
    done: Callable[[PictureOriginal], None],
) -> Iterator[MarkedCopy]:
    for original, copy in zip(originals, made, strict=False):
        done(original)
        yield copy


def _write_copy_on_canvas(original: PictureOriginal, seed: Secret, onto: CopyCanvas) -> bytes:
    original.trial.make_if_needed(onto)
    _paint_copy(original, seed, onto)
    return write_picture(original.picture, onto.pixels, finer=original.finer_quality_steps)


def _paint_copy(original: PictureOriginal, seed: Secret, onto: CopyCanvas) -> None:
    key_stream = _key_stream_of_mark(original.picture, seed)
    paint_copy(original.prepared, original.colours, key_stream, original.dither_stream, onto=onto)


def _key_stream_of_mark(picture: Picture, seed: Secret) -> bytes:
    return derive_key_stream(
        seed, COPY_MARK_KEY_CONTEXT, key_stream_bytes(picture.width_px, picture.height_px)
    )


def picture_ledger_entry(
    original: PictureOriginal, source_blob: BlobId, copies: tuple[Copy, ...]
) -> SentPicture:
    """Return the ledger's entry for a picture; ``source_blob`` is the original's file in the
    vault.
    """
    return SentPicture(
        original=source_blob,
        fingerprint=fingerprint(original.picture),
        dither=original.dither,
        copies=copies,
        size_px=original.size_px,
        finer=original.finer_quality_steps,
    )


def store_picture_features(
    message: MessageId, originals: Sequence[PictureOriginal], device: Device
) -> None:
    """Store the features of a recorded message's pictures, so that crops of them are found."""
    for position, original in enumerate(originals):
        device.ledger.store_existing_picture_record(message, position, original.look.result())


@dataclass(frozen=True, slots=True)
class MessagePictures:
    """The pictures of one message, prepared for marking and copied together."""

    places: tuple[int, ...]
    originals: tuple[PictureOriginal, ...]

    @property
    def copy_formats(self) -> tuple[CopyFormat, ...]:
        formats = (original.picture.encoding.format for original in self.originals)
        return tuple(CopyFormat(one.copy_format.media_type, FileRole.PICTURE) for one in formats)

    def make_copies(
        self, people: int, device: Device, marking: ByteCounter
    ) -> Generator[tuple[MarkedCopy, ...], None, None]:
        marking.add(0)  # shows the progress bar before the first copy is done
        seeds = [tuple(new_mark_seed(device) for _ in self.originals) for _ in range(people)]
        return write_copies_per_recipient(
            self.originals, seeds, lambda one: marking.add(len(one.source))
        )

    def keep_originals(self, copies: Sequence[tuple[Copy, ...]], device: Device) -> LedgerEntries:
        kept = [device.vault.store_file(original.source) for original in self.originals]
        by_part = map(picture_ledger_entry, self.originals, kept, copies)
        numbered = zip(by_part, self.places, strict=True)
        return LedgerEntries(tuple(replace(one, place=place + 1) for one, place in numbered))

    def store_features(self, message: MessageId, device: Device) -> None:
        store_picture_features(message, self.originals, device)


def prepare_message_pictures(
    files: Sequence[tuple[int, bytes]], size_px: int | None, device: Device, preparing: ByteCounter
) -> MessagePictures:
    """Prepare pictures; each item of ``files`` is a picture's place in the message and its content.
    ``preparing`` counts the bytes of prepared pictures.

    Raises:
        NotAPicture, IncompletePicture, TooManyPixels, PictureDecodingFailed, TooSmallToMark.
    """
    places = tuple(place for place, _ in files)
    return MessagePictures(
        places, tuple(_prepare_picture(*file, size_px, device, preparing) for file in files)
    )


def _prepare_picture(
    place: int, untrusted_data: bytes, size_px: int | None, device: Device, preparing: ByteCounter
) -> PictureOriginal:
    reached = preparing.counting_callback(len(untrusted_data))
    with note_error_file_index(place):
        original = prepare_original(untrusted_data, size_px, device, sparing=True)
    reached(1.0)
    return original


DIFFERENCE_AMPLIFICATION: Final = 20  # a mark changes most pixels by one to three of 255 levels


@dataclass(frozen=True, slots=True)
class CopyPreview:
    """JPEGs of one size: the original, a copy with a real mark, and their difference multiplied by
    :data:`DIFFERENCE_AMPLIFICATION`.
    """

    width_px: int
    height_px: int
    original: bytes
    copy: bytes
    difference: bytes


def preview_copy(untrusted_data: bytes, longest_side_px: int, device: Device) -> CopyPreview:
    """Mark a scaled-down picture like a recipient's copy, and compare it with the original.

    Raises:
        NotAPicture, IncompletePicture, TooManyPixels, PictureDecodingFailed, TooSmallToMark.
    """
    original = prepare_original(untrusted_data, longest_side_px, device)
    copy = device.read_picture(write_picture_copy(original, new_mark_seed(device)))
    apart = amplified_difference(
        np.asarray(original.picture), np.asarray(copy), DIFFERENCE_AMPLIFICATION
    )
    return CopyPreview(
        copy.width_px,
        copy.height_px,
        small_jpeg(original.picture, longest_side_px),
        small_jpeg(copy, longest_side_px),
        encode_jpeg(Image.fromarray(apart)),
    )
