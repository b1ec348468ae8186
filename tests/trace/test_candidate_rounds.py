"""Tests of the rounds in which pictures are tried: order, limits and groups.

No keys or scores are needed to choose the rounds.
"""

import inspect
from dataclasses import replace

from entrenous.base.identifiers import MessageId
from entrenous.fingerprint.nouns import PictureCandidate
from entrenous.trace.picture import (
    LIKELY_PICTURES_MAX,
    QUICKLY_TRIED_PICTURES_MAX,
    THOROUGHLY_TRIED_PICTURES_MAX,
    candidate_rounds,
    candidates_of_rounds,
)


def candidate(look: int, agreeing: int = 0, fresh: int = 0, bits: int = 128) -> PictureCandidate:
    return PictureCandidate(MessageId(bytes([look]) * 16), 0, look, agreeing, fresh, bits)


def picture_numbers_by_round(candidates: list[PictureCandidate]) -> list[list[int]]:
    return [[same[0].look for same in some.pictures] for some in candidate_rounds(candidates)]


def test_likely_pictures_are_tried_first_and_the_thorough_round_is_last() -> None:
    candidates = [
        candidate(0, agreeing=40, fresh=40),
        *(candidate(look, agreeing=4) for look in range(1, 20)),
    ]
    assert picture_numbers_by_round(candidates) == [[0], [1, 2, 3, 4], [0, 1]]
    assert [some.thorough for some in candidate_rounds(candidates)] == [False, False, True]


def test_without_likely_pictures_the_first_few_are_tried() -> None:
    candidates = [candidate(look, agreeing=3) for look in range(20)]
    assert picture_numbers_by_round(candidates) == [
        list(range(QUICKLY_TRIED_PICTURES_MAX)),
        list(range(THOROUGHLY_TRIED_PICTURES_MAX)),
    ]


def test_first_round_has_the_next_tile_of_a_collage_but_not_a_weak_near_duplicate() -> None:
    photo, twin = candidate(0, agreeing=60, fresh=60), candidate(1, agreeing=20, fresh=3)
    tile = candidate(2, agreeing=15, fresh=15)
    again = candidate(3, agreeing=58, fresh=0)  # the same photo, sent in another size
    assert picture_numbers_by_round([photo, again, twin, tile])[0] == [0, 3, 2]


def test_picture_with_a_close_fingerprint_is_likely_even_without_matching_points() -> None:
    assert picture_numbers_by_round([candidate(0, bits=20), candidate(1)])[0] == [0]


def test_number_of_likely_pictures_is_bounded() -> None:
    candidates = [candidate(look, agreeing=50, fresh=50) for look in range(30)]
    assert [len(some) for some in picture_numbers_by_round(candidates)] == [
        LIKELY_PICTURES_MAX,
        THOROUGHLY_TRIED_PICTURES_MAX,
    ]


def test_candidates_with_the_same_picture_form_one_group() -> None:
    same = [candidate(0, 30, 30), replace(candidate(0, 30, 0), place=1)]
    (first, *_) = candidate_rounds([*same, candidate(1)])
    assert first.pictures == (tuple(same),)


def test_pictures_without_stored_features_have_their_own_limit() -> None:
    learnt = [candidate(look, agreeing=2) for look in range(9)]
    strange = [replace(candidate(look), learnt=False) for look in range(20, 29)]
    assert picture_numbers_by_round([*learnt, *strange])[0] == [0, 1, 2, 3, 4, 20, 21, 22, 23, 24]


def test_each_tried_picture_is_counted_once() -> None:
    candidates = [candidate(look, agreeing=3) for look in range(20)]
    assert candidates_of_rounds(candidate_rounds(candidates)) == tuple(
        candidates[:QUICKLY_TRIED_PICTURES_MAX]
    )
    assert candidates_of_rounds(candidate_rounds([])) == ()


def test_rounds_are_chosen_without_keys_or_scores() -> None:
    words = " ".join(inspect.signature(candidate_rounds).parameters) + " ".join(
        PictureCandidate.__dataclass_fields__
    )
    assert not any(word in words for word in ("seed", "key", "score", "stream", "copies", "device"))
