# ruff: noqa: T201 - it prints its results
"""Measure which registered videos and sounds are found after they were cut and encoded again.

    python -m bench.stopping.recall_reel              some minutes
    python -m bench.stopping.recall_reel --quick      two videos, six sounds: under a minute

Excerpts of 5 and 10 s at random places are uploaded. An excerpt of a video is recognised as
*itself* if half of its half seconds, and at least three, match in order. It is *held* if a half
second matches (two, if only with the edges cut off). A match is false if the excerpt matches a
claim on another video or sound. The last line is one JSON object.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import cv2
import numpy as np

from bench.stopping.reels import LEAKS, Frames, decoded, footage, photographs, synthetic_clip
from bench.stopping.voices import SOUND_LEAKS, SoundAtRate, sounds
from entrenous.base.audio_video import FrameSelection
from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.linear_scan import ScanIndex
from entrenous.fingerprint.nouns import VIDEO_KIND, VideoPrint, VideoViews
from entrenous.fingerprint.pdq import orientation_fingerprints
from entrenous.fingerprint.sound_index import SoundIndex, make_sound_fingerprint, sound_views
from entrenous.fingerprint.video_hash import (
    REGISTERED_FRAME_SELECTION,
    UPLOAD_FRAME_SELECTION,
    make_video_fingerprint,
    video_views,
)
from entrenous.media.clip_reader import read_clip
from entrenous.media.picture_reader import read_picture
from entrenous.stop.judge.clips import ClaimWithFrameTime, trimmed_hits, video_hits
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.registration import Claim, ClaimState

_LENGTH_S: Final = 30.0
_EXCERPTS: Final = (5, 10)
_SEED: Final = 11


@dataclass(slots=True)
class Tally:
    """One kind of leak: how many were tried, and how many matched, rightly or falsely."""

    tried: int = 0
    itself: int = 0
    held: int = 0
    false_itself: int = 0
    false_held: int = 0
    pairs: int = 0

    def shares(self) -> dict[str, float | int]:
        """Return the fields of the printed JSON object; two of them are shares of ``tried``."""
        return {
            "tried": self.tried,
            "itself": round(self.itself / self.tried, 3),
            "held": round(self.held / self.tried, 3),
            "false_itself": self.false_itself,
            "false_held": self.false_held,
            "pairs": self.pairs,
        }


@dataclass(frozen=True, slots=True)
class Bank:
    """Registered videos: indexes of all their frames, whole (``index``) and without edges
    (``parts``), and the claims on each entry.
    """

    index: ScanIndex
    parts: ScanIndex
    places: Mapping[int, tuple[ClaimWithFrameTime, ...]]
    part_places: Mapping[int, tuple[ClaimWithFrameTime, ...]]

    def found(self, views: VideoViews) -> dict[str, bool]:
        """Return the names of the matching claims; True if the upload is that video itself."""
        near = self.index.find_near_hashes(views.hashes)
        hits = video_hits(views, near, self.places, {PEOPLE_BANK: 31})
        near = self.parts.find_near_hashes([view.bits for view in views.trimmed])
        cut = trimmed_hits(views, near, self.part_places, {PEOPLE_BANK: 31})
        return {str(match.claim): not match.part for match, _ in (*cut, *hits)}


def bank_of(prints: Mapping[str, VideoPrint]) -> Bank:
    """Register one claim per video; equal hashes are one entry, as in the gate's store."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    whole: list[tuple[bytes, ClaimWithFrameTime]] = []
    parts: list[tuple[bytes, ClaimWithFrameTime]] = []
    for name, one in prints.items():
        claim = Claim(ClaimId(name), PEOPLE_BANK, ClaimState.WAITING, VIDEO_KIND, 100, at)
        whole += [(frame.bits, (claim, frame.at_ms)) for frame in one.frames]
        parts += [(frame.inner, (claim, frame.at_ms)) for frame in one.frames if frame.inner]
    (index, places), (inner, inner_places) = _indexed(whole), _indexed(parts)
    return Bank(index, inner, places, inner_places)


def _indexed(
    hashes: Sequence[tuple[bytes, ClaimWithFrameTime]],
) -> tuple[ScanIndex, Mapping[int, tuple[ClaimWithFrameTime, ...]]]:
    entries: dict[bytes, int] = {}
    places: dict[int, tuple[ClaimWithFrameTime, ...]] = {}
    for bits, place in hashes:
        entry = entries.setdefault(bits, len(entries))
        places[entry] = (*places.get(entry, ()), place)
    return ScanIndex.empty().with_added(list(entries.values()), list(entries)), places


def clips(count: int, seconds: float) -> Iterator[tuple[str, bytes]]:
    """Yield names and files: up to ``count`` synthetic clips, and any footage that is installed."""
    for seed, (name, photo) in enumerate(photographs(count).items()):
        yield name, synthetic_clip(photo, seconds, seed)
    yield from footage().items()


def registered(data: bytes) -> VideoPrint:
    """Fingerprint a video as a person's device does to register it, with hashes of parts."""
    with read_clip(data, REGISTERED_FRAME_SELECTION) as clip:
        return make_video_fingerprint(clip.frames, clip.shown.length_s, parts=True)


def hash_upload(data: bytes) -> VideoViews:
    """Hash a video as a gate does with an upload."""
    with read_clip(data, UPLOAD_FRAME_SELECTION) as clip:
        return video_views(clip.frames, clip.shown.length_s)


def measure_videos(
    found: Mapping[str, bytes], leaks: Mapping[str, Any], tries: int
) -> dict[str, Tally]:
    """Compare each leak of ``tries`` excerpts of each clip with all clips, and print progress."""
    bank = bank_of({name: registered(data) for name, data in found.items()})
    print(f"videos: {len(found)}, {bank.index.entries.size} hashes")
    rng = np.random.default_rng(_SEED)
    tallies = {f"{leak}, {seconds} s": Tally() for leak in leaks for seconds in _EXCERPTS}
    for name, data in found.items():
        for excerpt in _excerpts(data, max(_EXCERPTS), tries, rng):
            shown = list(excerpt)
            for leak, seconds in product(leaks, _EXCERPTS):
                part = (frame for frame in shown if frame[0] < seconds)
                views = hash_upload(leaks[leak](part, rng))
                _count(tallies[f"{leak}, {seconds} s"], name, bank.found(views), len(found))
        print(f"  {name} done", flush=True)
    for leak, tally in tallies.items():
        print(f"{leak:32} {tally.shares()}", flush=True)
    tallies["screenshot"] = _screenshots(found, bank, rng, tries)
    print(f"{'screenshot':32} {tallies['screenshot'].shares()}")
    return tallies


def _excerpts(
    data: bytes, seconds: float, tries: int, rng: np.random.Generator
) -> Iterator[Frames]:
    with read_clip(data, FrameSelection(side_px=16)) as clip:
        length_s = clip.shown.length_s
    for _ in range(tries):
        start_s = rng.uniform(0.0, max(0.0, length_s - seconds - 0.1))
        yield decoded(data, start_s, start_s + seconds)


def _count(tally: Tally, name: str, found: Mapping[str, bool], claims: int) -> None:
    tally.tried += 1
    tally.pairs += claims - 1
    tally.itself += found.get(name, False)
    tally.held += name in found
    tally.false_itself += sum(itself for other, itself in found.items() if other != name)
    tally.false_held += sum(other != name for other in found)


def _screenshots(
    found: Mapping[str, bytes], bank: Bank, rng: np.random.Generator, tries: int
) -> Tally:
    """Upload single frames, at half the size and as JPEGs of quality 70.

    A match with a video's frame can only be *held*.
    """
    tally = Tally()
    for name, data in found.items():
        for excerpt in _excerpts(data, 0.3, 2 * tries, rng):
            _, pixels = next(excerpt)
            small = cv2.resize(
                pixels[:, :, ::-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA
            )
            _, file = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 70])
            views = orientation_fingerprints(read_picture(file.tobytes()))
            near = bank.index.find_near_hashes([view.bits for view in views.values()])
            hits = {str(claim.id): False for one in near for claim, _ in bank.places[one.entry]}
            _count(tally, name, hits, len(found))
    return tally


def measure_sounds(
    material: Mapping[str, SoundAtRate], leaks: Mapping[str, Any], tries: int
) -> dict[str, Tally]:
    """Do the same as :func:`measure_videos` with sounds, which can only be held."""
    index = SoundIndex.of([make_sound_fingerprint(*sound) for sound in material.values()])
    print(f"sounds: {len(material)}, {len(index.words)} words")
    rng = np.random.default_rng(_SEED)
    tallies: dict[str, Tally] = {}
    for leak, change in leaks.items():
        for seconds in _EXCERPTS:
            tally = tallies.setdefault(f"{leak}, {seconds} s", Tally())
            for number, (samples, rate_hz) in enumerate(material.values()):
                for _ in range(tries):
                    start = int(rng.integers(0, len(samples) - seconds * rate_hz))
                    part = change(samples[start : start + seconds * rate_hz], rate_hz)
                    hits = {
                        str(one.sound): False
                        for one in index.find_matching_sounds(sound_views(*part))
                    }
                    _count(tally, str(number), hits, len(material))
            print(f"{leak:26} {seconds:2} s  {tally.shares()}", flush=True)
    return tallies


def speed(data: bytes) -> dict[str, float]:
    """Return how many frames are hashed and decoded per second of processor time (one core), and
    the share of decoding in the time of both.
    """
    start = time.process_time()
    with read_clip(data) as clip:
        frames = list(clip.frames)
    decoding_s = time.process_time() - start
    rates = {}
    for name, work, apart_s in (
        (
            "registered",
            partial(make_video_fingerprint, parts=True),
            REGISTERED_FRAME_SELECTION.apart_s,
        ),
        ("looked_at", video_views, UPLOAD_FRAME_SELECTION.apart_s),
    ):
        start = time.process_time()
        _repeated(work, frames)
        taken_s = (time.process_time() - start) / 3
        rates[f"{name}_frames_per_s"] = round(frames[-1].at_s / apart_s / taken_s)
        rates[f"{name}_share_of_decoding"] = round(decoding_s / (decoding_s + taken_s), 3)
    rates["decoded_frames_per_s"] = round(len(frames) / decoding_s)
    rates["times_real_time"] = round(frames[-1].at_s / decoding_s, 1)
    return rates


def _repeated(work: Callable[..., object], frames: list[Any]) -> None:
    for _ in range(3):
        work(frames)


def main() -> None:
    """Measure, print a table, and then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    found = dict(clips(2 if quick else 8, 12.0 if quick else _LENGTH_S))
    few = ("480 lines crf 30", "mirror, crop 5 %, 25 fps")
    leaks = {name: leak for name, leak in LEAKS.items() if not quick or name in few}
    seen = measure_videos(found, leaks, 1 if quick else 4)
    listened = measure_sounds(sounds(few=quick), SOUND_LEAKS, 1 if quick else 2)
    rates = speed(next(iter(found.values())))
    print(json.dumps(_document(seen, listened, rates)))


def _document(
    seen: Mapping[str, Tally], listened: Mapping[str, Tally], rates: Mapping[str, float]
) -> dict[str, Any]:
    total: Counter[str] = Counter()
    for kind, tallies in (("video", seen), ("sound", listened)):
        for tally in tallies.values():
            total[f"{kind}_false_itself"] += tally.false_itself
            total[f"{kind}_false_held"] += tally.false_held
            total[f"{kind}_pairs"] += tally.pairs
    return {
        "schema": "entrenous/bench-recall-reel/1",
        "video": {name: tally.shares() for name, tally in seen.items()},
        "sound": {name: tally.shares() for name, tally in listened.items()},
        **total,
        **rates,
    }


if __name__ == "__main__":
    main()
