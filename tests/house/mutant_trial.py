"""Try mutants: run the tests that execute the changed lines, and note the first one that fails.

The tests are collected once, in one process. Each trial is a fork of it in which the code of the
one changed function is replaced, so no file is changed, and nothing is imported twice. Programs
that a test starts run the original code.
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
_PYTEST: Final = (
    *("-q", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider", "-m", "not real"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
    *("-o", "addopts=--import-mode=importlib --disable-socket --allow-unix-socket"),
)
_EVERY: Final = ""  # coverage context of the fixtures that several test files share
_MEMORY_MAX: Final = 8 << 30
_QUIET: Final = ("module-not-measured", "already-imported", "no-data-collected")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mutant differs: its file, the qualified name of the function, the original's lines.

    ``file`` is below src/entrenous.
    """

    file: str
    function: str
    lines: range

    def __str__(self) -> str:
        return f"{self.file}:{self.lines.start} {self.function}"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A file with one changed function; ``difference`` shows people the changed lines."""

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

    seconds: dict[str, float] = field(default_factory=dict)  # by test, if it passes
    covering: dict[str, dict[int, set[str]]] = field(default_factory=dict)  # by file and line

    def tests_for(self, place: Place) -> dict[str, float]:
        """Return the tests that run the changed lines, with their seconds, the quickest first."""
        by_line = self.covering.get(place.file, {})
        found = set[str]().union(*(by_line.get(line, ()) for line in place.lines))
        if _EVERY in found:
            found = set[str]().union(*by_line.values())
        chosen = {
            test: seconds
            for test, seconds in self.seconds.items()
            if test in found or test.split("::")[0] in found
        }
        return _by_file(chosen)


def _by_file(tests: dict[str, float]) -> dict[str, float]:
    """Keep the tests of a file together, and begin with the file whose tests are the quickest."""
    each = defaultdict[str, list[float]](list)
    for test, seconds in tests.items():
        each[test.split("::")[0]].append(seconds)
    mean = {file: (sum(taken) / len(taken), file) for file, taken in each.items()}
    return dict(sorted(tests.items(), key=lambda one: (mean[one[0].split("::")[0]], one[1])))


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of ``tests`` tests: ``killer`` is a failing test or "time", empty if none."""

    mutant: Mutant
    tests: int
    killer: str


def try_mutants(
    mutants: Iterable[Mutant], tests: Sequence[str], tell: Callable[[Trial], None]
) -> None:
    """Try each mutant with the tests at these paths; call ``tell`` with each result."""
    os.chdir(ROOT)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    trials = _Trials(mutants, tell)
    status = pytest.main([*tests, *_PYTEST], plugins=[trials])
    if status != pytest.ExitCode.OK:
        raise SystemExit(f"the tests {' '.join(tests)} were not collected: status {int(status)}")


class _Trials:
    """A pytest plugin that tries mutants in the place of one run of all tests."""

    def __init__(self, mutants: Iterable[Mutant], tell: Callable[[Trial], None]) -> None:
        self.mutants = mutants
        self.tell = tell

    def pytest_sessionstart(self) -> None:
        """Remove Hypothesis's deadline: no example may fail because the machine is busy."""
        gate = settings.get_profile("gate")
        settings.register_profile("mutants", gate, deadline=None, database=None)
        settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        baseline = _forked(partial(_watched, session.items), cpu_s=3600.0)
        if baseline is None or not baseline.seconds:
            raise pytest.UsageError("the tests do not pass without a mutant")
        for mutant in self.mutants:
            tests = baseline.tests_for(mutant.place)
            chosen = [items[test] for test in tests]
            killer = _forked(partial(_tried, mutant, chosen), 20.0 + 3.0 * sum(tests.values()))
            self.tell(Trial(mutant, len(tests), "time" if killer is None else killer))
        return True


class _Watch:
    """A pytest plugin that notes which lines each test runs, and how long it takes."""

    def __init__(self, coverage: Coverage) -> None:
        self.coverage = coverage
        self.seconds = defaultdict[str, float](float)
        self.failed = set[str]()
        self.now = _EVERY

    def switch(self, context: str) -> None:
        self.now = context
        self.coverage.switch_context(context)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[None]:
        """Count the lines that a shared fixture runs for every test that may use it."""
        before = self.now
        if fixturedef.scope != "function":
            whole = fixturedef.scope in {"session", "package"}
            self.switch(_EVERY if whole else before.split("::")[0])
        try:
            return (yield)
        finally:
            if self.now != before:
                self.switch(before)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if not report.passed:
            self.failed.add(report.nodeid)


def _watched(items: Sequence[pytest.Item]) -> Baseline:
    coverage = Coverage(data_file=None, source=[str(SOURCE)], config_file=False)
    coverage.set_option("run:disable_warnings", list(_QUIET))
    watch = _Watch(coverage)
    items[0].config.pluginmanager.register(watch)
    coverage.start()
    for item in _run(items):
        watch.switch(item.nodeid)
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


def _run(items: Sequence[pytest.Item]) -> Iterator[pytest.Item]:
    """Run tests one after the other, silently; yield each before it runs."""
    items[0].config.pluginmanager.unregister(name="terminalreporter")
    for item, following in zip_longest(items, items[1:]):
        yield item
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)


class _Failures:
    """A pytest plugin that remembers the first test that fails."""

    first = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.first = self.first or report.nodeid


def _tried(mutant: Mutant, items: Sequence[pytest.Item]) -> str:
    """Return the test that kills the mutant; empty if it survives."""
    if not items:
        return ""
    mutant.replace_original()
    failures = _Failures()
    items[0].config.pluginmanager.register(failures)
    for _ in _run(items):
        if failures.first:
            break
    return failures.first


def _forked(work: Callable[[], T], cpu_s: float) -> T | None:
    """Run ``work`` in a forked process; return None if it ends without a result, or too late.

    ``cpu_s`` limits processor time, so that a busy machine kills no mutant. A process that sleeps
    is ended after ten times as many seconds.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(work, theirs, math.ceil(cpu_s)))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(10.0 * cpu_s) else None
    except EOFError:
        return None
    finally:
        if process.pid is not None:
            _end(process.pid)
        process.join()
        ours.close()


def _answer(work: Callable[[], object], to: Connection, cpu_s: int) -> None:
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_MAX, _MEMORY_MAX))
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    to.send(work())


def _end(group: int) -> None:
    """Kill a process group."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
