"""Which edited uploads are recognised, fast and slowly, and how often a stranger's is?

    python -m bench.stopping.recall              all photographs and edits: about an hour
    python -m bench.stopping.recall --quick      some of both: about a minute
    python -m bench.stopping.recall --embedding  with the look by an embedding (the extra) as well

A person registers a photograph (its hash, and windows of it); it is edited, saved as a JPEG and
uploaded, and decoded as finely as a gate does for each look. `fast` is the look before the answer,
`deep` adds the slow one, `deep, no windows` is for a person who registered the hash of the whole
alone. False pairs: uploads that fit another's photograph. Photographs that were tuned on and those
held out are counted apart. The last line is one JSON object.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.attacks.kinds import Rgb, Rng
from bench.attacks.save import load
from bench.stopping.alike import Alike
from bench.stopping.recall_edits import EDITS
from bench.stopping.recall_pictures import Subject, subjects
from entrenous.craft.fingerprint.parts import part_hashes
from entrenous.craft.fingerprint.picture import fingerprint
from entrenous.craft.media.picture import read_picture
from entrenous.model.picture import Encoding, Picture, PictureFormat
from entrenous.spec import (
    GATE_SIDE_PX,
    PDQ_BYTES,
    PDQ_QUALITY_MIN,
    PDQ_RADIUS,
    WHOLE_SIDE_PX,
)
from entrenous.stop.before_answer import fast_look
from entrenous.stop.deep import deep_views
from entrenous.stop.look import Seen, fast_views

Words = NDArray[np.uint64]

QUICK: Final = (
    "jpeg 10",
    "quarter size",
    "mirror",
    "border 5",
    "letterbox 1:1",
    "crop 30 of area",
    "crop 30 of sides",
    "turn 10",
    "caption bar",
    "meme text",
    "screenshot of an app",
    "collage 2x2",
)
FALSE_EDITS: Final = ("crop 10 of sides", "screenshot of an app", "meme text")
LOOKS: Final = ("fast", "deep, no windows", "deep")
_ROWS: Final = 2_000  # hashes compared at a time
_TILES_PER_SIDE: Final = 5


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


@dataclass(slots=True)
class Grid:
    """Nearest distances by whether held out, edit and look."""

    nearest: dict[tuple[bool, str, str], list[int]] = field(default_factory=dict)
    missed: dict[str, list[str]] = field(default_factory=dict)

    def add(self, one: Registered, edit: str, looked: Looked) -> int:
        """Count one upload of a registered photograph; how near the slow look finds it, in bits."""
        fast = nearest(looked.fast, one.whole)
        no_windows = min(fast, nearest(looked.deep, one.whole))
        deep = min(no_windows, nearest(looked.deep_parts, one.parts))
        for look, bits in zip(LOOKS, (fast, no_windows, deep), strict=True):
            self.nearest.setdefault((one.subject.held_out, edit, look), []).append(bits)
        if deep > PDQ_RADIUS:
            self.missed.setdefault(edit, []).append(one.subject.name)
        return deep

    def recall(self, edit: str, look: str, *held_out: bool) -> float:
        """The share that was found."""
        bits = [b for held in held_out for b in self.nearest.get((held, edit, look), [])]
        return round(float(np.mean(np.array(bits) <= PDQ_RADIUS)), 3)


def main(arguments: list[str] | None = None) -> None:
    """Measure, tell, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--embedding", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    rng = np.random.default_rng(asked.seed)
    bank = [one for one in map(register, subjects()) if one is not None]
    some = bank[:: max(1, len(bank) // 4)] if asked.quick else bank
    alike = Alike.of([one.subject for one in bank]) if asked.embedding else None
    grid = measure(some, QUICK if asked.quick else tuple(EDITS), rng, alike)
    fast = false_fast(bank[::2] if asked.quick else bank)
    deep = false_deep(bank, some, FALSE_EDITS[:1] if asked.quick else FALSE_EDITS, rng)
    extra = {} if alike is None else {"embedding": alike.answer()}
    print(json.dumps({**answer(grid, fast, deep), **extra}))  # noqa: T201


def register(subject: Subject) -> Registered | None:
    """As `protect` does on the person's device; None when there is too little detail."""
    picture = picture_of(subject.rgb)
    whole = fingerprint(picture)
    if whole.quality < PDQ_QUALITY_MIN:
        tell(f"too flat to register: {subject.name}")
        return None
    return Registered(subject, words(whole.bits), words(b"".join(part_hashes(picture))))


def measure(
    bank: Sequence[Registered], edits: Sequence[str], rng: Rng, alike: Alike | None = None
) -> Grid:
    """Every photograph under every edit."""
    grid = Grid()
    for edit in edits:
        for one in bank:
            upload = EDITS[edit](one.subject.rgb, rng)
            bits = grid.add(one, edit, look(upload))
            if alike is not None:
                alike.add(one.subject, edit, load(upload), deep=bits <= PDQ_RADIUS)
        row = [f"{grid.recall(edit, one, False, True):.2f}" for one in LOOKS]
        row += [] if alike is None else [f"{x:.2f}" for x in alike.recall(edit, False, True)]
        tell(f"{edit:30} {' '.join(row)}  missed: {', '.join(grid.missed.get(edit, []))}")
    return grid


def look(upload: bytes) -> Looked:
    """All hashes of an upload, read as :mod:`entrenous.wiring.platform` has it read."""
    _, fast = fast_look(lambda px: read_picture(upload, at_least_px=px, luma=True), WHOLE_SIDE_PX)
    slow = list(deep_views(read_picture(upload, at_least_px=GATE_SIDE_PX)))
    return Looked(
        _bits(fast.whole),
        _bits(view for some in slow if not some.part for view in some.views),
        _bits(view for some in slow if some.part for view in some.views),
    )


def false_fast(bank: Sequence[Registered]) -> Mapping[str, int]:
    """Tiles of different photographs against each other, in all fast views: all are strangers."""
    pieces = [(place, tile) for place, one in enumerate(bank) for tile in tiles(one.subject.rgb)]
    known = [(place, fingerprint(picture_of(tile))) for place, tile in pieces]
    kept = [(place, one) for place, one in known if one.quality >= PDQ_QUALITY_MIN]
    hashes = words(b"".join(one.bits for _, one in kept))
    owner = np.array([place for place, _ in kept])
    pairs = false = 0
    for place, tile in pieces:
        stranger = owner != place
        views = _bits(fast_views(picture_of(tile)).whole)
        false += int((nearest_each(hashes[stranger], views) <= PDQ_RADIUS).sum())
        pairs += int(stranger.sum())
    return {"false": false, "pairs": pairs}


def false_deep(
    bank: Sequence[Registered], some: Sequence[Registered], edits: Sequence[str], rng: Rng
) -> Mapping[str, int]:
    """Edited uploads in all slow views against everybody else's photographs and windows."""
    pairs = false = 0
    for edit in edits:
        for one in some:
            seen = look(EDITS[edit](one.subject.rgb, rng))
            for other in bank:
                if other is not one:
                    bits = min(
                        nearest(seen.deep, other.whole), nearest(seen.deep_parts, other.parts)
                    )
                    pairs += 1
                    if bits <= PDQ_RADIUS:
                        false += 1
                        tell(f"FALSE {edit}: {one.subject.name} as {other.subject.name}, {bits}")
    return {"false": false, "pairs": pairs}


def answer(grid: Grid, fast: Mapping[str, int], deep: Mapping[str, int]) -> dict[str, object]:
    """The last line."""
    edits = list(dict.fromkeys(edit for _, edit, _ in grid.nearest))
    recall = {look: {e: grid.recall(e, look, False, True) for e in edits} for look in LOOKS}
    held = {look: {e: grid.recall(e, look, True) for e in edits} for look in LOOKS}
    return {
        "schema": "entrenous/bench-stop-recall/1",
        "recall": recall,
        "held_out": held,
        "false_pairs": fast["false"] + deep["false"],
        "fast_false": fast,
        "deep_false": deep,
    }


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
    return Picture(wide, high, np.ascontiguousarray(rgb).tobytes(), Encoding(PictureFormat.PNG))


def tell(line: str) -> None:
    """For whoever watches."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def _bits(views: Seen | Iterator[tuple[str, bytes]]) -> Words:
    return words(b"".join(bits for _, bits in views))


def tiles(rgb: Rgb) -> Iterator[Rgb]:
    """A photograph and its pieces, 5 x 5, none over another but for the whole."""
    yield rgb
    high, wide = (side // _TILES_PER_SIDE for side in rgb.shape[:2])
    for row in range(_TILES_PER_SIDE):
        for column in range(_TILES_PER_SIDE):
            yield rgb[row * high : (row + 1) * high, column * wide : (column + 1) * wide]


if __name__ == "__main__":
    main()
