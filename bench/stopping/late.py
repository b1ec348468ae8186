"""Measure the processor time of looking back: comparing accepted uploads with new claims.

    python -m bench.stopping.late
    python -m bench.stopping.late --uploads N --claims N --clips N

Looking back is described in docs/spec/gate.md, 5.2. The uploads are in an SQLite database: pictures
with random hashes, some of which are claimed, and clips of 30 seconds with 60 random frames and
random words of a sound. Claims are made for one picture, for many pictures, for a video with 240
frames and one with 1,200, and for a sound of 30 seconds and one of 20 minutes. The last line is one
JSON object, with the processor time of this process.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
import sqlalchemy as sa

from bench.stopping.lookups import scratch_folder
from entrenous.base.environment import Clock, SystemClock, SystemRandomSource
from entrenous.base.identifiers import ClaimId
from entrenous.fingerprint.nouns import SOUND_KIND, VIDEO_KIND, FramePrint, SoundPrint, VideoPrint
from entrenous.media.picture_reader import read_picture
from entrenous.stop.index.maintenance import open_index
from entrenous.stop.index.memory_indexes import RegisteredSounds
from entrenous.stop.judge.look_back import look_back_for_due_claims
from entrenous.stop.nouns import PEOPLE_BANK, Bank
from entrenous.stop.platform import Platform
from entrenous.stop.registration import Claim, ClaimState, Registration
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_engine
from entrenous.stop.store.review_queue import ReviewQueue
from entrenous.stop.store.schema import UPLOAD_CLIP_PRINT_TABLE, UPLOAD_TABLE

_AT: Final = datetime(2026, 11, 25, tzinfo=UTC)
_ROWS: Final = 10_000
_FITTING: Final = 10
_FRAMES: Final = 60  # frames stored for a clip
_WORDS: Final = 242  # words of 30 seconds of sound
_FEW_FRAMES, _MANY_FRAMES = 240, 1_200  # frames of a registered video
_MANY_WORDS: Final = 9_690  # words of 20 minutes of sound


@contextmanager
def _gate(folder: Path) -> Iterator[tuple[Platform, sa.Engine]]:
    engine = open_engine(folder / "bank.db")
    bank = BankStore(engine)
    bank.set_bank(Bank(PEOPLE_BANK))
    with open_index(folder / "index", bank) as index:
        clock: Clock = SystemClock()
        reviews = ReviewQueue(engine, clock)
        sounds = RegisteredSounds(bank)
        yield (
            Platform(
                clock, SystemRandomSource(), bank, index, reviews, read_picture, sounds=sounds
            ),
            engine,
        )
    engine.dispose()


def _let_through(engine: sa.Engine, count: int) -> list[bytes]:
    """Add ``count`` accepted uploads with random hashes; return up to ten of the hashes."""
    rng = np.random.default_rng(1)
    some = list[bytes]()
    for first in range(0, count, _ROWS):
        bits = [rng.bytes(32) for _ in range(min(_ROWS, count - first))]
        rows = [_row(f"case-{first + at}", one) for at, one in enumerate(bits)]
        with engine.begin() as db:
            db.execute(UPLOAD_TABLE.insert(), rows)
        some += bits[:1]
    return some[:_FITTING]


def _row(case: str, bits: bytes) -> dict[str, object]:
    at = round(_AT.timestamp() * 1e6)
    row = {"case_number": case, "at": at, "outcome": "let through", "state": "closed"}
    return row | {"matches": [], "bits": bits}


def _let_clips_through(engine: sa.Engine, count: int) -> bytes:
    """Add ``count`` accepted clips; return the words of ten seconds of the first one's sound."""
    rng = np.random.default_rng(2)
    at = round(_AT.timestamp() * 1e6)
    part = b""
    for first in range(0, count, _FRAMES):
        names = [f"clip-{number}" for number in range(first, min(first + _FRAMES, count))]
        rows = [_row(name, b"") | {"bits": None} for name in names]
        with engine.begin() as db:
            db.execute(UPLOAD_TABLE.insert(), rows)
            numbered = sa.select(UPLOAD_TABLE.c.number).where(UPLOAD_TABLE.c.case_number.in_(names))
            kept = [
                {
                    "number": number,
                    "at": at,
                    "frames": rng.bytes(32 * _FRAMES),
                    "words": rng.bytes(4 * _WORDS),
                }
                for number in db.execute(numbered).scalars()
            ]
            db.execute(UPLOAD_CLIP_PRINT_TABLE.insert(), kept)
        part = part or kept[0]["words"][: 4 * 80]
    return part


def _claim(name: str, kind: str = "pdq") -> Claim:
    return Claim(ClaimId(name), PEOPLE_BANK, ClaimState.WAITING, kind, 100, _AT)


def _pictures_s(platform: Platform, name: str, claims: int, fitting: list[bytes]) -> float:
    """Return the processor seconds of looking back for ``claims`` claims on pictures.

    The claims are on the hashes ``fitting``, then on random ones. Their ids begin with ``name``.
    """
    rng = np.random.default_rng(list(name.encode()))
    hashes = [*fitting, *(rng.bytes(32) for _ in range(claims - len(fitting)))]
    made = (
        Registration(_claim(f"{name}-{at}"), (one,), looks_back=True)
        for at, one in enumerate(hashes)
    )
    return _spent_s(platform, *made)


def _video_s(platform: Platform, frames: int) -> float:
    rng = np.random.default_rng(frames)
    shown = tuple(FramePrint(125 * at, rng.bytes(32), 90) for at in range(frames))
    claim = _claim(f"video-{frames}", VIDEO_KIND)
    return _spent_s(platform, Registration(claim, video=VideoPrint(shown), looks_back=True))


def _sound_s(platform: Platform, words: int, part: bytes) -> float:
    rng = np.random.default_rng(words)
    sound = SoundPrint(part + rng.bytes(4 * words - len(part)))
    claim = _claim(f"sound-{words}", SOUND_KIND)
    return _spent_s(platform, Registration(claim, sound=sound, looks_back=True))


def _spent_s(platform: Platform, *claims: Registration) -> float:
    """Register claims; return the processor seconds until no look-back is due any more."""
    platform.bank.register(*claims)
    platform.index.find_near_hashes([bytes(32)], part=False)
    began = time.process_time()
    while platform.reviews.count_due_work().look_backs:
        look_back_for_due_claims(platform)
    return time.process_time() - began


def main() -> None:
    """Measure all kinds of claims, and print the figures."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    asked.add_argument("--uploads", type=int, default=100_000)
    asked.add_argument("--claims", type=int, default=2_000)
    asked.add_argument("--clips", type=int, default=10_000)
    wanted = asked.parse_args()
    with (
        TemporaryDirectory(dir=scratch_folder()) as folder,
        _gate(Path(folder)) as (platform, engine),
    ):
        some = _let_through(engine, wanted.uploads)
        one_s = _pictures_s(platform, "one", 1, some[:1])
        many_s = _pictures_s(platform, "many", wanted.claims, some[1:])
        found = platform.reviews.count_waiting_items()
        part = _let_clips_through(engine, wanted.clips)
        with_clips_s = _pictures_s(platform, "with-clips", 1, [])
        videos = {frames: _video_s(platform, frames) for frames in (_FEW_FRAMES, _MANY_FRAMES)}
        sounds = {words: _sound_s(platform, words, part) for words in (_WORDS, _MANY_WORDS)}
        heard = platform.reviews.count_waiting_items() - found
    figures = {
        "uploads": wanted.uploads,
        "claims": wanted.claims,
        "one_claim_s": round(one_s, 3),
        "many_s": round(many_s, 2),
        "ms_per_claim": round(1e3 * many_s / wanted.claims, 2),
        "found": found,
        "clips": wanted.clips,
        "one_claim_with_clips_s": round(with_clips_s, 3),
        "video_claim_s": {frames: round(spent, 2) for frames, spent in videos.items()},
        "sound_claim_s": {words: round(spent, 2) for words, spent in sounds.items()},
        "heard": heard,
    }
    sys.stdout.write(json.dumps({"schema": "entrenous/bench-late/1", **figures}) + "\n")


if __name__ == "__main__":
    main()
