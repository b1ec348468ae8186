"""Measure how many mutants of the rules the tests kill (mutation testing).

    python -m tests.house.mutants --draw 300 --seed 2026 [--rooms carry crypto] [--least 80]

A mutant is a source file with one small change, such as ``<`` for ``<=``: the operators are those
of mutmut (https://mutmut.readthedocs.io). The same number is drawn in each room, a part of the code
with its tests. Text for people (docstrings, logs, sentences in errors and checks) is not changed.

As with mutmut, only functions without a decorator are changed, not code that runs on import, such
as a module's constants. Tests that start programs are left out, and so is code that only they test,
such as crypto/rfc3161.py. tests/house/mutant_trial.py says how a mutant is tried.
"""

import argparse
import difflib
import math
import random
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Final

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation.file_mutation import Mutation, create_mutations

from tests.house.mutant_trial import SOURCE, Mutant, Place, Trial, try_mutants


@dataclass(frozen=True, slots=True)
class Room:
    """Files whose functions are mutated, and the paths of their tests."""

    files: Sequence[str]
    tests: Sequence[str]


def _in(folder: str, names: str) -> list[str]:
    return [f"{folder}/{name}.py" for name in names.split()]


ROOMS: Final = {
    "carry": Room(
        _in(
            "carry",
            "accept blob_upload device_lock expire mailbox relay relay_rows release restore "
            "send_tokens wake_ups withdraw",
        ),
        ["tests/carry"],
    ),
    "decision": Room(
        _in("stop/judge", "decide weigh clips"),
        [
            *_in(
                "tests/stop/judge",
                "test_abuse test_appeal_rules test_clips test_decide test_published_uploads "
                "test_scans_before_answer test_sound_matches test_video_matches",
            ),
            "tests/stop/test_policies.py",
        ],
    ),
    "weighing": Room(
        _in("watermark", "verdict likelihood"),
        _in(
            "tests/watermark",
            "test_chance_bound test_likelihood_ratio test_naming_rounds test_naming_score "
            "test_verdict",
        ),
    ),
    "guard": Room(
        _in("send", "guard recipient_checks"),
        [
            "tests/send/test_guard.py",
            "tests/send/recipient_checks",
            "tests/send/people/test_members.py",
        ],
    ),
    "crypto": Room(
        _in(
            "crypto",
            "encryption_at_rest hashing hpke identity_keys key_derivation nouns oprf seal "
            "short_auth_string statements vault_key",
        ),
        ["tests/crypto"],
    ),
}
#: Names of functions that take text for people: a log, a translated sentence.
_WORDS: Final = {"debug", "info", "warning", "error", "exception", "translated", "plural", "marked"}


def draw(room: str, count: int, seed: int) -> Iterator[Mutant]:
    """Draw mutants of one room, independently of the draws of other rooms."""
    generator = random.Random(f"{seed} {room}")
    candidates = list[Callable[[], Mutant | None]]()
    for file in ROOMS[room].files:
        candidates += _candidates(file)
    generator.shuffle(candidates)
    drawn = (candidate() for candidate in candidates)
    for mutant, _ in zip((one for one in drawn if one), range(count), strict=False):
        yield mutant


@cache
def _candidates(file: str) -> tuple[Callable[[], Mutant | None], ...]:
    return tuple(_mutants_of(file))


def _mutants_of(file: str) -> Iterator[Callable[[], Mutant | None]]:
    code = (SOURCE / file).read_text()
    module, mutations, *_ = create_mutations(file, code)
    wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
    parents = wrapper.resolve(ParentNodeProvider)
    places = wrapper.resolve(PositionProvider)
    for mutation in mutations:
        above = list(_above(mutation.original_node, parents))
        function = _function(above)
        if function and not any(map(_is_for_people, above)):
            place = places[_statement(above)]
            lines = range(place.start.line, place.end.line + 1)
            yield partial(_mutant, Place(file, function, lines), module, mutation)


def _above(node: cst.CSTNode, parents: Any) -> Iterator[cst.CSTNode]:
    """Yield the node and its ancestors, from the inside out."""
    above: cst.CSTNode | None = node
    while above is not None:
        yield above
        above = parents.get(above)


def _function(above: Sequence[cst.CSTNode]) -> str:
    """Return the outermost function around a node; empty for code that runs on import."""
    if any(isinstance(node, cst.Parameters) for node in above):
        return ""
    names = [node for node in above if isinstance(node, cst.FunctionDef | cst.ClassDef)]
    while names and isinstance(names[0], cst.FunctionDef) and len(names) > 1:
        if isinstance(names[1], cst.ClassDef):
            break
        names.pop(0)
    inside = bool(names) and isinstance(names[0], cst.FunctionDef)
    return ".".join(node.name.value for node in reversed(names)) if inside else ""


def _is_for_people(node: cst.CSTNode) -> bool:
    """Return whether a change in this node changes only text that people read."""
    match node:
        case cst.Call(func=cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name))):
            return name in _WORDS
        case cst.SimpleString():
            return " " in node.value and "b" not in node.prefix
        case cst.Expr():
            return isinstance(node.value, cst.BaseString)
        case _:
            return isinstance(node, cst.Raise)


def _statement(above: Sequence[cst.CSTNode]) -> cst.CSTNode:
    """Return the statement around the innermost node; for an ``if``, only its condition."""
    kept = above[0]
    for node in above[1:]:
        if isinstance(node, cst.BaseCompoundStatement | cst.BaseSuite | cst.Module):
            return kept
        kept = node
    return kept


def _mutant(place: Place, module: cst.Module, mutation: Mutation) -> Mutant | None:
    """Return the mutant; None if it is not valid, not different, or changes text for people."""
    changed = module.deep_replace(mutation.original_node, mutation.mutated_node)
    assert isinstance(changed, cst.Module)
    before, after = module.code.splitlines(), changed.code.splitlines()
    try:
        compile(changed.code, place.file, "exec")
    except SyntaxError:
        return None
    difference = "\n".join(
        line[0] + " " + line[1:].strip()
        for line in difflib.unified_diff(before, after, lineterm="", n=0)
        if not line.startswith(("---", "+++", "@@"))
    )
    speaks = any(f"{word}(" in difference for word in _WORDS)
    return Mutant(place, changed.code, difference) if difference and not speaks else None


def interval(killed: int, tried: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, in per cent (Wilson 1927)."""
    z, share = 1.959964, killed / tried
    middle = share + z * z / (2 * tried)
    reach = z * math.sqrt(share * (1 - share) / tried + z * z / (4 * tried * tried))
    scale = 100 / (1 + z * z / tried)
    return scale * (middle - reach), scale * (middle + reach)


def _try_room(room: str, count: int, seed: int) -> tuple[int, int]:
    """Try the mutants of a room; return how many were killed, and how many were tried."""
    trials = list[Trial]()

    def tell(trial: Trial) -> None:
        trials.append(trial)
        what = f"killed by {trial.killer}" if trial.killer else f"SURVIVED {trial.tests} tests"
        _say(f"{trial.mutant.place} {what}\n{textwrap.indent(trial.mutant.difference, '    ')}")

    try_mutants(draw(room, count, seed), ROOMS[room].tests, tell)
    return sum(bool(trial.killer) for trial in trials), len(trials)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _summary(room: str, killed: int, tried: int) -> str:
    low, high = interval(killed, tried)
    share = f"{100 * killed / tried:5.1f} % ({low:.1f} to {high:.1f})"
    return f"{room:10} {killed:4} of {tried:4} mutants killed   {share}"


def main() -> None:
    """Draw the mutants, try them, and print the share of those that the tests killed."""
    parser = argparse.ArgumentParser(description="How many mutants do the tests kill?")
    parser.add_argument("--draw", type=int, default=300, help="How many, over all rooms.")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--rooms", nargs="+", choices=ROOMS, default=list(ROOMS))
    parser.add_argument("--least", type=float, default=0.0, help="Fail if surely below, per cent.")
    asked = parser.parse_args()
    each = asked.draw // len(asked.rooms)
    if each < 1:
        parser.error(f"--draw must be at least {len(asked.rooms)}: one mutant for each room")
    counts = {room: _try_room(room, each, asked.seed) for room in asked.rooms}
    killed, tried = (sum(count) for count in zip(*counts.values(), strict=True))
    for room, count in counts.items():
        _say(_summary(room, *count))
    _say(_summary("all", killed, tried))
    if interval(killed, tried)[1] < asked.least:
        raise SystemExit(f"The tests kill fewer mutants than {asked.least:g} %.")


if __name__ == "__main__":
    main()
