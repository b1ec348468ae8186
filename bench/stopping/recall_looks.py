"""The hashes that a device registers for a photograph, and all hashes a gate makes of an upload."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.attacks.kinds import Rgb
from bench.stopping.recall_pictures import Subject
from entrenous.base.limits import (
    PART_COMPARISON_SIDE_PX_MIN,
    PDQ_BYTES,
    PDQ_QUALITY_MIN,
    WHOLE_COMPARISON_SIDE_PX_MIN,
)
from entrenous.base.picture import Picture, PictureEncoding, PictureFormat
from entrenous.fingerprint.crops import window_hashes
from entrenous.fingerprint.pdq import fingerprint
from entrenous.media.picture_reader import read_picture
from entrenous.stop.judge.deferred_scan import views_for_deferred_scan
from entrenous.stop.judge.scan import HashViews, scan_whole_picture

Words = NDArray[np.uint64]

_ROWS: Final = 2_000  # hashes compared at a time


@dataclass(frozen=True, slots=True)
class Registered:
    """A photograph, its hash ``whole`` (1, 4), and the hashes of its windows ``parts`` (N, 4)."""

    subject: Subject
    whole: Words
    parts: Words


@dataclass(frozen=True, slots=True)
class UploadHashes:
    """The hashes (N, 4) of an upload: ``fast`` are those of the first scan.

    Those of the deferred scan are ``deep``, which are compared with whole pictures, and
    ``deep_parts``, which are compared with windows.
    """

    fast: Words
    deep: Words
    deep_parts: Words


def register(subject: Subject) -> Registered | None:
    """Hash a photograph as `protect` does on a device; return None if it has too little detail."""
    picture = picture_of(subject.rgb)
    whole = fingerprint(picture)
    if whole.quality < PDQ_QUALITY_MIN:
        report_progress(f"too flat to register: {subject.name}")
        return None
    return Registered(subject, words(whole.bits), words(b"".join(window_hashes(picture))))


def hash_upload(upload: bytes) -> UploadHashes:
    """Return all hashes of an upload, decoded at the sizes that a gate uses for each scan.

    :mod:`entrenous.stop.store.open_gate` sets these sizes. The one for the first scan is that of a
    gate which does not look for parts before its answer.
    """
    _, fast = scan_whole_picture(
        lambda px: read_picture(upload, at_least_px=px, luma=True), WHOLE_COMPARISON_SIDE_PX_MIN
    )
    slow = list(
        views_for_deferred_scan(read_picture(upload, at_least_px=PART_COMPARISON_SIDE_PX_MIN))
    )
    return UploadHashes(
        hashes_of_views(fast.whole),
        hashes_of_views(view for some in slow if not some.part for view in some.views),
        hashes_of_views(view for some in slow if some.part for view in some.views),
    )


def nearest(queries: Words, hashes: Words) -> int:
    """Return the least distance, in bits, of any query (Q, 4) to any hash (N, 4).

    It is 256 if there are no queries or no hashes.
    """
    return int(nearest_each(hashes, queries).min(initial=256))


def nearest_each(hashes: Words, queries: Words) -> NDArray[np.int64]:
    """Return (N,): the least distance, in bits, of each hash (N, 4) to any query (Q, 4)."""
    best = np.full(len(hashes), 256, dtype=np.int64)
    for start in range(0, len(queries), _ROWS):
        some = queries[start : start + _ROWS]
        bits = sum(
            np.bitwise_count(some[:, None, word] ^ hashes[None, :, word]).astype(np.uint16)
            for word in range(4)
        )
        best = np.minimum(best, np.asarray(bits).min(axis=0, initial=256))
    return best


def words(hashes: bytes) -> Words:
    """Return concatenated hashes of 32 bytes as (N, 4) words of 64 bits."""
    return np.frombuffer(hashes, dtype=np.uint64).reshape(-1, PDQ_BYTES // 8)


def picture_of(rgb: Rgb) -> Picture:
    """Return the picture that the decoder would return for a PNG with these pixels."""
    high, wide = rgb.shape[:2]
    return Picture(
        wide, high, np.ascontiguousarray(rgb).tobytes(), PictureEncoding(PictureFormat.PNG)
    )


def hashes_of_views(views: HashViews | Iterator[tuple[str, bytes]]) -> Words:
    """Return the hashes of views, as (N, 4) words."""
    return words(b"".join(bits for _, bits in views))


def report_progress(line: str) -> None:
    """Write a line about progress to standard error."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201
