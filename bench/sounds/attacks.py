"""What can happen to a voice note before it leaks: codecs, cuts, changed speed, rooms, noise.

An attack takes mono samples and their rate in Hz, and returns changed ones.
"""

import io
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

from entrenous.media.sound_reader import read_sound

Samples = NDArray[np.float32]
SoundAtRate = tuple[Samples, int]
Attack = Callable[[Samples, int], SoundAtRate]


def coded(  # noqa: PLR0913, PLR0917 - a sound, a codec and its settings
    samples: Samples, rate_hz: int, codec: str, container: str, bits: int, coded_hz: int = 0
) -> bytes:
    """Return a mono sound as an encoded file.

    ``bits`` is the bit rate in bit/s. ``coded_hz`` is the sample rate in the file, 0 for the
    sound's own.
    """
    file = io.BytesIO()
    rate = coded_hz or rate_hz
    with av.open(file, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = bits
        wanted = stream.codec_context.codec.audio_formats[-1].name
        resampler = AudioResampler(wanted, "mono", rate, stream.frame_size or None)
        plane = np.ascontiguousarray(samples, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(plane, format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        for ready in (*resampler.resample(frame), *resampler.resample(None), None):
            out.mux(stream.encode(ready))
    return file.getvalue()


def through(codec: str, container: str, bits: int, coded_hz: int = 0) -> Attack:
    """Return an attack that encodes and decodes the sound; for the parameters, see ``coded``."""

    def attack(samples: Samples, rate_hz: int) -> SoundAtRate:
        heard = read_sound(coded(samples, rate_hz, codec, container, bits, coded_hz))
        return np.asarray(heard)[:, 0], heard.rate_hz

    return attack


def faster(speed: float) -> Attack:
    """Return an attack that plays the sound ``speed`` times as fast, with the pitch shifted."""

    def attack(samples: Samples, rate_hz: int) -> SoundAtRate:
        ratio = Fraction(speed).limit_denominator(1000)
        return resample_poly(samples, ratio.denominator, ratio.numerator), rate_hz

    return attack


def tempo(speed: float) -> Attack:
    """Return an attack that plays the sound ``speed`` times as fast at the same pitch.

    The method is WSOLA: segments of 30 ms are moved by up to 8 ms to where they fit best, and
    overlapped.
    """

    def attack(samples: Samples, rate_hz: int) -> SoundAtRate:
        size = int(0.03 * rate_hz) // 2 * 2
        half, reach = size // 2, int(0.008 * rate_hz)
        window = np.hanning(size + 1)[:-1]
        padded = np.pad(samples.astype(np.float64), (size, 2 * size))
        sound = np.zeros(int(len(samples) / speed) + 2 * size)
        natural = size
        for at in range(0, len(sound) - size, half):
            wanted = min(int(at * speed) + size, len(padded) - size - reach - 1)
            like = padded[natural : natural + size]
            around = padded[wanted - reach : wanted + reach + size]
            best = int(np.argmax(fftconvolve(around, like[::-1], "valid"))) if at else reach
            start = wanted - reach + best
            sound[at : at + size] += padded[start : start + size] * window
            natural = min(start + half, len(padded) - size)
        return sound[: int(len(samples) / speed)].astype(np.float32), rate_hz

    return attack


def noisy(decibels: float) -> Attack:
    """Return an attack that adds white noise, ``decibels`` weaker than the sound."""

    def attack(samples: Samples, rate_hz: int) -> SoundAtRate:
        noise = np.random.default_rng(11).standard_normal(len(samples))
        scale = float(np.sqrt(np.mean(samples**2))) * 10 ** (-decibels / 20)
        return (samples + scale * noise).astype(np.float32), rate_hz

    return attack


def room(decay_s: float = 0.4, direct_db: float = 0.0) -> Attack:
    """Return an attack: a small loudspeaker plays the sound in a room, and a phone records it.

    Echoes decay by 60 dB in ``decay_s`` seconds. All echoes together are ``direct_db`` decibels
    weaker than the direct sound. The loudspeaker passes 300 to 6,000 Hz, the recording is clipped,
    and noise 20 dB below the sound is added.
    """

    def attack(samples: Samples, rate_hz: int) -> SoundAtRate:
        rng = np.random.default_rng(12)
        times = np.arange(int(decay_s * rate_hz)) / rate_hz
        echoes = rng.standard_normal(len(times)) * 10 ** (-3 * times / decay_s)
        echoes *= 10 ** (-direct_db / 20) / np.linalg.norm(echoes)
        response = np.concatenate([[1.0], np.zeros(int(0.003 * rate_hz)), echoes])
        band = butter(2, [300, min(6000, 0.45 * rate_hz)], "band", fs=rate_hz, output="sos")
        heard = fftconvolve(sosfilt(band, samples), response)
        heard = np.clip(1.6 * heard / np.abs(heard).max(), -0.8, 0.8).astype(np.float32)
        return noisy(20.0)(heard, rate_hz)

    return attack


def cut(start: float, stop: float) -> Attack:
    """Return an attack that keeps the part from ``start`` to ``stop``, as shares of the length.

    The part begins 137 samples later, so that it is not aligned with any grid.
    """

    def attack(samples: Samples, rate_hz: int) -> SoundAtRate:
        return samples[int(start * len(samples)) + 137 : int(stop * len(samples))], rate_hz

    return attack


def spliced(samples: Samples, rate_hz: int) -> SoundAtRate:
    """Remove the middle third of the sound."""
    third = len(samples) // 3
    return np.concatenate([samples[:third], samples[2 * third + 91 :]]), rate_hz


def wavering(samples: Samples, rate_hz: int) -> SoundAtRate:
    """Raise and lower the volume slowly, by 14 dB."""
    times = np.arange(len(samples)) / rate_hz
    return (samples * (0.6 + 0.4 * np.sin(0.7 * times))).astype(np.float32), rate_hz


def one_after_another(*attacks: Attack) -> Attack:
    """Return an attack that applies all of these, in this order."""

    def attack(samples: Samples, rate_hz: int) -> SoundAtRate:
        for one in attacks:
            samples, rate_hz = one(samples, rate_hz)
        return samples, rate_hz

    return attack


OPUS_24: Final = through("libopus", "ogg", 24_000, 48_000)
AMR_NB: Final = through("libopencore_amrnb", "amr", 12_200, 8000)
ATTACKS: Final[Mapping[str, Attack]] = MappingProxyType(
    {
        "none": lambda samples, rate_hz: (samples, rate_hz),
        "opus 24k": OPUS_24,
        "opus 12k": through("libopus", "ogg", 12_000, 48_000),
        "aac 64k": through("aac", "mp4", 64_000),
        "mp3 64k": through("libmp3lame", "mp3", 64_000),
        "mp3 32k": through("libmp3lame", "mp3", 32_000),
        "amr-nb 12.2k": AMR_NB,
        "speed +2 %": faster(1.02),
        "speed -6.3 %, opus 24k": one_after_another(faster(0.937), OPUS_24),
        "tempo +2 %": tempo(1.02),
        "tempo -5 %, opus 24k": one_after_another(tempo(0.95), OPUS_24),
        "room": room(),
        "room, opus 24k": one_after_another(room(), OPUS_24),
        "distant room": room(direct_db=-10.0),
        "noise 20 dB": noisy(20.0),
        "noise 10 dB": noisy(10.0),
        "volume, opus 24k": one_after_another(wavering, OPUS_24),
        "cut to half, opus 24k": one_after_another(cut(0.31, 0.81), OPUS_24),
        "spliced, opus 24k": one_after_another(spliced, OPUS_24),
        "opus 24k, aac 48k, opus 24k": one_after_another(
            OPUS_24, through("aac", "mp4", 48_000), OPUS_24
        ),
    }
)
