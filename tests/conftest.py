"""Rules for all tests: no socket but in those marked ``real``; one thread per matrix product.

Three marks choose what a run does. ``real`` starts servers or programs, ``slow`` takes more than a
moment: ``make check`` leaves both out. ``nightly`` runs in ``make nightly`` alone, which sets
``ENTRENOUS_NIGHTLY`` (tests/sizes.py).

Hypothesis tries the same fifty examples in every run, so that a gate says the same twice; with
``--hypothesis-profile=nightly`` it tries a hundred new ones. The order of the tests and their
random numbers follow from one seed, for the same reason; ``--randomly-seed=default`` draws another
one.

A test that asks public vectors says how many with the fixture ``judged``; the counts of those that
passed stand in the line ``judges:`` at the end of a run.
"""

import gc
import logging
import os
from collections.abc import Callable

# Before NumPy is loaded: two workers with two threads each only get in each other's way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("ENTRENOUS_UNDO", "0")  # what is sent in a test leaves at once
os.environ.setdefault("ENTRENOUS_PAUSE", "0")
os.environ.setdefault("ENTRENOUS_LANGUAGE", "en")  # whatever the machine speaks

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

# No deadlines: wall-clock time says nothing on a busy machine. Tests that limit the cost of an
# input measure processor time.
settings.register_profile("gate", derandomize=True, max_examples=50, deadline=None)
settings.register_profile("nightly", deadline=None)
settings.load_profile("gate")

#: Python's own numbers are 700, 10 and 10. With these, garbage collection takes a fifth less time
#: than with 700, 10 and 100, and a worker's memory is the same, as few cycles live that long.
_GARBAGE_COLLECTION_THRESHOLDS = 5000, 100, 10


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while tests are collected: almost nothing of what that makes is any."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Allow sockets to real tests alone, choose those of this run, and let long ones begin."""
    marks = {item: {mark.name for mark in item.iter_markers()} for item in items}
    for item in items:
        if "real" in marks[item]:
            item.add_marker(pytest.mark.enable_socket)
    if not NIGHTLY:
        config.hook.pytest_deselected(items=[item for item in items if "nightly" in marks[item]])
        items[:] = [item for item in items if "nightly" not in marks[item]]
    items[:] = _long_ones_first(items, marks, _worker_count(config))


def pytest_collection_finish() -> None:
    """Keep what was imported and collected out of every later garbage collection.

    To collect once before would free little, and take each worker half a second.
    """
    gc.freeze()
    gc.set_threshold(*_GARBAGE_COLLECTION_THRESHOLDS)


def _worker_count(config: pytest.Config) -> int:
    """Return the number of processes that share the tests of this run."""
    return int(getattr(config, "workerinput", {}).get("workercount", 1))


def _long_ones_first(
    items: list[pytest.Item], marks: dict[pytest.Item, set[str]], workers: int
) -> list[pytest.Item]:
    """Order the tests so that all workers end together.

    Each worker begins with its part of the list and takes from the end of another's when it has
    nothing left. So each part begins with long tests: those of ``tests/real``, which share servers,
    those of ``tests/app``, which share a browser, and all others.
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
def judged(record_property: Callable[[str, object], None]) -> Callable[[str, int], None]:
    """Tell by whose vectors, and by how many of them, this test judged the program."""
    return lambda judge, count: record_property("judged", (judge, count))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line with every judge and the number of its vectors that were asked and passed."""
    told = [
        value
        for report in terminalreporter.stats.get("passed", [])
        for name, value in getattr(report, "user_properties", [])
        if name == "judged"
    ]
    if told:
        counts = ", ".join(f"{judge} {count:,}" for judge, count in sorted(map(tuple, told)))
        terminalreporter.write_line(f"judges: {counts}")


#: As many as fit into some 200 MB.
_PICTURES_REMEMBERED = 100


@pytest.fixture(scope="session", autouse=True)
def _features_of_a_picture_are_found_once() -> Iterator[None]:
    """Remember SIFT's results, the slowest part of a trace: tests trace the same photographs."""
    run_sift = features._run_sift
    remembered = OrderedDict[tuple[object, ...], features.DetectedPoints]()

    def run_or_remember(grey: features.Pixels, *how: float) -> features.DetectedPoints:
        key = (sha256(np.ascontiguousarray(grey)).digest(), grey.shape, how)
        if key not in remembered:
            remembered[key] = run_sift(grey, *how)  # type: ignore[arg-type]
            for array in remembered[key]:
                array.setflags(write=False)  # whoever changed it would change it for other tests
            if len(remembered) > _PICTURES_REMEMBERED:
                remembered.popitem(last=False)
        remembered.move_to_end(key)
        return remembered[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "_run_sift", run_or_remember)
        yield


OWN_LOGS = ("entrenous.relay", "entrenous.hooks", "python_multipart")


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """Who starts a relay's or a gate's log in this process leaves others theirs as it was."""
    every = [logging.getLogger(name) for name in (None, *OWN_LOGS)]
    before = [(one, one.level, one.propagate) for one in every]
    yield
    for one, level, propagate in before:
        one.setLevel(level)
        one.propagate = propagate
        one.handlers[:] = [own for own in one.handlers if type(own) is not logging.StreamHandler]


@pytest.fixture(scope="session")
def postgres() -> "Iterator[Cluster]":
    """A PostgreSQL server; it need not survive a power cut."""
    from tests.postgres import cluster

    with cluster("-c fsync=off -c full_page_writes=off") as made:
        yield made


@pytest.fixture(scope="session")
def buckets() -> "Iterator[Swift]":
    """A Swift, which speaks S3."""
    from tests.swift import swift

    with swift() as running:
        yield running
