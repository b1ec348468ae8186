"""Measure time and memory: of marking, compared with encoding alone, and of one trace."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from bench.attacks import leak
from bench.photographs import PHOTOGRAPHS, Size
from bench.tracing.memory_sender import people, send, sender
from entrenous.media.picture_writer import write_picture
from entrenous.send.copies.picture_copies import prepare_original

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cost:
    """The costs in one run on one machine; times are wall-clock seconds, unless stated otherwise.

    Machines differ, so prefer the ratio. ``mark_s`` is the time of all that `mark` does: decode the
    picture, measure where a mark can hide, and write every copy. ``encode_s`` is the time to encode
    the unmarked picture as many times, one after the other, as finely as copies are encoded.
    Marking uses all processors, so ``mark_cpu_s`` and ``encode_cpu_s`` are the processor seconds on
    all of them together. ``peak_mb`` is this process's peak memory, in MiB, including the
    benchmark's own.
    """

    photo: str
    size: str
    megapixels: float
    copies: int
    mark_s: float
    encode_s: float
    mark_cpu_s: float
    encode_cpu_s: float
    trace_s: float | None
    peak_mb: float

    @property
    def mark_over_encode(self) -> float:
        """Return the time of marking as a multiple of the time of encoding alone."""
        return self.mark_s / self.encode_s


def cost(photo: str, size: Size, copies: int, seed: int, *, tracing: bool = True) -> Cost:
    """Measure marking ``copies`` copies of a photograph and, if ``tracing``, one trace.

    Raises:
        FileNotFoundError, TooSmall: the photograph is not available at this size.
    """
    original = PHOTOGRAPHS[photo].file_at(size)
    prepared = prepare_original(original, None, sender("as finely as copies"))
    picture, finer = prepared.picture, prepared.finer_quality_steps
    encode_s, encode_cpu_s, _ = _seconds(
        lambda: [write_picture(picture, finer=finer) for _ in range(copies)]
    )
    mark_s, mark_cpu_s, sent = _seconds(lambda: send(original, people(copies), f"cost {seed}"))
    rng = np.random.default_rng(seed)
    found = leak("crop50+q70", sent.samples(people(1)[0]), rng)
    trace_s = _seconds(lambda: sent.traced(found))[0] if tracing else None
    return Cost(
        photo=photo,
        size=size.value,
        megapixels=picture.pixel_count / 1e6,
        copies=copies,
        mark_s=mark_s,
        encode_s=encode_s,
        mark_cpu_s=mark_cpu_s,
        encode_cpu_s=encode_cpu_s,
        trace_s=trace_s,
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def _seconds(work: Callable[[], T]) -> tuple[float, float, T]:
    """Return the wall-clock seconds and processor seconds of ``work``, and its result."""
    start, spent = time.perf_counter(), time.process_time()
    done = work()
    return time.perf_counter() - start, time.process_time() - spent, done
