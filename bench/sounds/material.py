"""Sounds to mark: synthetic voices and music, and speech from Debian packages if installed."""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from entrenous.media.sound_reader import read_sound

Samples = NDArray[np.float32]

_FRAME_S: Final = 0.01
ALSA: Final = Path("/usr/share/sounds/alsa")  # package alsa-utils: eight pairs of spoken words
ASTERISK: Final = Path("/usr/share/asterisk/sounds/en_US_f_Allison")  # asterisk-core-sounds-en-g722
_TEXT: Final = """Good evening. I wanted to tell you about the garden, because something lovely
happened there today. The old pear tree that everybody thought was finished has grown seven small
white flowers on the northern side. I sat under it with a cup of tea and watched the bees come and
go for nearly an hour. My neighbour says that it will rain on Thursday, so we should pick the beans
before then. Please bring the blue basket when you come, and do not forget the scissors that you
borrowed in March. I am making soup with leeks and potatoes, and there is enough for seven."""


def voice(seconds: float, rate_hz: int = 16_000, seed: int = 1) -> Samples:
    """Return something like a voice: pulses and hiss, with moving formants, syllables, pauses."""
    rng = np.random.default_rng(seed)
    frames = int(seconds / _FRAME_S) + 1
    syllables = _syllables(frames, rng)
    sound = _shaped(_excitation(syllables, rate_hz, rng), syllables, rate_hz)
    hiss = rng.standard_normal(len(sound)) * 3e-4
    return (0.3 * sound / np.abs(sound).max() + hiss).astype(np.float32)[: int(seconds * rate_hz)]


def music(seconds: float, rate_hz: int = 16_000, seed: int = 1) -> Samples:
    """Return chords of plucked strings and a brush on a drum, with two beats a second."""
    rng = np.random.default_rng(seed)
    count = int(seconds * rate_hz)
    sound = np.zeros(count + 2 * rate_hz)
    for beat in range(int(seconds * 2)):
        start = beat * rate_hz // 2
        for note in rng.choice([0, 3, 5, 7, 10, 12, 15, 19], 3, replace=False):
            pluck = _pluck(130.8 * 2 ** (note / 12), rate_hz, rng)
            sound[start : start + len(pluck)] += pluck
        fade = np.exp(-np.arange(rate_hz // 4) / (0.03 * rate_hz))
        sound[start : start + len(fade)] += 0.1 * rng.standard_normal(len(fade)) * fade
    return (0.3 * sound[:count] / np.abs(sound).max()).astype(np.float32)


def spoken() -> dict[str, tuple[Samples, int]]:
    """Return the recorded or synthesised speech on this system, by name: mono samples and rate."""
    found: dict[str, tuple[Samples, int]] = {}
    if ALSA.is_dir():
        words = [read_sound(file.read_bytes()) for file in sorted(ALSA.glob("*_*.wav"))]
        joined = np.concatenate([np.asarray(one).mean(1) for one in words])
        found["words (alsa-utils)"] = joined, words[0].rate_hz
    if ASTERISK.is_dir():
        prompts = [_g722(ASTERISK / f"demo-{name}.g722") for name in ("congrats", "instruct")]
        found["recorded voice (asterisk)"] = np.concatenate(prompts), 16_000
    program = shutil.which("espeak-ng")
    if program is not None:
        done = subprocess.run(  # noqa: S603 - the system's own program, by its full path
            [program, "-v", "en-gb", "-s", "150", "--stdout", _TEXT],
            capture_output=True,
            check=True,
        )
        heard = read_sound(_whole_wave(done.stdout))
        found["voice (espeak-ng)"] = np.asarray(heard)[:, 0], heard.rate_hz
    return found


def _g722(file: Path) -> Samples:
    """Decode a file of ITU-T G.722 without a container: 16 kHz, mono."""
    with av.open(str(file), format="g722") as container:
        parts = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(parts).astype(np.float32) / 32_768


def _whole_wave(data: bytes) -> bytes:
    """Return a streamed WAV file, which announces no length, with its lengths filled in."""
    at = data.index(b"data") + 4
    size = len(data) - at - 4
    riff = (len(data) - 8).to_bytes(4, "little")
    return data[:4] + riff + data[8:at] + size.to_bytes(4, "little") + data[at + 4 :]


def _syllables(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (frames, 6): loudness, voicing, pitch in Hz, and three formants in Hz."""
    rows = np.zeros((frames, 6))
    at = 0
    while at < frames:
        length = int(rng.integers(12, 32))
        loud = 0.0 if rng.random() < 0.12 else float(rng.uniform(0.3, 1.0))
        voiced = float(rng.random() < 0.8)
        pitch = float(rng.uniform(95, 150))
        formants = rng.uniform((300, 900, 2300), (800, 2200, 3200))
        rise = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 0.5
        rows[at : at + length, 0] = (loud * rise)[: frames - at]
        rows[at : at + length, 1:] = (voiced, pitch, *formants)
        at += length
    smooth = np.hanning(9) / np.hanning(9).sum()
    return np.stack([np.convolve(one, smooth, "same") for one in rows.T], axis=1)


def _excitation(
    syllables: NDArray[np.float64], rate_hz: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    per_frame = int(rate_hz * _FRAME_S)
    loud, voiced, pitch = (np.repeat(syllables[:, one], per_frame) for one in range(3))
    turns = np.cumsum(np.maximum(pitch, 60.0) / rate_hz)
    pulses = np.diff(np.floor(turns), prepend=0.0) * 8.0
    return loud * (voiced * pulses + (1.15 - voiced) * rng.standard_normal(len(loud)))


def _shaped(
    excitation: NDArray[np.float64], syllables: NDArray[np.float64], rate_hz: int
) -> NDArray[np.float64]:
    """Filter the excitation by the formants' resonances, frame by frame, with overlap-add."""
    hop = int(rate_hz * _FRAME_S)
    size = 4 * hop
    window = np.hanning(size + 1)[:-1]
    hertz = np.fft.rfftfreq(size, 1 / rate_hz)
    sound = np.zeros(len(excitation) + size)
    padded = np.pad(excitation, (0, size))
    for frame, row in enumerate(syllables):
        part = slice(frame * hop, frame * hop + size)
        peaks = [1.0 / (1.0 + ((hertz - one) / (0.05 * one + 30)) ** 2) for one in row[3:]]
        tilt = 1.0 / (1.0 + hertz / 800)
        shape = (sum(peaks) + 0.02) * (tilt if row[1] > 0.5 else 1.0)
        sound[part] += np.fft.irfft(np.fft.rfft(padded[part] * window) * shape, size)
    return sound[: len(excitation)]


def _pluck(hertz: float, rate_hz: int, rng: np.random.Generator) -> NDArray[np.float64]:
    times = np.arange(int(1.5 * rate_hz)) / rate_hz
    tones = range(1, 1 + min(16, int(0.45 * rate_hz / hertz)))
    return sum(
        np.sin(2 * np.pi * hertz * tone * times + rng.uniform(0, 6.28))
        * _decay(rate_hz, tone)
        / tone
        for tone in tones
    ) * np.minimum(times / 0.004, 1.0)


@cache
def _decay(rate_hz: int, tone: int) -> NDArray[np.float64]:
    """Return how a tone's amplitude decays in 1.5 s, which is the same for all strings."""
    return np.exp(-np.arange(int(1.5 * rate_hz)) / rate_hz * (2 + 0.8 * tone))
