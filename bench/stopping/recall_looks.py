"""What a device registers of a photograph, and all that a gate sees in an upload."""

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
    """What a platform knows of a photograph."""

    subject: Subject
    whole: Words
    parts: Words


@dataclass(frozen=True, slots=True)
class Looked:
    """The hashes of an upload: of the fast look, and of the slow one by what they are held to."""

    fast: Words
    deep: Words
    deep_parts: Words


def register(subject: Subject) -> Registered | None:
    """As `protect` does on the person's device; None when there is too little detail."""
    picture = picture_of(subject.rgb)
    whole = fingerprint(picture)
    if whole.quality < PDQ_QUALITY_MIN:
        tell(f"too flat to register: {subject.name}")
        return None
    return Registered(subject, words(whole.bits), words(b"".join(window_hashes(picture))))


def look(upload: bytes) -> Looked:
    """All hashes of an upload, read as :mod:`entrenous.stop.store.open_gate` has it read."""
    _, fast = scan_whole_picture(
        lambda px: read_picture(upload, at_least_px=px, luma=True), WHOLE_COMPARISON_SIDE_PX_MIN
    )
    slow = list(
        views_for_deferred_scan(read_picture(upload, at_least_px=PART_COMPARISON_SIDE_PX_MIN))
    )
    return Looked(
        bits_of(fast.whole),
        bits_of(view for some in slow if not some.part for view in some.views),
        bits_of(view for some in slow if some.part for view in some.views),
    )


def nearest(queries: Words, hashes: Words) -> int:
    """The fewest bits between any of (Q, 4) and any of (N, 4) words; 256 when one is empty."""
    return int(nearest_each(hashes, queries).min(initial=256))


def nearest_each(hashes: Words, queries: Words) -> NDArray[np.int64]:
    """For each of (N, 4) words the fewest bits to any of (Q, 4)."""
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
    """Hashes of 32 bytes, one after the other, as (N, 4) words."""
    return np.frombuffer(hashes, dtype=np.uint64).reshape(-1, PDQ_BYTES // 8)


def picture_of(rgb: Rgb) -> Picture:
    """As the decoder would give it."""
    high, wide = rgb.shape[:2]
    return Picture(
        wide, high, np.ascontiguousarray(rgb).tobytes(), PictureEncoding(PictureFormat.PNG)
    )


def bits_of(views: HashViews | Iterator[tuple[str, bytes]]) -> Words:
    """The hashes of some views, (N, 4)."""
    return words(b"".join(bits for _, bits in views))


def tell(line: str) -> None:
    """For whoever watches."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201
