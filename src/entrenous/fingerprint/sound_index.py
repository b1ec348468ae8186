"""Find the registered sounds that a part of an upload resembles, at any speed near the original's.

A word is one 32-bit item of a Chromaprint fingerprint. A stretch is a run of words that covers five
seconds. A word is distinctive if it is in a stretch whose words differ enough from each other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from entrenous.fingerprint.chromaprint import (
    FRAME_SAMPLES,
    RATE_HZ,
    ROWS_PER_WORD,
    SMOOTHING_WEIGHTS,
    STEP_SAMPLES,
    Samples,
    Words,
    chroma_rows,
    chromaprint_words,
    resample_for_chromaprint,
)
from entrenous.fingerprint.nouns import (
    DISTINCTIVE_SOUND_S_MIN,
    SOUND_WORDS_MAX,
    SoundMatch,
    SoundPrint,
    SoundTooQuiet,
)

Places = NDArray[np.int64]
Flags = NDArray[np.bool_]
WORD_STEP_S: Final = STEP_SAMPLES / RATE_HZ
_WORD_SPAN_S: Final = (
    (len(SMOOTHING_WEIGHTS) + ROWS_PER_WORD - 2) * STEP_SAMPLES + FRAME_SAMPLES
) / RATE_HZ  # one word covers this many seconds
STRETCH_WORDS: Final = 19  # words in a stretch of five seconds
# minimum mean number of bits that change from word to word in a distinctive stretch; the mean is at
# most 1.9 for noise, and at least 3.7 for speech
DISTINCTIVENESS_MIN: Final = 2.5
# if a larger share of a stretch's bits differs, no alignment is tried
PREFILTER_ERROR_SHARE_MAX: Final = 0.30
# a word that occurs at more places than this is not used
WORD_OCCURRENCES_MAX: Final = 1000
# words within two bits of a queried word may together occur at no more than this many places
CLOSE_WORD_OCCURRENCES_MAX: Final = 4 * WORD_OCCURRENCES_MAX
# at most this many alignments are tried for each sound; a sound that repeats itself would have
# thousands
ALIGNMENTS_MAX: Final = 32
# this many words are looked up at a time, to limit the memory that a repetitive sound takes
_QUERIES_AT_ONCE: Final = 64
_CLOSE_BITS_MAX: Final = 2  # close words differ in at most this many bits


class MatchLimit(NamedTuple):
    """A limit for a match: in ``words`` words, at most the share ``errors`` of bits may differ."""

    words: int
    errors: float


# Codecs and noise change less than 0.11 of the bits. Of 5,928 pairs of unrelated sounds, two pairs
# differ in at most 0.27 of the bits over ten seconds. Of 18,848 pairs, the smallest difference over
# five seconds is 0.21. With the limit 0.35, many unrelated pairs would match.
MATCH_LIMITS: Final = (
    MatchLimit(190, 0.29),  # 26 seconds
    MatchLimit(114, 0.27),
    MatchLimit(57, 0.24),  # ten seconds
    MatchLimit(38, 0.21),
    MatchLimit(STRETCH_WORDS, 0.18),  # five seconds
)


@dataclass(frozen=True, slots=True)
class SoundView:
    """The words of an upload's sound after one transformation (``how``)."""

    how: str
    words: Words


@dataclass(frozen=True, slots=True)
class SoundIndex:
    """An index of registered sounds.

    ``words`` has all sounds one after another, and ``ends`` says where each one ends. ``values``
    are the distinctive words in ascending order, and ``places`` are their positions.
    """

    words: Words
    ends: Places
    values: Words
    places: Places

    @classmethod
    def of(cls, prints: Sequence[SoundPrint]) -> Self:
        """Build an index; a sound's number is its position in ``prints``."""
        sounds = [words_of_sound(one) for one in prints]
        words = np.concatenate([np.zeros(0, np.uint32), *sounds])
        distinctive = np.concatenate(
            [np.zeros(0, np.bool_), *(distinctive_word_mask(one) for one in sounds)]
        )
        places = np.flatnonzero(distinctive)
        order = np.argsort(words[places], kind="stable")
        ends = np.cumsum([len(one) for one in sounds], dtype=np.int64)
        return cls(words, ends, words[places][order], places[order])

    def find_matching_sounds(self, views: Sequence[SoundView]) -> list[SoundMatch]:
        """Return the registered sounds that the upload resembles, each with its best view."""
        best: dict[int, SoundMatch] = {}
        for view in views:
            for one in self._find_sounds_in_upload_view(view):
                known = best.get(one.sound)
                if known is None or (one.length_s, -one.errors) > (known.length_s, -known.errors):
                    best[one.sound] = one
        return sorted(best.values(), key=lambda one: (-one.length_s, one.errors))

    def _find_sounds_in_upload_view(self, view: SoundView) -> Iterator[SoundMatch]:
        for sound, shift in self._likeliest_alignments(view.words):
            found = self._longest_match(view.words, shift, sound)
            if found is not None:
                yield _as_sound_match(found, shift - self._start_of_sound(sound), sound, view)

    def _likeliest_alignments(self, words: Words) -> Iterator[tuple[int, int]]:
        """Yield the likeliest alignments: a sound, and the offset from an upload's words to it."""
        queried = np.flatnonzero(distinctive_word_mask(words))
        span = len(self.words) + len(words)
        offsets, votes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for at in range(0, len(queried), _QUERIES_AT_ONCE):
            query, place = self._prefilter_pairs(
                words, *self._close_word_pairs(words, queried[at : at + _QUERIES_AT_ONCE])
            )
            sound = np.searchsorted(self.ends, place, side="right")
            keys, count = np.unique(sound * span + place - query + len(words), return_counts=True)
            offsets.append(keys)
            votes.append(count)
        all_offsets, which = np.unique(np.concatenate(offsets), return_inverse=True)
        total = np.bincount(which, np.concatenate(votes), len(all_offsets))
        for offset in all_offsets[_most_voted_offsets(all_offsets // span, total)].tolist():
            yield offset // span, offset % span - len(words)

    def _start_of_sound(self, sound: int) -> int:
        return int(self.ends[sound - 1]) if sound else 0

    def _close_word_pairs(self, words: Words, queried: Places) -> tuple[Places, Places]:
        """Return pairs of a queried word and a place with a word that differs in at most 2 bits."""
        probes = (words[queried, None] ^ _FLIP_PATTERNS).reshape(-1)
        first = np.searchsorted(self.values, probes, side="left")
        count = np.searchsorted(self.values, probes, side="right") - first
        count[count > WORD_OCCURRENCES_MAX] = 0
        count[
            np.repeat(
                count.reshape(len(queried), -1).sum(axis=1) > CLOSE_WORD_OCCURRENCES_MAX,
                len(_FLIP_PATTERNS),
            )
        ] = 0
        query = np.repeat(np.repeat(queried, len(_FLIP_PATTERNS)), count)
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return query, self.places[np.repeat(first, count) + within]

    def _prefilter_pairs(self, words: Words, query: Places, place: Places) -> tuple[Places, Places]:
        """Keep the pairs around which both sounds have a stretch that differs little."""
        sound = np.searchsorted(self.ends, place, side="right")
        start = np.where(sound > 0, self.ends[sound - 1], 0)
        before = np.minimum(np.minimum(query, place - start), STRETCH_WORDS // 2)
        left = np.minimum(len(words) - query, self.ends[sound] - place)
        before = np.maximum(before, STRETCH_WORDS - left)
        whole = (before <= query) & (before <= place - start)
        query, place, before = query[whole], place[whole], before[whole]
        along = np.arange(STRETCH_WORDS)
        difference = (
            words[(query - before)[:, None] + along] ^ self.words[(place - before)[:, None] + along]
        )
        near = (
            np.bitwise_count(difference).sum(axis=1)
            <= PREFILTER_ERROR_SHARE_MAX * 32 * STRETCH_WORDS
        )
        return query[near], place[near]

    def _longest_match(self, words: Words, shift: int, sound: int) -> tuple[int, int, float] | None:
        """Return the longest match: its first word, number of words, and share of errors."""
        first = max(0, self._start_of_sound(sound) - shift)
        stop = min(len(words), int(self.ends[sound]) - shift)
        mine, theirs = words[first:stop], self.words[first + shift : stop + shift]
        wrong = np.concatenate([[0], np.cumsum(np.bitwise_count(mine ^ theirs), dtype=np.int64)])
        distinctive = np.concatenate(
            [
                [0],
                np.cumsum(
                    distinctive_word_mask(mine) & distinctive_word_mask(theirs), dtype=np.int64
                ),
            ]
        )
        for length, most in MATCH_LIMITS:
            if length > len(mine):
                continue
            errors = (wrong[length:] - wrong[:-length]) / (32 * length)
            errors[distinctive[length:] - distinctive[:-length] < length / 2] = 1.0
            at = int(np.argmin(errors))
            if errors[at] <= most:
                return first + at, length, float(errors[at])
        return None


def words_of_sound(sound: SoundPrint) -> Words:
    return np.frombuffer(sound.words, dtype=">u4").astype(np.uint32)


def distinctive_word_mask(words: Words) -> Flags:
    """Return the mask (N,) of the words in a distinctive stretch (``DISTINCTIVENESS_MIN``)."""
    if len(words) < STRETCH_WORDS:
        return np.zeros(len(words), dtype=np.bool_)
    changes = np.concatenate(
        [[0], np.cumsum(np.bitwise_count(words[1:] ^ words[:-1]), dtype=np.int64)]
    )
    steps = STRETCH_WORDS - 1
    distinctive = changes[steps:] - changes[:-steps] >= DISTINCTIVENESS_MIN * steps
    inside = np.zeros(len(words) + 1, dtype=np.int64)
    np.add.at(inside, np.flatnonzero(distinctive), 1)
    np.add.at(inside, np.flatnonzero(distinctive) + STRETCH_WORDS, -1)
    return np.cumsum(inside)[:-1] > 0


def _most_voted_offsets(sound: Places, votes: NDArray[Any]) -> Places:
    """Return the indices of the offsets with the most votes, for each sound; ``sound`` is
    ascending.
    """
    order = np.lexsort((-votes, sound))
    rank = np.arange(len(order)) - np.searchsorted(sound, sound[order])
    return np.sort(order[rank < ALIGNMENTS_MAX])


def _flip_patterns() -> Words:
    """Return zero and all 32-bit numbers with one or two bits set."""
    ones = [
        sum(1 << bit for bit in bits)
        for n in range(_CLOSE_BITS_MAX + 1)
        for bits in combinations(range(32), n)
    ]
    return np.array(ones, dtype=np.uint32)


_FLIP_PATTERNS: Final = _flip_patterns()


def _as_sound_match(
    found: tuple[int, int, float], shift: int, sound: int, view: SoundView
) -> SoundMatch:
    at, length, errors = found
    length_s = (length - 1) * WORD_STEP_S + _WORD_SPAN_S
    return SoundMatch(
        sound, errors, length_s, at * WORD_STEP_S, (at + shift) * WORD_STEP_S, view.how
    )


UNCHANGED_VIEW_NAME: Final = "as it is"
TRIED_SPEEDS: Final = (
    1.0,
    0.99,
    1.01,
    0.98,
    1.02,
    0.97,
    1.03,
    0.96,
    1.04,
)  # an upload may play at these speeds; each is undone, and the result is compared


def sound_views(samples: Samples, rate_hz: int) -> tuple[SoundView, ...]:
    """Return all views of (N,) or (N, channels) samples, which range from -1 to 1."""
    plain = resample_for_chromaprint(samples, rate_hz)
    return tuple(
        SoundView(
            _speed_name(speed), chromaprint_words(chroma_rows(_at_original_speed(plain, speed)))
        )
        for speed in TRIED_SPEEDS
    )


def _at_original_speed(samples: Samples, speed: float) -> Samples:
    """Slow a sound down that plays ``speed`` times as fast as its original."""
    if speed == 1.0:
        return samples
    from scipy.signal import resample_poly  # noqa: PLC0415 - takes half a second; only sounds need it

    ratio = Fraction(speed).limit_denominator(100)
    slower = resample_poly(samples, ratio.numerator, ratio.denominator)
    return np.asarray(np.round(slower), dtype=np.float32)


def _speed_name(speed: float) -> str:
    return UNCHANGED_VIEW_NAME if speed == 1.0 else f"speed {speed:.2f}"


def make_sound_fingerprint(samples: Samples, rate_hz: int) -> SoundPrint:
    """Return the fingerprint to register for (N,) or (N, channels) samples from -1 to 1.

    It covers at most 20 minutes.

    Raises:
        SoundTooQuiet: the sound has less than five distinctive seconds.
    """
    words = chromaprint_words(chroma_rows(resample_for_chromaprint(samples, rate_hz)))[
        :SOUND_WORDS_MAX
    ]
    if not distinctive_word_mask(words).any():
        raise SoundTooQuiet(needed_s=DISTINCTIVE_SOUND_S_MIN)
    return SoundPrint(np.asarray(words, dtype=">u4").tobytes())


def is_too_indistinct(sound: SoundPrint) -> bool:
    """Return whether the sound has less than five distinctive seconds."""
    return not distinctive_word_mask(words_of_sound(sound)).any()


def refuse_too_indistinct(sound: SoundPrint) -> None:
    """Check a sound whose fingerprint another program made, as a platform must.

    Raises:
        SoundTooQuiet: the sound has less than five distinctive seconds.
    """
    if is_too_indistinct(sound):
        raise SoundTooQuiet(needed_s=DISTINCTIVE_SOUND_S_MIN)
