"""Sounds to register: synthetic music and voices, and any speech that this system has."""

import shutil
import subprocess
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.sounds.attacks import OPUS_24, Attack, faster, noisy, one_after_another, room, through
from bench.sounds.material import music, spoken, voice

SoundAtRate = tuple[NDArray[np.float32], int]

_RATE_HZ: Final = 16_000
_LENGTH_S: Final = 30.0
_TEXTS: Final = (
    """The train to the coast leaves at nine and stops at every village. We could take the bicycles
    along and ride back by the canal, if the wind is kind. Last summer we counted twelve herons
    between the two bridges, and one of them stood so still that a child asked whether it was made
    of stone. Bring some bread and the old map, and do not forget the key of the boat house.""",
    """There is nothing wrong with the engine, the mechanic said, but the belt is worn and the lamps
    want cleaning. He will have it ready on Wednesday after lunch. In the meantime I walk to work,
    which takes forty minutes, and I have discovered a bakery, a second hand bookshop and a cat that
    waits on the same wall every single morning until somebody has scratched its left ear.""",
)
_VOICES: Final = ("en-gb", "en-us+f3", "de", "fr", "es+f2")

SOUND_LEAKS: Final[Mapping[str, Attack]] = MappingProxyType(
    {
        "as it is": lambda samples, rate_hz: (samples, rate_hz),
        "aac 48k": through("aac", "mp4", 48_000),
        "noise 20 dB, mp3 64k": one_after_another(
            noisy(20.0), through("libmp3lame", "mp3", 64_000)
        ),
        "opus 24k": OPUS_24,
        "pitch +2 %": faster(1.02),
        "pitch -2 %, opus 24k": one_after_another(faster(0.98), OPUS_24),
        "room": room(),
    }
)


def sounds(*, few: bool) -> dict[str, SoundAtRate]:
    """Return sounds of more than 12 seconds by name: mono samples, and their rate in Hz.

    With ``few``, they are three pieces of music and three synthetic voices.
    """
    count = 3 if few else 14
    found: dict[str, SoundAtRate] = {}
    for seed in range(1, count + 1):
        found[f"music {seed}"] = music(_LENGTH_S, seed=seed), _RATE_HZ
        found[f"voice {seed}"] = voice(_LENGTH_S, seed=seed), _RATE_HZ
    if not few:
        found |= spoken() | _espeak_sounds()
    return {name: sound for name, sound in found.items() if len(sound[0]) > 12 * sound[1]}


def _espeak_sounds() -> dict[str, SoundAtRate]:
    """Return two texts, each spoken by five voices of espeak-ng; none if it is not installed.

    Some of these sounds have the same voice but different words, and some the same words.
    """
    program = shutil.which("espeak-ng")
    if program is None:
        return {}
    found: dict[str, SoundAtRate] = {}
    for name in _VOICES:
        for number, text in enumerate(_TEXTS):
            done = subprocess.run(  # noqa: S603 - the system's own program, by its full path
                [program, "-v", name, "-s", "150", "--stdout", text],
                capture_output=True,
                check=True,
            )
            at = done.stdout.index(b"data") + 8
            whole = done.stdout[at : at + (len(done.stdout) - at) // 2 * 2]
            samples = np.frombuffer(whole, "<i2").astype(np.float32) / 32_768
            found[f"text {number} by {name}"] = samples, 22_050
    return found
