"""Where the chips of a sound's mark lie, and how a key stream becomes chips.

A sound is marked at 16 kHz, in *tiles* of 64 ms x 125 Hz between 297 and 6,922 Hz. Every tile holds
one *chip*, a fair sign that the copy's key stream decides; chips run band by band through the first
64 ms, then the next. docs/spec/sound.md, sections 2 and 3.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

RATE_HZ: Final = 16_000
WINDOW: Final = 1024  # samples of one spectrum, at RATE_HZ
HOP: Final = 256  # between the centres of two spectra
TILE_FRAMES: Final = 4
TILE_BINS: Final = 8  # of 15.6 Hz
FIRST_BIN: Final = 19  # below, a loudspeaker of a phone is silent
BANDS: Final = 53
BINS: Final = BANDS * TILE_BINS


def samples_at_rate(count: int, rate_hz: int) -> int:
    """How many samples ``count`` samples at ``rate_hz`` become at 16 kHz."""
    return -(-count * RATE_HZ // rate_hz)


def tiles(count: int, rate_hz: int) -> int:
    """How many tiles lie one after the other in ``count`` samples."""
    frames = samples_at_rate(count, rate_hz) // HOP + 1
    return -(-frames // TILE_FRAMES)


def chips_needed(count: int, rate_hz: int) -> int:
    """Number of chips that so many samples (of one channel) carry."""
    return tiles(count, rate_hz) * BANDS


def stream_bytes(count: int, rate_hz: int) -> int:
    """Length of one copy's key stream."""
    return -(-chips_needed(count, rate_hz) // 8)


def chips(stream: bytes, count: int) -> NDArray[np.float32]:
    """The first ``count`` bits of ``stream``, most significant first, as +1 (bit 1) and -1 (bit 0).

    Uniform bytes give independent fair signs, which is all that the bound on false accusation
    needs (docs/spec/mark.md, section 7).

    Raises:
        ValueError: the stream is too short.
    """
    if len(stream) * 8 < count:
        raise ValueError(f"{count} chips need {-(-count // 8)} bytes of key stream")
    bits = np.unpackbits(np.frombuffer(stream, np.uint8), count=count)
    signs: NDArray[np.float32] = bits.astype(np.float32) * np.float32(2.0) - np.float32(1.0)
    return signs
