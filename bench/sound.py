# ruff: noqa: T201 - this program prints its results
"""Measure how well marks in sounds survive attacks, and how audible they are.

    python -m bench.sound [--quick] [--out DIR]

Each material is marked; 10 s of it (40 s for AMR-NB) are attacked and traced. ``z`` is the right
copy's score, in standard deviations of an innocent copy's score. With 24 copies, and a chance of
1e-6 that an innocent one is named, a copy is named if z is about 5.6 or more. The program also
prints how far the mark lies below the sound, and how ViSQOL, a model of hearing, rates the copy, if
it is installed. The last line is JSON.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from numpy.typing import NDArray

from bench.report.media import sound_page, write_document
from bench.sounds.attacks import ATTACKS, OPUS_24, Samples
from bench.sounds.material import music, spoken, voice
from bench.sounds.perceived import load_hearing_model
from entrenous.base.limits import FALSE_NAMING_CHANCE_MAX
from entrenous.watermark.audio_detector import key_scores
from entrenous.watermark.audio_mark import (
    WINDOW_SAMPLES,
    PreparedSound,
    embed_sound_mark,
    prepare_sound,
)
from entrenous.watermark.likelihood import chance_that_any_scores, upper_tail
from tests.watermark.detect import detect_sound

_RECIPIENTS: Final = 24
_LEAK_S: Final = 10.0
_LONG_S: Final = 40.0
_QUICK: Final = ("opus 24k", "aac 64k", "mp3 64k", "speed +2 %", "room", "amr-nb 12.2k")


@dataclass(frozen=True, slots=True)
class Result:
    """One leak: the right copy's score, the best innocent copy's, and the processor time of
    locating, aligning and detecting the mark.
    """

    material: str
    attack: str
    z: float
    innocent: float
    seconds: float

    @property
    def right(self) -> bool:
        """Return whether the right copy would be named."""
        return chance_that_any_scores(_RECIPIENTS, upper_tail(self.z)) <= FALSE_NAMING_CHANCE_MAX

    @property
    def wrong(self) -> bool:
        """Return whether an innocent copy would be named."""
        chance = chance_that_any_scores(_RECIPIENTS, upper_tail(self.innocent))
        return chance <= FALSE_NAMING_CHANCE_MAX


def materials(seconds: float) -> dict[str, tuple[Samples, int]]:
    """Return the sounds to mark: a synthetic voice, synthetic music, and speech that is installed.

    Each is mono samples and their rate in Hz; speech is cut to at most ``seconds`` seconds.
    """
    made: dict[str, tuple[Samples, int]] = {
        "made voice": (voice(seconds, 48_000), 48_000),
        "made music": (music(seconds, 44_100), 44_100),
    }
    for name, (samples, rate_hz) in spoken().items():
        made[name] = samples[: int(seconds * rate_hz)], rate_hz
    return made


def attacked(
    material: str, samples: Samples, rate_hz: int, names: tuple[str, ...], seed: int
) -> list[Result]:
    """Mark one copy, and trace it after each of the named attacks."""
    prepared = prepare_sound(samples, rate_hz)
    streams = _streams(prepared, _RECIPIENTS, seed)
    marked = embed_sound_mark(prepared, streams[0])[:, 0]
    results = []
    for name in names:
        length = _LONG_S if name.startswith("amr") else _LEAK_S
        start = min(int(0.11 * len(marked)), max(0, len(marked) - int(length * rate_hz)))
        leak, leak_hz = ATTACKS[name](marked[start : start + int(length * rate_hz)], rate_hz)
        began = time.process_time()
        heard = detect_sound(leak, leak_hz, prepared)
        took = time.process_time() - began
        found = np.zeros(_RECIPIENTS) if heard is None else key_scores(heard.evidence, streams)
        results.append(Result(material, name, float(found[0]), float(found[1:].max()), took))
    return results


def merged(samples: Samples, rate_hz: int, count: int, seed: int) -> tuple[int, float]:
    """Average ``count`` copies, encode the result as Opus at 24 kbit/s, and trace it.

    Returns: the number of these copies that are named, and the best z.
    """
    prepared = prepare_sound(samples, rate_hz)
    streams = _streams(prepared, count, seed)
    average = np.mean([embed_sound_mark(prepared, one)[:, 0] for one in streams], axis=0)
    leak, leak_hz = OPUS_24(average.astype(np.float32), rate_hz)
    heard = detect_sound(leak, leak_hz, prepared)
    found = np.zeros(count) if heard is None else key_scores(heard.evidence, streams)
    named = [
        chance_that_any_scores(_RECIPIENTS, upper_tail(float(one))) <= FALSE_NAMING_CHANCE_MAX
        for one in found
    ]
    return sum(named), float(found.max())


@dataclass(frozen=True, slots=True)
class Audibility:
    """How audible a mark is.

    ``snr_db`` is the ratio of the whole sound to the mark. ``segmental_db`` is the mean of this
    ratio over segments of 32 ms that are not silent, each limited to -10 to 60 dB. ``mos`` is the
    MOS-LQO of the copy, and ``mos_mp3`` that of the original after MP3 at 64 kbit/s; both are None
    if they were not measured.
    """

    snr_db: float
    segmental_db: float
    mos: float | None
    mos_mp3: float | None


def audibility_of_mark(samples: Samples, rate_hz: int, seed: int, *, speech: bool) -> Audibility:
    """Measure how audible the mark of one copy is, before the copy is encoded."""
    prepared = prepare_sound(samples, rate_hz)
    marked = embed_sound_mark(prepared, _streams(prepared, 1, seed)[0])[:, 0]
    own, other = _powers(samples, rate_hz), _powers(marked - samples, rate_hz)
    audible = own > 1e-6 * own.max()
    each = 10 * np.log10(own[audible] / (other[audible] + 1e-12))
    whole = 10 * np.log10(own.sum() / other.sum())
    segmental = float(np.clip(each, -10, 60).mean())
    listener = load_hearing_model(speech=speech)
    if listener is None:
        return Audibility(float(whole), segmental, None, None)
    mos = listener.mos(samples, marked, rate_hz)
    mos_mp3 = listener.mos(samples, *ATTACKS["mp3 64k"](samples, rate_hz))
    return Audibility(float(whole), segmental, mos, mos_mp3)


def _powers(samples: Samples, rate_hz: int) -> NDArray[np.float64]:
    size = WINDOW_SAMPLES * rate_hz // 32_000
    parts = samples[: len(samples) // size * size].reshape(-1, size)
    return np.asarray(np.sum(parts.astype(np.float64) ** 2, axis=1))


def innocent_scores(samples: Samples, rate_hz: int, seed: int) -> NDArray[np.float64]:
    """Return the scores of 1,000 fresh keys on three leaks that were encoded as Opus at 24 kbit/s.

    The leaks are the unmarked sound and two copies with other keys.
    """
    prepared = prepare_sound(samples, rate_hz)
    leaks = [samples] + [
        embed_sound_mark(prepared, one)[:, 0] for one in _streams(prepared, 2, seed)
    ]
    fresh = _streams(prepared, 1000, seed + 1)
    heard = [detect_sound(*OPUS_24(leak, rate_hz), prepared) for leak in leaks]
    return np.concatenate([key_scores(one.evidence, fresh) for one in heard if one is not None])


def _streams(prepared: PreparedSound, count: int, seed: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return [rng.bytes(-(-prepared.chip_count // 8)) for _ in range(count)]


def measured(names: tuple[str, ...]) -> dict[str, Any]:
    """Return the whole document for ``--out``; print results as they come."""
    found = materials(45.0)
    results: list[Result] = []
    marks: dict[str, Audibility] = {}
    for name, (samples, rate_hz) in found.items():
        marks[name] = audibility_of_mark(samples, rate_hz, 3, speech="music" not in name)
        print(f"\n{name}: {_audibility_text(marks[name])}")
        for result in attacked(name, samples, rate_hz, names, 3):
            results.append(result)
            print(f"| {result.attack} | {result.z:.1f} | {result.seconds:.1f} s |", flush=True)
    samples, rate_hz = found["made voice"]
    innocent = innocent_scores(samples[: 10 * rate_hz], rate_hz, 5)
    together = {count: merged(samples[: 30 * rate_hz], rate_hz, count, 7) for count in (2, 5, 10)}
    return {
        **_summary(results, innocent, marks),
        "marks": {name: asdict(mark) for name, mark in marks.items()},
        "merged": {str(count): {"named": one[0], "z": one[1]} for count, one in together.items()},
        "leaks": [{**asdict(result), "right": result.right} for result in results],
    }


def _audibility_text(mark: Audibility) -> str:
    below = f"mark {mark.snr_db:.1f} dB below, by segments {mark.segmental_db:.1f} dB"
    if mark.mos is None or mark.mos_mp3 is None:
        return f"{below}; SKIPPED: MOS-LQO, a package that ViSQOL needs is not installed"
    return f"{below}; MOS-LQO {mark.mos:.2f} (MP3 at 64 kbit/s {mark.mos_mp3:.2f})"


def _summary(
    results: list[Result], innocent: NDArray[np.float64], marks: Mapping[str, Audibility]
) -> dict[str, Any]:
    heard = [mark.mos for mark in marks.values() if mark.mos is not None]
    return {
        "schema": "entrenous/bench-sound/1",
        "materials": len(marks),
        "attacks": len({result.attack for result in results}),
        "named_right": sum(result.right for result in results),
        "named_wrong": sum(result.wrong for result in results),
        "nobody": sum(not (result.right or result.wrong) for result in results),
        "z_min": round(min(result.z for result in results), 1),
        "mos_min": round(min(heard), 2) if heard else None,
        "null_mean": round(float(innocent.mean()), 3),
        "null_sd": round(float(innocent.std()), 3),
        "null_max": round(float(innocent.max()), 2),
        "trace_s_p50": round(float(np.median([result.seconds for result in results])), 2),
    }


def main() -> None:
    """Print tables, then a line of JSON; with ``--out``, write sound.json and sound.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, help="folder to keep sound.json and sound.md in")
    asked = parser.parse_args()
    document = measured(_QUICK if asked.quick else tuple(ATTACKS))
    if asked.out is not None:
        write_document(asked.out, "sound", document, sound_page(document))
    parts = ("marks", "merged", "leaks")
    print(json.dumps({name: value for name, value in document.items() if name not in parts}))


if __name__ == "__main__":
    main()
