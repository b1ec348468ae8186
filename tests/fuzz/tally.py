"""The counts of each target. They start again when the code that the target reaches changes."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

SCHEMA: Final = "entrenous/fuzz/1"
HEADING: Final = """# What fuzzing has shown

Written by `python -m tests.fuzz.run`. Each target is a parser of data from strangers, fuzzed with
[Atheris](https://github.com/google/atheris) (libFuzzer) in a separate process. A parser has to
refuse its input with its own error, or to return an object that is the same after it was written
and parsed again. Anything else is a find, and so is an input that takes more than 20 seconds or
2 GB. The counts of several runs are added up until the code that the target reaches is changed.
*Edges* is the number of branches in the byte code (ours, and that of python-multipart and tomllib)
that the inputs took. [fuzz-finds.md](fuzz-finds.md) says what was found so far, and what became of
it.

| target | inputs | seconds | inputs/s | edges | finds |
| --- | ---: | ---: | ---: | ---: | ---: |
"""


@dataclass(frozen=True, slots=True)
class Tally:
    """The counts of one target.

    ``code`` is a hash of the code that the target reaches. ``finds`` are names of stored inputs.
    """

    target: str
    code: str
    inputs: int = 0
    seconds: float = 0.0
    edges: int = 0
    finds: tuple[str, ...] = ()

    def with_run(self, inputs: int, seconds: float, edges: int, finds: tuple[str, ...]) -> "Tally":
        """Return this tally together with the results of one more run."""
        return replace(
            self,
            inputs=self.inputs + inputs,
            seconds=round(self.seconds + seconds, 1),
            edges=max(self.edges, edges),
            finds=tuple(sorted({*self.finds, *finds})),
        )

    def is_done(self, runs: int, seconds: float) -> bool:
        """Return whether the target has read ``runs`` inputs, or has run for ``seconds``."""
        return self.inputs >= runs or self.seconds >= seconds


def read_tallies(path: Path) -> dict[str, Tally]:
    """Read the stored tallies by target; there are none if the file does not exist."""
    if not path.exists():
        return {}
    rows = json.loads(path.read_text())["targets"]
    return {row["target"]: Tally(**{**row, "finds": tuple(row["finds"])}) for row in rows}


def tally_of(name: str, code: str, stored: dict[str, Tally]) -> Tally:
    """Return a target's stored tally, or an empty one if its code has changed."""
    known = stored.get(name)
    return known if known is not None and known.code == code else Tally(name, code)


def write_tallies(path: Path, tallies: dict[str, Tally]) -> None:
    """Write the tallies as JSON, and as a Markdown page beside it."""
    rows = [asdict(tallies[name]) for name in sorted(tallies)]
    path.parent.mkdir(parents=True, exist_ok=True)
    new_file = path.with_suffix(".new")
    new_file.write_text(json.dumps({"schema": SCHEMA, "targets": rows}, indent=1) + "\n")
    new_file.replace(path)
    path.with_suffix(".md").write_text(HEADING + "".join(map(_row, tallies.values())))


def _row(tally: Tally) -> str:
    speed = tally.inputs / tally.seconds if tally.seconds else 0.0
    found = ", ".join(f"`{name}`" for name in tally.finds) or "none"
    return (
        f"| {tally.target} | {tally.inputs:,} | {tally.seconds:,.0f} | {speed:,.0f} "
        f"| {tally.edges} | {found} |\n"
    )
