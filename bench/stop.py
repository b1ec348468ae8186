"""Measure the speed and exactness of a gate's index, compared with faiss, and the speed of hashing.

    python -m bench.stop                a million hashes; exactness also with 10,000 queries at
                                        each distance, in a bank of 100,000 hashes
    python -m bench.stop --quick        a million hashes, but less of everything else: under a
                                        minute on an idle machine
    python -m bench.stop --ten-million  ten million: some minutes, 5 GB of memory, 2 GB of disk
    python -m bench.stop --hundred-million  look-ups in a hundred million, compared with a scan:
                                        half an hour, 16 GB of memory, 9 GB of disk
    python -m bench.stop --sizes        into how many substrings to cut hashes, by the bank's size
    python -m bench.stop --gate         only hashing, and uploads to a gate with a million hashes

Our index is read from its file, checked and mapped. It takes turns with the peers in one thread;
times of look-ups and hashing are processor time, and ratios are medians of the rounds' ratios. A
peer that is not installed is reported as SKIPPED. The last line is one JSON object; after Ctrl-C
it has the figures up to then. Recall is measured on a few photographs and edits;
bench.stopping.recall measures all of them. bench.stopping.hma compares with Meta's matcher.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

if __package__ in {None, ""}:
    # When this is run as a file, Python puts its folder on the path, not the repository's root.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as entrenous does before it imports NumPy

import numpy as np

from bench.stopping import gates, peers
from bench.stopping.acting import measure_claim_latency
from bench.stopping.exact import Differences, compared, every_plan, queries_at_every_distance
from bench.stopping.hashes import clustered_hashes, random_hashes
from bench.stopping.lookups import measure_lookups, on_file
from bench.stopping.pictures import hashed
from bench.stopping.recall import SOME, Plan, measure_recall
from bench.stopping.recall_pictures import subjects
from bench.stopping.sizes import timings_by_size
from bench.stopping.two import SECONDS, two_processes_per_s

Answer = dict[str, object]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many hashes, queries, rounds and seconds each measurement has."""

    hashes: int = 1_000_000
    clustered: int = 1_000_000
    each: int = 300  # queries at each distance
    rounds: int = 5
    picture_rounds: int = 5
    gate_hashes: int = 1_000_000
    gate_s: float = 20.0
    gate_parts: bool = True  # also load a gate that has the windows of one picture
    two_s: float = SECONDS  # for two processes that share one file
    recall: Plan = SOME


_FEW: Final = ("jpeg 10", "mirror", "letterbox 1:1", "caption bar", "screenshot of an app")
QUICK: Final = Sizes(
    clustered=200_000,
    each=20,
    rounds=2,
    picture_rounds=2,
    gate_hashes=100_000,
    gate_s=1.5,
    gate_parts=False,
    two_s=1.0,
    recall=replace(SOME, edits=_FEW, photographs=3),
)
TEN_MILLION: Final = Sizes(hashes=10_000_000, clustered=10_000_000, each=30, rounds=3)


def main(arguments: list[str] | None = None) -> None:
    """Run the measurements that ``arguments`` ask for, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--ten-million", action="store_true")
    parser.add_argument("--hundred-million", action="store_true")
    parser.add_argument("--sizes", action="store_true")
    parser.add_argument("--gate", action="store_true")
    parser.add_argument("--judges", type=int, help="of the gate; as it likes if not given")
    asked = parser.parse_args(arguments)
    if asked.sizes:
        for line in timings_by_size():
            say(line)
        return
    if peers.version() is None:
        say("SKIPPED: faiss is not installed (pip install faiss-cpu)")
    if asked.hundred_million:
        say(json.dumps(measured([lambda: index_measured(100_000_000, 2, 3, multi_hash=False)])))
        return
    sizes = QUICK if asked.quick else TEN_MILLION if asked.ten_million else Sizes()
    answer = measured(parts(sizes, asked.judges, gate_alone=asked.gate))
    if not (asked.quick or asked.ten_million or asked.gate or "stopped" in answer):
        answer |= _difference_counts(every_plan(100_000, 10_000, np.random.default_rng(3)), answer)
    answer["load_average"] = round(os.getloadavg()[0], 1)
    say(json.dumps(answer))


def parts(
    sizes: Sizes, judges: int | None = None, *, gate_alone: bool = False
) -> list[Callable[[], Answer]]:
    """Return the measurements in order; only hashing and the gate if ``gate_alone`` is set."""
    gate = [
        lambda: pictures_measured(sizes.picture_rounds),
        lambda: gate_measured(
            gates.LoadSettings(
                sizes.gate_hashes, sizes.gate_s, judges=judges, parts=sizes.gate_parts
            )
        ),
    ]
    rest = [
        lambda: index_measured(sizes.hashes, sizes.each, sizes.rounds, two_s=sizes.two_s),
        lambda: clustered_measured(sizes.clustered, sizes.rounds),
        acting_measured,
        lambda: recall_measured(sizes.recall),
    ]
    return gate if gate_alone else gate + rest


def measured(parts: Iterable[Callable[[], Answer]]) -> Answer:
    """Make these measurements in order and return all figures; Ctrl-C ends them early."""
    answer: Answer = {"schema": "entrenous/bench-stop/1"}
    try:
        for part in parts:
            answer |= part()
    except KeyboardInterrupt:
        answer["stopped"] = True
    return answer


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def pictures_measured(rounds: int) -> Answer:
    """Measure hashing, decoding included.

    A picture is read as a gate reads it (``hash_12mp_...``), as a device does to register it
    (``hash_whole_...``: all pixels, in colour), and as luma at full size (``hash_whole_luma_...``).
    """
    speed = hashed(rounds)
    if speed.pdqhash is None:
        say("SKIPPED: pdqhash is not installed")
    if speed.perception is None:
        say("SKIPPED: perception is not installed (pip install --no-deps perception)")
    say(f"{speed.ours:.1f} pictures of 12 megapixels a second ({speed.source})")
    return _present(
        {
            "hash_12mp_per_s": _three(speed.ours),
            "hash_whole_12mp_per_s": _three(speed.whole),
            "hash_whole_luma_12mp_per_s": _three(speed.luma),
            "pdqhash_per_s": _three(speed.pdqhash),
            "perception_per_s": _three(speed.perception),
            "hash_ratio": _three(speed.ratio),
            "hash_whole_ratio": _three(speed.whole_ratio),
            "hash_whole_luma_ratio": _three(speed.luma_ratio),
            "perception_ratio": _three(speed.perception_ratio),
        }
    )


def gate_measured(settings: gates.LoadSettings) -> Answer:
    """Measure uploads to a gate: eight of a megapixel at once, and single ones.

    ``gate_...`` is without deferred scans ("slow looks"), ``with_slow_looks_...`` with them, as by
    default. ``parts_...``, if ``settings.parts`` is set, is without deferred scans, and the bank
    also has hashes of parts of one picture.
    """
    answer: Answer = {}
    for load in gates.measure_gate(settings):
        figures = load.figures()
        per_s, cpu = (figures[f"{load.name}gate_{name}"] for name in ("post_per_s", "cpu_ms"))
        say(
            f"{load.name or 'without slow looks, '}{per_s:.1f} uploads a second; of the processors,"
            f" the gate and its children {cpu:.1f} ms for each"
        )
        answer |= {name: _three(value) for name, value in figures.items()}
    return answer


def recall_measured(plan: Plan) -> Answer:
    """Measure recall: of the first scan (``fast``), and with the deferred one (``deep``)."""
    figures = measure_recall(subjects(), plan)
    return {name: value for name, value in figures.items() if name != "schema"}


def acting_measured() -> Answer:
    """Measure the time from a claim to its first match, and from its withdrawal to no match."""
    added, withdrawn = measure_claim_latency()
    return {"add_to_match_ms": _three(added), "withdraw_to_no_match_ms": _three(withdrawn)}


def index_measured(
    count: int, each: int, rounds: int, *, multi_hash: bool = True, two_s: float = SECONDS
) -> Answer:
    """Measure an index of random hashes: look-ups, exactness, size, opening, two processes."""
    rng = np.random.default_rng(1)
    bank = random_hashes(count, rng)
    with on_file(bank) as made:
        say(f"built in {made.build_s:.1f} s, opened in {made.open_s:.2f} s")
        times = measure_lookups(made.base, bank, rng, rounds, multi_hash=multi_hash)
        differences = compared([made.base.whole], bank, queries_at_every_distance(bank, each, rng))
        two = two_processes_per_s(made.path, two_s)
        size = made.base.size_bytes
    return _present(
        {
            "index_n": count,
            "lookup_p50_ms": _three(times.p50_ms),
            "lookup_p99_ms": _three(times.p99_ms),
            "lookup_batched_ms": _three(float(np.median(times.batched_ms))),
            "faiss_flat_ratio": _three(times.flat_ratio),
            "faiss_multihash_ratio": _three(times.multi_hash_ratio),
            "p99_of_memory_pass": _three(times.p99_ms / times.pass_ms),
            "two_processes_per_s": round(two),
            "build_s": _three(made.build_s),
            "write_s": _three(made.write_s),
            "open_to_answer_s": _three(made.open_s),
            "bytes_per_hash": _three(size / count),
            **_difference_counts(differences, {}),
        }
    )


def clustered_measured(count: int, rounds: int) -> Answer:
    """Measure look-ups in a bank with hashes like those of crops of a few pictures.

    Such look-ups take longest.
    """
    rng = np.random.default_rng(2)
    bank = clustered_hashes(count, rng)
    with on_file(bank) as made:
        times = measure_lookups(made.base, bank, rng, rounds, multi_hash=False)
    return _present(
        {
            "clustered_p50_ms": _three(times.p50_ms),
            "clustered_p99_ms": _three(times.p99_ms),
            "clustered_flat_ratio": _three(times.flat_ratio),
        }
    )


def _difference_counts(differences: Differences, before: Answer) -> Answer:
    names = {
        "compared": differences.there,
        "missing": differences.missing,
        "extra": differences.extra,
    }
    return {name: many + int(str(before.get(name, 0))) for name, many in names.items()}


def _present(answer: Answer) -> Answer:
    return {name: value for name, value in answer.items() if value is not None}


def _three(value: float | None) -> float | None:
    """Round to three significant digits."""
    return None if value is None else float(f"{value:.3g}")


if __name__ == "__main__":
    main()
