"""Tests of the worker pool: order, parallel work, jobs taken ahead, errors, stopping, pool size."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.send.copies.worker_pool import (
    ordered_batches,
    ordered_results,
    pool_size,
    start_in_thread,
)


@given(st.lists(st.integers(), max_size=60), st.integers(1, 5))
def test_results_come_once_and_in_order(jobs: list[int], workers: int) -> None:
    assert list(ordered_results(lambda job: (job,), jobs, workers)) == [(job,) for job in jobs]


def test_slow_first_job_keeps_its_place() -> None:
    def work(job: int) -> int:
        time.sleep(0.05 if job == 0 else 0.0)
        return job

    assert list(ordered_results(work, range(20), 3)) == list(range(20))


def test_work_runs_in_parallel() -> None:
    barrier = threading.Barrier(3, timeout=60.0)
    assert len(list(ordered_results(lambda _: barrier.wait(), range(3), 3))) == 3


def test_started_work_returns_its_result_or_raises_its_error() -> None:
    barrier = threading.Barrier(2, timeout=60.0)
    future = start_in_thread(barrier.wait)
    assert {barrier.wait(), future.result()} == {0, 1}
    with pytest.raises(ZeroDivisionError):
        start_in_thread(lambda: 1 // 0).result()


def test_jobs_are_taken_only_a_little_ahead() -> None:
    taken = 0

    def jobs() -> Iterator[int]:
        nonlocal taken
        for number in range(10_000):
            taken = number + 1
            yield number

    batches = ordered_batches(lambda job: job, jobs(), 2)
    seen = len(next(batches))
    assert taken <= seen + 2 * 2 + 16
    batches.close()
    assert taken < 100


def test_closing_the_generator_stops_the_work() -> None:
    done: list[int] = []
    results = ordered_results(done.append, range(1000), 2)
    next(results)
    results.close()
    at_close = len(done)
    time.sleep(0.05)
    assert len(done) == at_close < 100


def test_failure_is_raised_in_order_and_ends_the_work() -> None:
    def work(job: int) -> int:
        if job == 3:
            raise OSError("disk")
        return job

    results = ordered_results(work, range(100), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="disk"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_large_pictures_get_fewer_workers() -> None:
    assert pool_size(1) >= pool_size(12_000_000) >= pool_size(120_000_000) == 1
