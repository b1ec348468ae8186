"""Rules and fixtures for all tests: marks, sockets, order, random numbers, garbage collection.

Three marks select tests. ``real`` tests may open sockets, for example to start servers, and
``slow`` tests take long; ``make check`` leaves both out. ``nightly`` tests run only in ``make
nightly``, which sets ``ENTRENOUS_NIGHTLY`` (tests/sizes.py).

To make results reproducible, Hypothesis tries the same fifty examples in every run, unless a test
says otherwise; with ``--hypothesis-profile=nightly`` it tries a hundred new ones. For the same
reason, the order of the tests and the random numbers follow from one seed;
``--randomly-seed=default`` takes a new one.

A test that uses public test vectors reports their number with the fixture ``record_vectors``. The
line ``test vectors:`` at the end of a run lists these numbers for the tests that passed.
"""

import gc
import logging
import os
import time
from collections.abc import Callable

# Set before NumPy is loaded: further threads would only slow the other workers down.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("ENTRENOUS_UNDO", "0")  # messages leave at once
os.environ.setdefault("ENTRENOUS_PAUSE", "0")
os.environ.setdefault("ENTRENOUS_LANGUAGE", "en")  # the machine's locale has no effect
# Most people do not live in UTC, and servers that run tests do.
os.environ["TZ"] = "America/New_York"
if hasattr(time, "tzset"):  # not on Windows
    time.tzset()

from collections import OrderedDict, defaultdict
from collections.abc import Generator, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings

from entrenous.watermark.alignment import features
from tests.sizes import NIGHTLY

if TYPE_CHECKING:
    from tests.postgres import Cluster
    from tests.swift import Swift

# No deadlines: wall-clock time means little on a busy machine. Tests that limit what an
# input may cost measure the processor time instead.
settings.register_profile("gate", derandomize=True, max_examples=50, deadline=None)
settings.register_profile("nightly", deadline=None)
settings.load_profile("gate")

#: Higher than Python's defaults (700, 10 and 10), so that garbage is collected less often.
_GARBAGE_COLLECTION_THRESHOLDS = 5000, 100, 10


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Disable garbage collection while tests are collected: almost nothing becomes garbage."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Enable sockets in ``real`` tests, and put long tests first.

    Without NIGHTLY, drop ``nightly`` tests.
    """
    marks = {item: {mark.name for mark in item.iter_markers()} for item in items}
    for item in items:
        if "real" in marks[item]:
            item.add_marker(pytest.mark.enable_socket)
    if not NIGHTLY:
        config.hook.pytest_deselected(items=[item for item in items if "nightly" in marks[item]])
        items[:] = [item for item in items if "nightly" not in marks[item]]
    items[:] = _put_long_tests_first(items, marks, _worker_count(config))


def pytest_collection_finish() -> None:
    """Exclude all existing objects from garbage collection, and collect garbage less often."""
    gc.freeze()
    gc.set_threshold(*_GARBAGE_COLLECTION_THRESHOLDS)


def _worker_count(config: pytest.Config) -> int:
    """Return the number of processes that share the tests of this run."""
    return int(getattr(config, "workerinput", {}).get("workercount", 1))


def _put_long_tests_first(
    items: list[pytest.Item], marks: dict[pytest.Item, set[str]], workers: int
) -> list[pytest.Item]:
    """Order the tests so that all workers finish at about the same time.

    Each worker begins with its part of the list. When it has finished, it takes tests from the end
    of another worker's part. So three parts begin with long tests: one with those in ``tests/app``,
    one with those in ``tests/real``, and one with all others.
    """
    long = defaultdict[str, list[pytest.Item]](list)
    short = list[pytest.Item]()
    for item in items:
        area = "/".join(item.nodeid.split("/")[:2])
        if marks[item] & {"real", "slow", "nightly"}:
            long[area if area in {"tests/app", "tests/real"} else ""].append(item)
        else:
            short.append(item)
    ordered = list[pytest.Item]()
    for number, area in enumerate(("tests/app", "tests/real", ""), 1):
        ordered += long[area]
        fill = max(0, len(items) * number // max(workers, 1) - len(ordered))
        ordered += short[:fill]
        del short[:fill]
    return [*ordered, *short]


@pytest.fixture
def record_vectors(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Return a function that records the source and the number of test vectors that a test used."""
    return lambda source, count: record_property("test_vectors", (source, count))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line with the sources of test vectors and the numbers of vectors that passed."""
    records = [
        value
        for report in terminalreporter.stats.get("passed", [])
        for name, value in getattr(report, "user_properties", [])
        if name == "test_vectors"
    ]
    if records:
        counts = ", ".join(f"{source} {count:,}" for source, count in sorted(map(tuple, records)))
        terminalreporter.write_line(f"test vectors: {counts}")


#: The maximum number of cached SIFT results; it limits the memory that the cache takes.
_CACHED_PICTURES_MAX = 100


@pytest.fixture(scope="session", autouse=True)
def _cache_sift_results() -> Iterator[None]:
    """Cache the results of SIFT, which many tests compute for the same photographs."""
    run_sift = features._run_sift
    results = OrderedDict[tuple[object, ...], features.DetectedPoints]()

    def run_sift_once(grey: features.Pixels, *parameters: float) -> features.DetectedPoints:
        key = (sha256(np.ascontiguousarray(grey)).digest(), grey.shape, parameters)
        if key not in results:
            results[key] = run_sift(grey, *parameters)  # type: ignore[arg-type]
            for array in results[key]:
                array.setflags(write=False)  # the tests share these arrays
            if len(results) > _CACHED_PICTURES_MAX:
                results.popitem(last=False)
        results.move_to_end(key)
        return results[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "_run_sift", run_sift_once)
        yield


OWN_LOGGERS = ("entrenous.relay", "entrenous.hooks", "python_multipart")


@pytest.fixture(autouse=True)
def _restore_own_loggers() -> Iterator[None]:
    """After each test, undo what the start of a relay or a gate changed in loggers."""
    loggers = [logging.getLogger(name) for name in (None, *OWN_LOGGERS)]
    before = [(one, one.level, one.propagate) for one in loggers]
    yield
    for one, level, propagate in before:
        one.setLevel(level)
        one.propagate = propagate
        one.handlers[:] = [own for own in one.handlers if type(own) is not logging.StreamHandler]


@pytest.fixture(scope="session")
def postgres() -> "Iterator[Cluster]":
    """Start a PostgreSQL server that does not sync to disk, for all tests of this process."""
    from tests.postgres import run_cluster

    with run_cluster("-c fsync=off -c full_page_writes=off") as made:
        yield made


@pytest.fixture(scope="session")
def swift_server() -> "Iterator[Swift]":
    """Start OpenStack Swift as an S3 server, for all tests of this process."""
    from tests.swift import run_swift

    with run_swift() as running:
        yield running
