"""Measure how many mutants of the rules are killed by the tests (mutation testing).

    python -m tests.house.mutants --draw 300 --seed 2026 [--rooms carry crypto] [--least 80]

A mutant is a source file with one small change, such as ``<`` for ``<=``: the operators are those
of mutmut (https://mutmut.readthedocs.io). The same number is drawn from each part of the code;
``--rooms`` chooses the parts. Text for people (docstrings, logs, sentences in errors and checks) is
not changed.

As with mutmut, only functions without a decorator are changed, not code that runs on import, such
as a module's constants. Tests that start programs are left out, and so is code that only such tests
run, such as crypto/rfc3161.py. tests/house/mutant_trial.py says how a mutant is tried.
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
class MutatedPart:
    """Files whose functions are mutated, and the paths of their tests."""

    files: Sequence[str]
    tests: Sequence[str]


def _paths_in(folder: str, names: str) -> list[str]:
    return [f"{folder}/{name}.py" for name in names.split()]


MUTATED_PARTS: Final = {
    "carry": MutatedPart(
        _paths_in(
            "carry",
            "accept blob_upload device_lock expire mailbox relay relay_rows release restore "
            "send_tokens wake_ups withdraw",
        ),
        ["tests/carry"],
    ),
    "decision": MutatedPart(
        _paths_in("stop/judge", "decide weigh clips"),
        [
            *_paths_in(
                "tests/stop/judge",
                "test_abuse test_appeal_rules test_clips test_decide test_published_uploads "
                "test_scans_before_answer test_sound_matches test_video_matches",
            ),
            "tests/stop/test_policies.py",
        ],
    ),
    "weighing": MutatedPart(
        _paths_in("watermark", "verdict likelihood"),
        _paths_in(
            "tests/watermark",
            "test_chance_bound test_likelihood_ratio test_naming_rounds test_naming_score "
            "test_verdict",
        ),
    ),
    "guard": MutatedPart(
        _paths_in("send", "guard recipient_checks"),
        [
            "tests/send/test_guard.py",
            "tests/send/recipient_checks",
            "tests/send/people/test_members.py",
        ],
    ),
    "crypto": MutatedPart(
        _paths_in(
            "crypto",
            "encryption_at_rest hashing hpke identity_keys key_derivation nouns oprf seal "
            "short_auth_string statements vault_key",
        ),
        ["tests/crypto"],
    ),
}
#: Names of functions that take text for people, such as a log message or a sentence.
_TEXT_FUNCTIONS: Final = {
    "debug",
    "info",
    "warning",
    "error",
    "exception",
    "translated",
    "plural",
    "marked",
}


def draw_mutants(part: str, count: int, seed: int) -> Iterator[Mutant]:
    """Draw mutants of one part of the code, independently of the draws of other parts."""
    generator = random.Random(f"{seed} {part}")
    candidates = list[Callable[[], Mutant | None]]()
    for file in MUTATED_PARTS[part].files:
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
        above = list(_ancestors(mutation.original_node, parents))
        function = _enclosing_function(above)
        if function and not any(map(_is_for_people, above)):
            place = places[_enclosing_statement(above)]
            lines = range(place.start.line, place.end.line + 1)
            yield partial(_make_mutant, Place(file, function, lines), module, mutation)


def _ancestors(node: cst.CSTNode, parents: Any) -> Iterator[cst.CSTNode]:
    """Yield the node and its ancestors, from the inside out."""
    above: cst.CSTNode | None = node
    while above is not None:
        yield above
        above = parents.get(above)


def _enclosing_function(above: Sequence[cst.CSTNode]) -> str:
    """Return the name of the outermost function around a node, or "" for code run on import."""
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
            return name in _TEXT_FUNCTIONS
        case cst.SimpleString():
            return " " in node.value and "b" not in node.prefix
        case cst.Expr():
            return isinstance(node.value, cst.BaseString)
        case _:
            return isinstance(node, cst.Raise)


def _enclosing_statement(above: Sequence[cst.CSTNode]) -> cst.CSTNode:
    """Return the statement that contains a node; ``above`` is this node and its ancestors.

    If the node is in the condition of an ``if``, return only the condition.
    """
    kept = above[0]
    for node in above[1:]:
        if isinstance(node, cst.BaseCompoundStatement | cst.BaseSuite | cst.Module):
            return kept
        kept = node
    return kept


def _make_mutant(place: Place, module: cst.Module, mutation: Mutation) -> Mutant | None:
    """Return the mutant.

    Return None if its code is invalid or unchanged, or if the change is in text for people.
    """
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
    speaks = any(f"{word}(" in difference for word in _TEXT_FUNCTIONS)
    return Mutant(place, changed.code, difference) if difference and not speaks else None


def wilson_interval(killed: int, tried: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, in per cent (Wilson 1927)."""
    z, share = 1.959964, killed / tried
    middle = share + z * z / (2 * tried)
    reach = z * math.sqrt(share * (1 - share) / tried + z * z / (4 * tried * tried))
    scale = 100 / (1 + z * z / tried)
    return scale * (middle - reach), scale * (middle + reach)


def _try_part(part: str, count: int, seed: int) -> tuple[int, int]:
    """Try the mutants of one part; return how many were killed, and how many were tried."""
    trials = list[Trial]()

    def report_trial(trial: Trial) -> None:
        trials.append(trial)
        what = f"killed by {trial.killer}" if trial.killer else f"SURVIVED {trial.tests} tests"
        _print_now(
            f"{trial.mutant.place} {what}\n{textwrap.indent(trial.mutant.difference, '    ')}"
        )

    try_mutants(draw_mutants(part, count, seed), MUTATED_PARTS[part].tests, report_trial)
    return sum(bool(trial.killer) for trial in trials), len(trials)


def _print_now(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _summary(part: str, killed: int, tried: int) -> str:
    low, high = wilson_interval(killed, tried)
    share = f"{100 * killed / tried:5.1f} % ({low:.1f} to {high:.1f})"
    return f"{part:10} {killed:4} of {tried:4} mutants killed   {share}"


def main() -> None:
    """Draw the mutants, try them, and print the share of those that the tests killed."""
    parser = argparse.ArgumentParser(description="How many mutants do the tests kill?")
    parser.add_argument("--draw", type=int, default=300, help="How many, over all parts.")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--rooms", nargs="+", choices=MUTATED_PARTS, default=list(MUTATED_PARTS))
    parser.add_argument("--least", type=float, default=0.0, help="Fail if surely below, per cent.")
    options = parser.parse_args()
    each = options.draw // len(options.rooms)
    if each < 1:
        parser.error(f"--draw must be at least {len(options.rooms)}: one mutant for each part")
    counts = {part: _try_part(part, each, options.seed) for part in options.rooms}
    killed, tried = (sum(count) for count in zip(*counts.values(), strict=True))
    for part, count in counts.items():
        _print_now(_summary(part, *count))
    _print_now(_summary("all", killed, tried))
    if wilson_interval(killed, tried)[1] < options.least:
        raise SystemExit(f"The tests kill fewer mutants than {options.least:g} %.")


if __name__ == "__main__":
    main()
