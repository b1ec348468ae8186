"""Tests of texts that are translated through a variable, as in ``translated(one.time)``.

The tests find the texts of constants and tables in the variable's module, and know the columns of
shipped facts. All other variables are listed here, with the origin of their text.
"""

import ast
import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from entrenous.device.sent_messages import SendState
from entrenous.media.track_metadata import FieldKind
from entrenous.respond.law.legal_route import DocumentKind
from entrenous.respond.nouns import CaseState, NoticeState, RepresentativeRole
from entrenous.respond.platforms import PLATFORM_KIND_NAMES
from entrenous.send.message.states import InboxState
from entrenous.send.message.transfer_progress import TransferStage
from entrenous.wire.relay_nouns import EnvelopeState
from tests.house.messages import FACTS, messages
from tests.house.sources import SOURCE, pause_garbage_collector, sources

pytestmark = pytest.mark.slow

#: Variables that templates translate, with their possible values, or () for facts.
TEMPLATE_VARIABLES: Final[Mapping[str, Iterable[str]]] = {
    "it.state.value": NoticeState,
    "kind.value": FieldKind,
    "one.notice.state.value": NoticeState,
    "role.value": RepresentativeRole,
    "sign.name": (),  # the names in SAS_EMOJI, which messages() gathers
    "words": PLATFORM_KIND_NAMES.values(),
    # an addressee from the laws, or the name of a platform, an authority or a person
    **dict.fromkeys(("it.to", "one.to", "one.notice.to"), ()),
    **dict.fromkeys(("one.line.note", "one.notice.route.law", "p.in_app"), ()),
}
#: Attributes whose facts come from a column with another name: ``leave_out`` contains the column
#: notice_need_not_contain.
_RENAMED_COLUMNS: Final = frozenset({"leave_out"})
#: Variables that code translates, with their possible values, or () for facts and constants.
CODE_VARIABLES: Final[Mapping[str, Iterable[str]]] = {
    "app/pages/opening.py: stage.value": TransferStage,
    "app/pages/send.py: stage.value": TransferStage,
    "base/errors.py: key": (),  # the docstring of an error
    "base/errors.py: fact": (),  # the arguments of errors, which messages() gathers
    "device/sent_copies.py: EnvelopeState.DELIVERED.value": EnvelopeState,
    "device/sent_copies.py: EnvelopeState.OPENED.value": EnvelopeState,
    "device/sent_messages.py: self.departure.value": SendState,
    "device/sent_messages.py: self.state.value": EnvelopeState,
    "learn/facts.py: getattr(question, name)": (),  # a column of questions.toml
    "respond/breach.py: element": (),  # the column notice_must_contain
    "respond/commands/case.py: one.state.value": CaseState,
    "respond/commands/case_view.py: case.state.value": CaseState,
    "respond/commands/case_view.py: notice.state.value": NoticeState,
    "respond/capture/saved_page.py: description": (),  # constants of the file
    "respond/letters/drafted_notices.py: notice.route.document.value": DocumentKind,
    "respond/letters/drafted_notices.py: notice.state.value": NoticeState,
    "respond/open_case.py: representative.role.value": RepresentativeRole,
    "respond/first_steps.py: means": (),  # an answer in safety.toml
    "respond/law/deadlines.py: clause": (),  # a clause of a deadline_rule
    "respond/law/plan.py: ladder.police[one]": (),  # the column police of a ladder
    "respond/law/routes.py: says": (),  # the column tell.says of a change of law
    "respond/situation.py: fact": (),  # constants of the file
    "respond/threat.py: words": (),  # constants of the file
    **dict.fromkeys(
        ("send/commands/setup.py: sign.name", "send/commands/verify.py: sign.name"), ()
    ),  # the names in SAS_EMOJI, which messages() gathers
    # constants of the file
    "send/devices/device_wording.py: _older_copies_in_words(before, after)": (),
    "send/commands/inbox.py: removed.state.value": InboxState,
    "send/commands/message_list.py: str(message['why'])": InboxState,
    "send/commands/setup.py: question": (),  # constants of the file
    "send/timeline.py: received.state.value": InboxState,
    "terminal/lazy_commands.py: name": (),  # constants of the file
    # the help texts, which messages() gathers
    "terminal/lazy_commands.py: split_paragraphs(one.help)": (),
    "terminal/progress_bars.py: label": TransferStage,
}
_TRANSLATING_FUNCTIONS: Final = frozenset({"translated", "gettext", "say"})


class TranslatedVariable(NamedTuple):
    """A variable that a call translates: the file, the expression, and the enclosing function."""

    file: Path
    expression: ast.expr
    function: ast.AST

    def __str__(self) -> str:
        return f"{self.file.relative_to(SOURCE).as_posix()}: {ast.unparse(self.expression)}"


@cache
def marked_sentences() -> frozenset[str]:
    return frozenset(one.one for one in messages())


@cache
def translated_variables() -> tuple[TranslatedVariable, ...]:
    with pause_garbage_collector():
        return tuple(_find_translated_variables())


def _find_translated_variables() -> Iterator[TranslatedVariable]:
    for file, nodes in sources():
        if (
            file.parts[-2:] == ("base", "language.py")
            or "connectors" in file.relative_to(SOURCE).parts
        ):
            continue
        for function in nodes:
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                if (
                    isinstance(node, ast.Call)
                    and (expression := _translated_expression(node, file)) is not None
                ):
                    yield TranslatedVariable(file, expression, function)


def _translated_expression(call: ast.Call, file: Path) -> ast.expr | None:
    """Return the expression that a call translates; None for other calls and for literals."""
    name = getattr(call.func, "id", "") or getattr(call.func, "attr", "")
    if (
        name == "map"
        and len(call.args) > 1
        and getattr(call.args[0], "id", "") in _TRANSLATING_FUNCTIONS
    ):
        return call.args[1]
    # A function named ``say`` translates its argument only in the app.
    if name == "say" and "app" not in file.relative_to(SOURCE).parts:
        return None
    if (
        name not in _TRANSLATING_FUNCTIONS
        or not call.args
        or isinstance(call.args[0], ast.Constant | ast.JoinedStr)
    ):
        return None
    return call.args[0]


def constant_texts(variable: TranslatedVariable) -> set[str]:
    """Return the constant texts that the variable can contain; return none for a fact column."""
    if isinstance(variable.expression, ast.Attribute) and is_fact_column(variable.expression):
        return set()
    module = importlib.import_module(_module_name(variable.file))
    found, waiting, seen = set[str](), [variable.expression], set[str]()
    while waiting:
        part = waiting.pop()
        for node in ast.walk(part):
            if not isinstance(node, ast.Name) or node.id in seen:
                continue
            seen.add(node.id)
            waiting += _assigned_expressions(node.id, variable.function)
            found |= set(_texts(vars(module).get(node.id)))
    return found


def _assigned_expressions(name: str, function: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions from which a variable gets its values, in assignments and loops."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and any(_contains_name(one, name) for one in node.targets):
            yield node.value
        elif isinstance(node, ast.For | ast.comprehension) and _contains_name(node.target, name):
            yield node.iter


def _contains_name(target: ast.expr, name: str) -> bool:
    return any(isinstance(one, ast.Name) and one.id == name for one in ast.walk(target))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, Enum):
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts(tuple(value.values()))
    elif isinstance(value, list | tuple | frozenset | set):
        for one in value:
            yield from _texts(one)


def _module_name(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_fact_column(expression: ast.expr) -> bool:
    names = {one.attr for one in ast.walk(expression) if isinstance(one, ast.Attribute)}
    columns = {path.rpartition(".")[2] for paths in FACTS.values() for path in paths}
    return bool(names & (columns | _RENAMED_COLUMNS))


def test_texts_of_translated_constants_are_marked() -> None:
    variables = [one for one in translated_variables() if str(one) not in CODE_VARIABLES]
    unmarked = {
        str(one): bad
        for one in variables
        if (bad := constant_texts(one) - marked_sentences() - {""})
    }
    assert unmarked == {}
    assert {str(word) for words in CODE_VARIABLES.values() for word in words} <= marked_sentences()


def test_origin_of_every_translated_variable_is_known() -> None:
    variables = {str(one): one for one in translated_variables()}
    assert set(CODE_VARIABLES) - set(variables) == set()
    unknown = {
        name
        for name, one in variables.items()
        if not (constant_texts(one) or is_fact_column(one.expression))
    }
    assert unknown - set(CODE_VARIABLES) == set()


def test_texts_of_template_variables_are_marked() -> None:
    found = {
        name
        for file in SOURCE.rglob("*.html")
        for name in re.findall(r"\b_\(([a-z][\w.]*)\)", file.read_text())
    }
    assert found == set(TEMPLATE_VARIABLES)
    assert {
        str(word) for words in TEMPLATE_VARIABLES.values() for word in words
    } <= marked_sentences()
