"""Chromaprint: fingerprint a sound as 32-bit words, from the energy of the twelve notes."""

from fractions import Fraction
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Chroma = NDArray[np.float64]
RATE_HZ: Final = 11_025
FRAME_SAMPLES: Final = 4096
STEP_SAMPLES: Final = FRAME_SAMPLES // 3
NOTE_COUNT: Final = 12
SMOOTHING_WEIGHTS: Final = (0.25, 0.75, 1.0, 0.75, 0.25)  # weights of five successive frames
_LOWEST_HZ: Final = 28.0
_HIGHEST_HZ: Final = 3520.0
_BASE_HZ: Final = 440.0 / 16.0  # frequency of note number 0
_NORM_MIN: Final = 0.01  # a row of chroma with a smaller norm is set to zero
_FRAMES_AT_ONCE: Final = 512  # frames processed at a time, to limit memory


def resample_for_chromaprint(samples: Samples, from_rate_hz: int) -> Samples:
    """Convert (N,) or (N, channels) samples to one channel at 11,025 samples per second.

    The values are rounded to 16-bit steps, since the original Chromaprint library works on 16-bit
    numbers: so the same samples give the same words as with that library.
    """
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    ratio = Fraction(RATE_HZ, from_rate_hz)
    if ratio != 1:
        from scipy.signal import resample_poly  # noqa: PLC0415 - takes half a second; only sounds need it

        mono = resample_poly(mono, ratio.numerator, ratio.denominator)
    return np.asarray(np.clip(np.round(mono * 32767.0), -32768, 32767), dtype=np.float32)


def chroma_rows(samples: Samples) -> Chroma:
    """Return (T, 12) smoothed, normalised rows for samples of :func:`resample_for_chromaprint`.

    T may be 0.
    """
    energies = _frame_note_energies(samples)
    if len(energies) < len(SMOOTHING_WEIGHTS):
        return np.zeros((0, NOTE_COUNT))
    length = len(energies) - len(SMOOTHING_WEIGHTS) + 1
    smooth = sum(weight * energies[at : at + length] for at, weight in enumerate(SMOOTHING_WEIGHTS))
    norm = np.sqrt(np.square(smooth).sum(axis=1, keepdims=True))
    return np.where(norm < _NORM_MIN, 0.0, smooth / np.maximum(norm, _NORM_MIN))


def _frame_note_energies(samples: Samples) -> Chroma:
    """Return (F, 12): the energy of each note in each frame of 4,096 samples."""
    if len(samples) < FRAME_SAMPLES:
        return np.zeros((0, NOTE_COUNT))
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::STEP_SAMPLES]
    parts = [
        _note_energies(frames[at : at + _FRAMES_AT_ONCE])
        for at in range(0, len(frames), _FRAMES_AT_ONCE)
    ]
    return np.concatenate(parts)


def _note_energies(frames: Samples) -> Chroma:
    first, notes = _first_bin_and_note_matrix()
    window = (np.hamming(FRAME_SAMPLES) / 32767.0).astype(np.float32)
    spectrum = np.fft.rfft(frames * window)[:, first : first + len(notes)]
    return np.asarray((np.abs(spectrum) ** 2) @ notes, dtype=np.float64)


@lru_cache(maxsize=1)
def _first_bin_and_note_matrix() -> tuple[int, Chroma]:
    """Return the first frequency bin used, and a (bins, 12) matrix that maps bins to notes.

    Each row has a single 1, at the note of its bin.
    """
    first = max(1, round(FRAME_SAMPLES * _LOWEST_HZ / RATE_HZ))
    last = min(FRAME_SAMPLES // 2, round(FRAME_SAMPLES * _HIGHEST_HZ / RATE_HZ))
    octave = np.log2(np.arange(first, last) * RATE_HZ / FRAME_SAMPLES / _BASE_HZ)
    note = (NOTE_COUNT * (octave - np.floor(octave))).astype(np.int64)
    return first, np.eye(NOTE_COUNT)[note]


Words = NDArray[np.uint32]
ROWS_PER_WORD: Final = 16  # each word covers this many rows of chroma
_GRAY_CODE: Final = np.array([0, 1, 3, 2], dtype=np.uint32)  # neighbouring levels differ in one bit


class _ChromaFilter(NamedTuple):
    """A filter over ``width`` rows and ``height`` notes, beginning at ``note``.

    Its value is compared with the three ``levels``.
    """

    shape: int
    note: int
    height: int
    width: int
    levels: tuple[float, float, float]


_CHROMA_FILTERS: Final = (
    _ChromaFilter(0, 4, 3, 15, (1.98215, 2.35817, 2.63523)),
    _ChromaFilter(4, 4, 6, 15, (-1.03809, -0.651211, -0.282167)),
    _ChromaFilter(1, 0, 4, 16, (-0.298702, 0.119262, 0.558497)),
    _ChromaFilter(3, 8, 2, 12, (-0.105439, 0.0153946, 0.135898)),
    _ChromaFilter(3, 4, 4, 8, (-0.142891, 0.0258736, 0.200632)),
    _ChromaFilter(4, 0, 3, 5, (-0.826319, -0.590612, -0.368214)),
    _ChromaFilter(1, 2, 2, 9, (-0.557409, -0.233035, 0.0534525)),
    _ChromaFilter(2, 7, 3, 4, (-0.0646826, 0.00620476, 0.0784847)),
    _ChromaFilter(2, 6, 2, 16, (-0.192387, -0.029699, 0.215855)),
    _ChromaFilter(2, 1, 3, 2, (-0.0397818, -0.00568076, 0.0292026)),
    _ChromaFilter(5, 10, 1, 15, (-0.53823, -0.369934, -0.190235)),
    _ChromaFilter(3, 6, 2, 10, (-0.124877, 0.0296483, 0.139239)),
    _ChromaFilter(2, 1, 1, 14, (-0.101475, 0.0225617, 0.231971)),
    _ChromaFilter(3, 5, 6, 4, (-0.0799915, -0.00729616, 0.063262)),
    _ChromaFilter(1, 9, 2, 12, (-0.272556, 0.019424, 0.302559)),
    _ChromaFilter(3, 4, 2, 14, (-0.164292, -0.0321188, 0.0846339)),
)


def chromaprint_words(rows: Chroma) -> Words:
    """Return one word for each row of (T, 12) chroma at which sixteen successive rows begin.

    The shape is (max(0, T - 15),).
    """
    count = len(rows) - ROWS_PER_WORD + 1
    if count < 1:
        return np.zeros(0, dtype=np.uint32)
    total = np.zeros((len(rows) + 1, NOTE_COUNT + 1))
    total[1:, 1:] = rows.cumsum(axis=0).cumsum(axis=1)
    words = np.zeros(count, dtype=np.uint32)
    for one in _CHROMA_FILTERS:
        level = np.searchsorted(one.levels, _filter_values(total, count, one), side="right")
        words = (words << np.uint32(2)) | _GRAY_CODE[level]
    return words


def _filter_values(total: Chroma, count: int, chroma_filter: _ChromaFilter) -> NDArray[np.float64]:
    """Return the filter's value at each position in time.

    The value is log((1 + sum of the bright areas) / (1 + sum of the dark areas)).
    """

    def area_sums(start: int, low: int, stop: int, high: int) -> NDArray[np.float64]:
        if start == stop or low == high:
            return np.zeros(count)
        later, earlier = total[stop : stop + count], total[start : start + count]
        return later[:, high] - later[:, low] - earlier[:, high] + earlier[:, low]

    bright, dark = (
        sum((area_sums(*corners) for corners in areas), np.zeros(count))
        for areas in _filter_areas(chroma_filter)
    )
    return np.asarray(np.log((1.0 + bright) / (1.0 + dark)))


_Corners = tuple[int, int, int, int]


def _filter_areas(
    chroma_filter: _ChromaFilter,
) -> tuple[tuple[_Corners, ...], tuple[_Corners, ...]]:
    """Return the bright and the dark areas of a filter.

    An area is given by its first row and note, and by the row and note at which it ends.
    """
    low, high, width = (
        chroma_filter.note,
        chroma_filter.note + chroma_filter.height,
        chroma_filter.width,
    )
    half, across = low + chroma_filter.height // 2, width // 2
    third, along = chroma_filter.height // 3, width // 3
    all_areas: tuple[tuple[tuple[_Corners, ...], tuple[_Corners, ...]], ...] = (
        (((0, low, width, high),), ()),
        (((0, half, width, high),), ((0, low, width, half),)),
        (((across, low, width, high),), ((0, low, across, high),)),
        (
            ((0, half, across, high), (across, low, width, half)),
            ((0, low, across, half), (across, half, width, high)),
        ),
        (
            ((0, low + third, width, low + 2 * third),),
            ((0, low, width, low + third), (0, low + 2 * third, width, high)),
        ),
        (((along, low, 2 * along, high),), ((0, low, along, high), (2 * along, low, width, high))),
    )
    return all_areas[chroma_filter.shape]
