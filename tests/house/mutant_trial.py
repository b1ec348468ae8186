"""Try mutants: run the tests that execute the changed lines, and record the first that fails.

The tests are collected once, in one process. Each trial is a fork of that process with the
code of one function replaced, so no file is changed, and nothing is imported twice. Programs that a
test starts run the original code.
"""

import importlib
import math
import multiprocessing
import os
import resource
import signal
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType
from typing import Any, Final, TypeVar

import pytest
from coverage import Coverage
from hypothesis import settings

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = ROOT / "src" / "entrenous"
_PYTEST_ARGUMENTS: Final = (
    *("-q", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider", "-m", "not real"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
    *("-o", "addopts=--import-mode=importlib --disable-socket --allow-unix-socket"),
)
_SHARED_FIXTURES: Final = ""  # the coverage context of fixtures that several test files share
_MEMORY_BYTES_MAX: Final = 8 << 30
_DISABLED_WARNINGS: Final = ("module-not-measured", "already-imported", "no-data-collected")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a mutant's change: file, qualified name of the function, lines of the original.

    ``file`` is relative to src/entrenous.
    """

    file: str
    function: str
    lines: range

    def __str__(self) -> str:
        return f"{self.file}:{self.lines.start} {self.function}"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A file with one changed function; ``difference`` shows the changed lines to people."""

    place: Place
    source: str
    difference: str

    def replace_original(self) -> None:
        """Replace the function's code in place, so that every reference to it runs the mutant."""
        name = "entrenous." + self.place.file.removesuffix(".py").replace("/", ".")
        found: Any = importlib.import_module(name)
        for part in self.place.function.split("."):
            found = vars(found)[part]
        whole = compile(self.source, str(SOURCE / self.place.file), "exec")
        code = next(one for one in _each_code(whole) if one.co_qualname == self.place.function)
        getattr(found, "__func__", found).__code__ = code


def _each_code(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _each_code(constant)


@dataclass(slots=True)
class Baseline:
    """Durations and covered lines of the tests without a mutant."""

    seconds: dict[str, float] = field(default_factory=dict)  # of each passing test
    # The tests that run each line, by file and line number.
    covering: dict[str, dict[int, set[str]]] = field(default_factory=dict)

    def tests_for(self, place: Place) -> dict[str, float]:
        """Return the tests that run the changed lines, with durations, the quickest file first."""
        by_line = self.covering.get(place.file, {})
        found = set[str]().union(*(by_line.get(line, ()) for line in place.lines))
        if _SHARED_FIXTURES in found:
            found = set[str]().union(*by_line.values())
        chosen = {
            test: seconds
            for test, seconds in self.seconds.items()
            if test in found or test.split("::")[0] in found
        }
        return _group_by_file(chosen)


def _group_by_file(tests: dict[str, float]) -> dict[str, float]:
    """Keep the tests of a file together, and begin with the file whose tests are the quickest."""
    each = defaultdict[str, list[float]](list)
    for test, seconds in tests.items():
        each[test.split("::")[0]].append(seconds)
    mean = {file: (sum(taken) / len(taken), file) for file, taken in each.items()}
    return dict(sorted(tests.items(), key=lambda one: (mean[one[0].split("::")[0]], one[1])))


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of running tests on a mutant; ``tests`` is their number.

    ``killer`` is the first test that failed. It is "time" if the tests ended without a result or
    took too long, and empty if all tests passed.
    """

    mutant: Mutant
    tests: int
    killer: str


def try_mutants(
    mutants: Iterable[Mutant], tests: Sequence[str], report_trial: Callable[[Trial], None]
) -> None:
    """Try each mutant with the tests at these paths; call ``report_trial`` with each result."""
    os.chdir(ROOT)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    trials = _TrialPlugin(mutants, report_trial)
    status = pytest.main([*tests, *_PYTEST_ARGUMENTS], plugins=[trials])
    if status != pytest.ExitCode.OK:
        raise SystemExit(f"the tests {' '.join(tests)} were not collected: status {int(status)}")


class _TrialPlugin:
    """A pytest plugin that tries mutants instead of running all tests once."""

    def __init__(self, mutants: Iterable[Mutant], report_trial: Callable[[Trial], None]) -> None:
        self.mutants = mutants
        self.report_trial = report_trial

    def pytest_sessionstart(self) -> None:
        """Remove Hypothesis's deadline: no example may fail because the machine is busy."""
        gate = settings.get_profile("gate")
        settings.register_profile("mutants", gate, deadline=None, database=None)
        settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        baseline = _run_in_fork(partial(_measure_baseline, session.items), cpu_s=3600.0)
        if baseline is None or not baseline.seconds:
            raise pytest.UsageError("the tests do not pass without a mutant")
        for mutant in self.mutants:
            tests = baseline.tests_for(mutant.place)
            chosen = [items[test] for test in tests]
            killer = _run_in_fork(
                partial(_find_killer, mutant, chosen), 20.0 + 3.0 * sum(tests.values())
            )
            self.report_trial(Trial(mutant, len(tests), "time" if killer is None else killer))
        return True


class _CoveragePlugin:
    """A pytest plugin that records each test's duration and the lines that the test runs."""

    def __init__(self, coverage: Coverage) -> None:
        self.coverage = coverage
        self.seconds = defaultdict[str, float](float)
        self.failed = set[str]()
        self.context = _SHARED_FIXTURES

    def switch_context(self, context: str) -> None:
        self.context = context
        self.coverage.switch_context(context)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        """While a shared fixture runs, record its lines for every test that may use the fixture."""
        before = self.context
        if fixturedef.scope != "function":
            whole = fixturedef.scope in {"session", "package"}
            self.switch_context(_SHARED_FIXTURES if whole else before.split("::")[0])
        try:
            return (yield)
        finally:
            if self.context != before:
                self.switch_context(before)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if not report.passed:
            self.failed.add(report.nodeid)


def _measure_baseline(items: Sequence[pytest.Item]) -> Baseline:
    coverage = Coverage(data_file=None, source=[str(SOURCE)], config_file=False)
    coverage.set_option("run:disable_warnings", list(_DISABLED_WARNINGS))
    watch = _CoveragePlugin(coverage)
    items[0].config.pluginmanager.register(watch)
    coverage.start()
    for item in _run_tests(items):
        watch.switch_context(item.nodeid)
    coverage.stop()
    data = coverage.get_data()
    covering = {
        str(Path(file).relative_to(SOURCE)): {
            line: set(contexts) for line, contexts in data.contexts_by_lineno(file).items()
        }
        for file in data.measured_files()
    }
    passed = {test: taken for test, taken in watch.seconds.items() if test not in watch.failed}
    return Baseline(passed, covering)


def _run_tests(items: Sequence[pytest.Item]) -> Iterator[pytest.Item]:
    """Run tests one after the other, silently; yield each before it runs."""
    items[0].config.pluginmanager.unregister(name="terminalreporter")
    for item, following in zip_longest(items, items[1:]):
        yield item
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)


class _FirstFailurePlugin:
    """A pytest plugin that remembers the first test that fails."""

    first = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.first = self.first or report.nodeid


def _find_killer(mutant: Mutant, items: Sequence[pytest.Item]) -> str:
    """Return the test that kills the mutant, or "" if the mutant survives."""
    if not items:
        return ""
    mutant.replace_original()
    failures = _FirstFailurePlugin()
    items[0].config.pluginmanager.register(failures)
    for _ in _run_tests(items):
        if failures.first:
            break
    return failures.first


def _run_in_fork(function: Callable[[], T], cpu_s: float) -> T | None:
    """Run ``function`` in a forked process; return None if it ends without a result, or too late.

    ``cpu_s`` limits processor time, so that a busy machine kills no mutant. A process that sleeps
    is ended after ten times as many seconds.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(function, theirs, math.ceil(cpu_s)))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(10.0 * cpu_s) else None
    except EOFError:
        return None
    finally:
        if process.pid is not None:
            _kill_group(process.pid)
        process.join()
        ours.close()


def _send_result(function: Callable[[], object], connection: Connection, cpu_s: int) -> None:
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES_MAX, _MEMORY_BYTES_MAX))
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    connection.send(function())


def _kill_group(group: int) -> None:
    """Kill a process group."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
