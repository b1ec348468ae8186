"""Run terminal sessions that are written down as text, and compare their output with the text.

In a session, a line that begins with ``$ `` is a command, and a line that begins with ``< `` is
standard input of the command. The other lines are the output. A last line such as
``[exit 4]`` is the exit status; if there is none, the exit status is 0. The output is on standard
output if the status is 0 or 1, otherwise on standard error. Output lines that begin with
``(aside) `` are on the other of these two streams. :class:`OutputMatcher` says what may differ
between two runs.
"""

import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

from entrenous.__main__ import FEATURE_FUNCTIONS
from entrenous.cli import run
from tests.ready import run_program

NAME = re.compile(r"\b[1-9][0-9]*-[a-z]+-[a-z]+\b")  # a message's name, like 7-lunar-otter
TIME = re.compile(
    r"\b20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z"
    r"|\b[0-9]{1,2} [A-Z][a-z]+ 20[0-9]{2}(, [0-9]{2}:[0-9]{2} UTC)?"
)
PER_CENT = re.compile(r"\b([0-9]+) %")
INVITE = re.compile(r"\bentrenous:1:[\w-]+")
DEVICE = re.compile(r"\bdevice [0-9a-f]{8}\b")
OTHER_STREAM_PREFIX = "(aside) "
EXIT_LINE = re.compile(r"\[exit ([0-9]+)\]")
TOLERANCE_PER_CENT = 2


@dataclass(frozen=True, slots=True)
class Step:
    """One command line, its standard input, and its expected output and exit status.

    ``output`` is expected on standard output if the status is 0 or 1, otherwise on standard error;
    ``other_output`` is expected on the other stream.
    """

    command_line: str
    output: tuple[str, ...] = ()
    status: int = 0
    input_lines: tuple[str, ...] = ()
    other_output: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The actual exit status and output of a command."""

    status: int
    out: str
    err: str


def parse_steps(lines: Iterable[str]) -> list[Step]:
    """Parse a session into its commands."""
    steps: list[Step] = []
    ended = False
    for line in lines:
        if line.startswith("$ "):
            steps.append(Step(line[2:]))
        elif found := EXIT_LINE.fullmatch(line):
            steps[-1] = replace(steps[-1], status=int(found[1]))
            ended = True
            continue
        elif line.startswith("< ") and not steps[-1].output:
            steps[-1] = replace(steps[-1], input_lines=(*steps[-1].input_lines, line[2:]))
        elif not ended and line.startswith(OTHER_STREAM_PREFIX):
            said = line.removeprefix(OTHER_STREAM_PREFIX)
            steps[-1] = replace(steps[-1], other_output=(*steps[-1].other_output, said))
        elif not ended:
            steps[-1] = replace(steps[-1], output=(*steps[-1].output, line))
        elif line:
            raise ValueError(f"nothing is printed after the end of a command: {line}")
        ended = ended and not line.startswith("$ ")
    return steps


#: A function that runs a command with its arguments, folder, environment and standard input.
RunCommand = Callable[[Sequence[str], Path, Mapping[str, str], bytes], CommandResult]


def run_as_process(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], input_bytes: bytes
) -> CommandResult:
    """Run a command in a process of its own."""
    command = [sys.executable, "-m", "entrenous", *words]
    finished = run_program(command, cwd=folder, env=dict(environment), typed=input_bytes)
    return CommandResult(finished.returncode, finished.stdout.decode(), finished.stderr.decode())


def run_in_process(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], input_bytes: bytes
) -> CommandResult:
    """Run a command in this process, which is faster than a new process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with (
        patch.dict(os.environ, environment, clear=True),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(input_bytes), "utf-8")),
        chdir(folder),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        status = run([*words], FEATURE_FUNCTIONS)
    return CommandResult(status, _read_all(out), _read_all(err))


def _read_all(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal with its own folder, and a device's home and passphrase."""

    folder: Path
    home: Path
    passphrase: str = "seven small otters swim"
    extra_environment: Mapping[str, str] = field(default_factory=dict)
    run: RunCommand = run_as_process

    def run_line(self, line: str, input_lines: Sequence[str] = ()) -> CommandResult:
        """Run ``[NAME=value ...] entrenous ...`` with these lines as its standard input."""
        words = shlex.split(line)
        settings: dict[str, str] = {}
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            settings[name] = value
        if words[0] != "entrenous":
            raise ValueError(f"only entrenous is run here, not {words[0]}")
        input_bytes = "".join(f"{one}\n" for one in input_lines).encode()
        return self.run(words[1:], self.folder, {**self._environment(), **settings}, input_bytes)

    def _environment(self) -> dict[str, str]:
        ours = {name: text for name, text in os.environ.items() if "ENTRENOUS" not in name}
        return {
            **ours,
            "ENTRENOUS_HOME": str(self.home),
            "ENTRENOUS_UNDO": "0",
            "ENTRENOUS_PAUSE": "0",
            "ENTRENOUS_PASSPHRASE": self.passphrase,
            "COLUMNS": "100",
            "NO_COLOR": "1",
            **self.extra_environment,
        }


@dataclass(slots=True)
class OutputMatcher:
    """Compares the written lines of a session with printed lines.

    ``words`` maps written words to printed ones. A written message name, invite or device name gets
    its printed word at its first occurrence, and must then stand for the same word in the whole
    session. Percentages may differ by ``TOLERANCE_PER_CENT``, and times may differ; everything else
    must be equal.
    """

    words: dict[str, str] = field(default_factory=dict)

    def substitute_words(self, written: str) -> str:
        """Return a written line in which known words are replaced by their printed words."""
        bound = re.compile("|".join(map(re.escape, sorted(self.words, key=len, reverse=True))))
        return bound.sub(lambda found: self.words[found[0]], written) if self.words else written

    def difference(self, written: str, printed: str) -> str:
        """Describe how a printed line differs from the written line, or return ``""``."""
        for pattern in (NAME, INVITE, DEVICE):
            for theirs, ours in zip(
                pattern.findall(written), pattern.findall(printed), strict=False
            ):
                if theirs not in self.words and ours not in self.words.values():
                    self.words[theirs] = ours
        wanted = self.substitute_words(written)
        if _without_numbers(wanted) == _without_numbers(printed) and _percentages_match(
            wanted, printed
        ):
            return ""
        return f"written: {wanted}\nprinted: {printed}"

    def differences(self, written: Iterable[str], printed: str) -> str:
        """Describe how an output differs from the written lines, or return ``""``."""
        theirs, ours = list(written), printed.splitlines()
        if len(theirs) != len(ours):
            return f"{len(theirs)} lines are written, {len(ours)} were printed:\n{printed}"
        pairs = zip(theirs, ours, strict=True)
        return "\n".join(why for one, other in pairs if (why := self.difference(one, other)))


def matcher_with_words(words: Mapping[str, str]) -> OutputMatcher:
    """Return a matcher that knows from the start how some words, such as folders, are printed."""
    return OutputMatcher(dict(words))


def _without_numbers(line: str) -> str:
    return PER_CENT.sub("N %", TIME.sub("then", line))


def _percentages_match(wanted: str, printed: str) -> bool:
    pairs = zip(PER_CENT.findall(wanted), PER_CENT.findall(printed), strict=True)
    return all(abs(int(one) - int(other)) <= TOLERANCE_PER_CENT for one, other in pairs)
