"""Count how often an upload matches an unrelated picture, for `bench.stopping.recall`.

Unrelated pictures are the other photographs of the bank, and pieces of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from bench.attacks.kinds import Rgb, Rng
from bench.stopping.recall_edits import EDITS
from bench.stopping.recall_looks import (
    Registered,
    UploadHashes,
    Words,
    hash_upload,
    hashes_of_views,
    nearest_each,
    picture_of,
    report_progress,
    words,
)
from entrenous.base.limits import PDQ_QUALITY_MIN, PDQ_RADIUS_BITS
from entrenous.fingerprint.crops import window_hashes
from entrenous.fingerprint.multi_index import HashIndex, build_hash_index
from entrenous.fingerprint.pdq import fingerprint
from entrenous.stop.judge.scan import hash_whole_picture

_TILES_PER_SIDE: Final = 5
_VIEWS: Final = 2_000  # looked up at a time, since very many match the upload's own photograph


@dataclass(slots=True)
class Counted:
    """Counts of pairs of unrelated pictures (``pairs``), and of those that match (``false``)."""

    false: int = 0
    pairs: int = 0

    def add(self, more: "Counted") -> None:
        self.false += more.false
        self.pairs += more.pairs

    def as_json(self) -> Mapping[str, int]:
        """Return the fields of the printed JSON object."""
        return {"false": self.false, "pairs": self.pairs}


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of all photographs, as if each piece were registered with its windows.

    ``hashes`` (N, 4) are those of whole pieces, and ``owner`` (N,) is the place in the bank of the
    photograph that each piece is from. ``windows`` has the hashes of all windows, in the gate's own
    index, which is exact. ``window_of`` has, for each window, the row of its piece in ``hashes``.
    """

    hashes: Words
    owner: NDArray[np.int64]
    windows: HashIndex
    window_of: NDArray[np.int64]

    @classmethod
    def of(cls, bank: Sequence[Registered], cut: Callable[[Rgb], Iterable[Rgb]]) -> Self:
        """Return the pieces that are not too flat; ``cut`` yields the pieces of one photograph."""
        wholes, owner, windows, window_of = list[bytes](), list[int](), list[bytes](), list[int]()
        for place, one in enumerate(bank):
            for picture in map(picture_of, cut(one.subject.rgb)):
                whole = fingerprint(picture)
                if whole.quality >= PDQ_QUALITY_MIN:
                    parts = window_hashes(picture)
                    window_of += [len(wholes)] * len(parts)
                    windows += parts
                    wholes.append(whole.bits)
                    owner.append(place)
        index = build_hash_index(np.arange(len(windows)), words(b"".join(windows)))
        return cls(words(b"".join(wholes)), np.array(owner), index, np.array(window_of))

    def count_matches(self, place: int, views: Words) -> Counted:
        """Count the other photographs' pieces, and those of them that match one of these views.

        ``views`` (Q, 4) are hashes of an upload of the photograph at ``place`` in the bank. They
        are compared with the hashes of whole pieces only.
        """
        stranger = self.owner != place
        fits = nearest_each(self.hashes[stranger], views) <= PDQ_RADIUS_BITS
        return Counted(int(fits.sum()), int(stranger.sum()))

    def count_matches_with_windows(
        self, place: int, seen: UploadHashes
    ) -> tuple[Counted, set[int]]:
        """Count as :meth:`count_matches` does, for all views of the deferred scan.

        As in a gate, views of whole pictures are compared with whole pieces, and views of parts
        with windows. Also return the places of the photographs whose pieces match.
        """
        stranger = self.owner != place
        fits = nearest_each(self.hashes, seen.deep) <= PDQ_RADIUS_BITS
        for start in range(0, len(seen.deep_parts), _VIEWS):
            some = np.ascontiguousarray(seen.deep_parts[start : start + _VIEWS])
            fits[self.window_of[self.windows.pairs(some, PDQ_RADIUS_BITS).entry]] = True
        fits &= stranger
        return Counted(int(fits.sum()), int(stranger.sum())), set(self.owner[fits].tolist())


class Strangers:
    """Counts matches of edited uploads with other photographs: with whole ones or their windows.

    The uploads are of every ``every``-th photograph of the bank.
    """

    def __init__(self, bank: Sequence[Registered], every: int) -> None:
        self._bank, self._every = bank, every
        self._known = Pieces.of(bank, lambda rgb: (rgb,))
        self.count = Counted()

    def count_upload(self, edit: str, number: int, seen: UploadHashes) -> None:
        """Count the matches of an upload of the ``number``-th uploaded photograph (from 0)."""
        place = number * self._every
        counted, whose = self._known.count_matches_with_windows(place, seen)
        self.count.add(counted)
        report_false_matches(
            edit, self._bank[place], [self._bank[other] for other in sorted(whose)]
        )


def false_fast(bank: Sequence[Registered], known: Pieces, every: int) -> Counted:
    """Count matches of pieces with pieces of other photographs, in the views of the first scan.

    The uploads are pieces of every ``every``-th photograph.
    """
    count = Counted()
    for place, one in list(enumerate(bank))[::every]:
        for tile in tiles(one.subject.rgb):
            count.add(
                known.count_matches(
                    place, hashes_of_views(hash_whole_picture(picture_of(tile)).whole)
                )
            )
    return count


def false_deep(
    bank: Sequence[Registered], known: Pieces, every: int, edits: Sequence[str], rng: Rng
) -> tuple[Counted, Counted]:
    """Count matches of edited uploads with pieces of other photographs, in the deferred scan.

    The first result is for owners who registered no windows: it has only the views of whole
    pictures. The second one has all views, and the windows of the pieces.
    """
    of_wholes, of_pieces = Counted(), Counted()
    for edit in edits:
        for place, one in list(enumerate(bank))[::every]:
            seen = hash_upload(EDITS[edit](one.subject.rgb, rng))
            of_wholes.add(known.count_matches(place, seen.deep))
            counted, whose = known.count_matches_with_windows(place, seen)
            of_pieces.add(counted)
            report_false_matches(edit, one, [bank[other] for other in sorted(whose)], "a piece of ")
    return of_wholes, of_pieces


def report_false_matches(
    edit: str, one: Registered, others: Sequence[Registered], what: str = ""
) -> None:
    """Report each false match on standard error."""
    for other in others:
        report_progress(f"FALSE {edit}: {one.subject.name} as {what}{other.subject.name}")


def tiles(rgb: Rgb) -> Iterator[Rgb]:
    """Yield the whole photograph, and then its 5 x 5 pieces, which do not overlap each other."""
    yield rgb
    high, wide = (side // _TILES_PER_SIDE for side in rgb.shape[:2])
    for row in range(_TILES_PER_SIDE):
        for column in range(_TILES_PER_SIDE):
            yield rgb[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
