"""How fast and how exact a gate's index is, beside faiss; how fast pictures become fingerprints.

    python -m bench.stop                a million hashes, and 10,000 queries at each distance
    python -m bench.stop --quick        a million hashes, fewer queries: under a minute
    python -m bench.stop --ten-million  ten million: some minutes, 5 GB of memory, 2 GB of disk
    python -m bench.stop --sizes        how many substrings suit a bank of which size

Ours is the index as it lies in its file, checked and mapped. Peers take turns with it in one
thread; times are the processor's, ratios are medians of the rounds' ratios. A peer that is not
installed is SKIPPED. The last line is one JSON object.
"""

import argparse
import json
import os

import numpy as np

from bench.stopping import peers
from bench.stopping.acting import acting
from bench.stopping.exact import Wrong, asked_at_every_distance, compared, every_plan
from bench.stopping.hashes import clustered_hashes, random_hashes
from bench.stopping.lookups import look, on_file
from bench.stopping.pictures import hashed
from bench.stopping.sizes import told_by_size
from bench.stopping.two import two_processes_per_s

Answer = dict[str, object]


def main() -> None:
    """Measure, say what is measured, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--ten-million", action="store_true")
    parser.add_argument("--sizes", action="store_true")
    asked = parser.parse_args()
    if asked.sizes:
        for line in told_by_size():
            say(line)
        return
    if peers.version() is None:
        say("SKIPPED: faiss is not installed (pip install faiss-cpu)")
    count = 10_000_000 if asked.ten_million else 1_000_000
    answer: Answer = {"schema": "entrenous/bench-stop/1", **pictures_measured()}
    each, rounds = (30, 3) if asked.quick or asked.ten_million else (300, 5)
    answer |= index_measured(count, each, rounds)
    answer |= clustered_measured(count, rounds)
    if not (asked.quick or asked.ten_million):
        answer |= _wrong(every_plan(100_000, 10_000, np.random.default_rng(3)), answer)
    answer["add_to_match_ms"], answer["withdraw_to_no_match_ms"] = map(_three, acting())
    answer["load_average"] = round(os.getloadavg()[0], 1)
    say(json.dumps(answer))


def say(text: str) -> None:
    """One line."""
    print(text, flush=True)  # noqa: T201


def pictures_measured() -> Answer:
    """Hashing, decoding included."""
    speed = hashed()
    if speed.pdqhash is None:
        say("SKIPPED: pdqhash is not installed")
    say(f"{speed.ours:.1f} pictures of 12 megapixels a second ({speed.source})")
    return _present(
        {
            "hash_12mp_per_s": _three(speed.ours),
            "pdqhash_per_s": _three(speed.pdqhash),
            "hash_ratio": _three(speed.ratio),
        }
    )


def index_measured(count: int, each: int, rounds: int) -> Answer:
    """Random hashes: look-ups, exactness, size, opening, two processes."""
    rng = np.random.default_rng(1)
    bank = random_hashes(count, rng)
    with on_file(bank) as made:
        say(f"built in {made.build_s:.1f} s, opened in {made.open_s:.2f} s")
        looked = look(made.base, bank, rng, rounds)
        wrong = compared([made.base.whole], bank, asked_at_every_distance(bank, each, rng))
        two = two_processes_per_s(made.path)
        size = made.base.size_bytes
    return _present(
        {
            "index_n": count,
            "lookup_p50_ms": _three(looked.p50_ms),
            "lookup_p99_ms": _three(looked.p99_ms),
            "lookup_batched_ms": _three(float(np.median(looked.batched_ms))),
            "faiss_flat_ratio": _three(looked.flat_ratio),
            "faiss_multihash_ratio": _three(looked.multi_hash_ratio),
            "p99_of_memory_pass": _three(looked.p99_ms / looked.pass_ms),
            "two_processes_per_s": round(two),
            "build_s": _three(made.build_s),
            "write_s": _three(made.write_s),
            "open_to_answer_s": _three(made.open_s),
            "bytes_per_hash": _three(size / count),
            **_wrong(wrong, {}),
        }
    )


def clustered_measured(count: int, rounds: int) -> Answer:
    """Crops of a few pictures: the look-ups that cost most."""
    rng = np.random.default_rng(2)
    bank = clustered_hashes(count, rng)
    with on_file(bank) as made:
        looked = look(made.base, bank, rng, rounds, multi_hash=False)
    return _present(
        {
            "clustered_p50_ms": _three(looked.p50_ms),
            "clustered_p99_ms": _three(looked.p99_ms),
            "clustered_flat_ratio": _three(looked.flat_ratio),
        }
    )


def _wrong(wrong: Wrong, before: Answer) -> Answer:
    names = {"compared": wrong.there, "missing": wrong.missing, "extra": wrong.extra}
    return {name: many + int(str(before.get(name, 0))) for name, many in names.items()}


def _present(answer: Answer) -> Answer:
    return {name: value for name, value in answer.items() if value is not None}


def _three(value: float | None) -> float | None:
    """Three digits that count."""
    return None if value is None else float(f"{value:.3g}")


if __name__ == "__main__":
    main()
