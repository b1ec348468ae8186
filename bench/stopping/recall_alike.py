"""Measure comparison by embedding alone: which edits it finds, and how often it is wrong.

    python -m bench.stopping.recall_alike          33 photographs, all edits: about five minutes
    python -m bench.stopping.recall_alike --later  35 others, on which nothing was ever chosen

The uploads are the same as those of `bench.stopping.recall` with the same seed, so the results of
the two can be compared row by row. This needs the extra `embedding`. False matches are counted in
two sets of pairs: an upload with every other photograph; and a piece of one photograph with a piece
of another, each compared as if it were a whole picture. The last line is one JSON object.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from bench.attacks.save import load
from bench.stopping.alike import EmbeddingRecall
from bench.stopping.recall_edits import EDITS, edited
from bench.stopping.recall_false import tiles
from bench.stopping.recall_looks import picture_of, report_progress
from bench.stopping.recall_pictures import Subject, later_subjects, subjects
from entrenous.base.limits import PDQ_QUALITY_MIN
from entrenous.fingerprint.embedding import cosines, embedding_rows, resize_to_square
from entrenous.fingerprint.pdq import fingerprint
from entrenous.stop.judge.deferred_scan import cosine_thresholds_of_squares

# Two drawings among the photographs. They were identified only after most of the false matches were
# seen to be between them, so the results are given with and without pairs of the two.
DRAWN: Final = frozenset({"paint", "valley"})


def main(arguments: list[str] | None = None) -> None:
    """Measure, write a line per edit to standard error, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--later", action="store_true")
    asked = parser.parse_args(arguments)
    of = later_subjects() if asked.later else subjects()
    some = [one for one in of if _detailed(one.rgb)]
    alike = EmbeddingRecall.of(some)
    for edit in EDITS:
        for one in some:
            alike.add(one, edit, load(edited(asked.seed, edit, one)), deep=False)
        report_progress(f"{edit:30} {alike.recall(edit, False, True)[0]:.2f}")
    print(json.dumps(_answer(alike, false_pieces(some, alike))))  # noqa: T201


def false_pieces(some: Sequence[Subject], alike: EmbeddingRecall) -> Mapping[str, int]:
    """Return how many pairs of pieces of different photographs there are, and how many match.

    Every piece is compared as an upload. As registered pictures, only pieces with enough detail
    count, except in the fields with ``plain_pieces``. Fields with ``without_drawings`` leave out
    pairs of pieces of drawings.
    """
    pieces = [(place, tile) for place, one in enumerate(some) for tile in tiles(one.rgb)]
    squares = [resize_to_square(tile) for _, tile in pieces]
    seen = embedding_rows(alike.embedder.embed(squares))
    wanted = np.array([cosine_thresholds_of_squares((one,))[0] for one in squares])
    owner = np.array([place for place, _ in pieces])
    drawn = np.array([some[place].name in DRAWN for place in owner])
    fine = np.array([_detailed(tile) for _, tile in pieces])
    strangers = owner[:, None] != owner[None, :]
    photographs = strangers & ~(drawn[:, None] & drawn[None, :])
    false = cosines(seen, seen) >= wanted[:, None]
    return {
        "pairs": int(strangers[:, fine].sum()),
        "false": int((false & strangers)[:, fine].sum()),
        "pairs_without_drawings": int(photographs[:, fine].sum()),
        "false_without_drawings": int((false & photographs)[:, fine].sum()),
        "pairs_with_plain_pieces": int(strangers.sum()),
        "false_with_plain_pieces": int((false & strangers).sum()),
        "false_with_plain_pieces_without_drawings": int((false & photographs).sum()),
    }


def _detailed(rgb: np.ndarray) -> bool:
    return fingerprint(picture_of(rgb)).quality >= PDQ_QUALITY_MIN


def _answer(alike: EmbeddingRecall, pieces: Mapping[str, int]) -> Mapping[str, object]:
    of_all = {key: value for key, value in alike.answer().items() if "deep" not in key}
    return {"schema": "entrenous/bench-stop-alike/1", **of_all, "pieces": pieces}


if __name__ == "__main__":
    main()
