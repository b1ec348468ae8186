"""Text that is translated through a variable, as in ``translated(one.time)``, is marked elsewhere.

This is clear if the variable is a constant or a table of its module, or a column of shipped facts.
All other variables are listed here, with the origin of their text.
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
from tests.house.sources import SOURCE, collector_paused, sources

pytestmark = pytest.mark.slow

#: Variables that templates translate, and their possible values; () for facts.
IN_TEMPLATES: Final[Mapping[str, Iterable[str]]] = {
    "it.state.value": NoticeState,
    "kind.value": FieldKind,
    "one.notice.state.value": NoticeState,
    "role.value": RepresentativeRole,
    "sign.name": (),  # messages() reads SAS_EMOJI
    "words": PLATFORM_KIND_NAMES.values(),
    # an addressee: of the law's column, or the name of a platform, an authority or a person
    **dict.fromkeys(("it.to", "one.to", "one.notice.to"), ()),
    **dict.fromkeys(("one.line.note", "one.notice.route.law", "p.in_app"), ()),
}
#: Attributes with facts from a column of another name.
_RENAMED: Final = frozenset({"leave_out", "rule"})  # notice_need_not_contain, deadline_rule
#: Variables that code translates; () for facts, and for constants that another function chose.
IN_CODE: Final[Mapping[str, Iterable[str]]] = {
    "app/pages/opening.py: stage.value": TransferStage,
    "app/pages/send.py: stage.value": TransferStage,
    "base/errors.py: key": (),  # the docstring of an error
    "base/errors.py: fact": (),  # messages() reads what errors are raised with
    "device/sent_copies.py: EnvelopeState.DELIVERED.value": EnvelopeState,
    "device/sent_copies.py: EnvelopeState.OPENED.value": EnvelopeState,
    "device/sent_messages.py: self.departure.value": SendState,
    "device/sent_messages.py: self.state.value": EnvelopeState,
    "learn/facts.py: getattr(question, name)": (),  # a column of questions.toml
    "respond/breach.py: element": (),  # notice_must_contain of the two laws about breaches
    "respond/commands/case.py: one.state.value": CaseState,
    "respond/commands/case_view.py: case.state.value": CaseState,
    "respond/commands/case_view.py: notice.state.value": NoticeState,
    "respond/capture/saved_page.py: description": (),  # constants around it
    "respond/letters/drafted_notices.py: notice.route.document.value": DocumentKind,
    "respond/letters/drafted_notices.py: notice.state.value": NoticeState,
    "respond/open_case.py: representative.role.value": RepresentativeRole,
    "respond/first_steps.py: means": (),  # an answer in safety.toml
    "respond/law/one_deadline.py: clause": (),  # of a deadline_rule
    "respond/law/plan.py: ladder.police[one]": (),  # police of a ladder
    "respond/law/routes.py: says": (),  # tell.says of an update
    "respond/situation.py: fact": (),  # constants above
    "respond/threat.py: words": (),  # constants below
    **dict.fromkeys(
        ("send/commands/setup.py: sign.name", "send/commands/verify.py: sign.name"), ()
    ),  # messages() reads SAS_EMOJI
    "send/devices/device_wording.py: _older_copies_in_words(before, after)": (),  # constants above
    "send/commands/inbox.py: removed.state.value": InboxState,
    "send/commands/message_list.py: str(message['why'])": InboxState,
    "send/commands/setup.py: question": (),  # constants above
    "send/timeline.py: received.state.value": InboxState,
    "terminal/lazy_commands.py: name": (),  # constants above
    "terminal/lazy_commands.py: split_paragraphs(one.help)": (),  # helps() of messages.py
    "terminal/progress_bars.py: label": TransferStage,
}
_SHOWING: Final = frozenset({"translated", "gettext", "say"})


class Shown(NamedTuple):
    """A call that translates a variable: its file, the variable, and the function around it."""

    file: Path
    what: ast.expr
    around: ast.AST

    def __str__(self) -> str:
        return f"{self.file.relative_to(SOURCE).as_posix()}: {ast.unparse(self.what)}"


@cache
def marked() -> frozenset[str]:
    return frozenset(one.one for one in messages())


@cache
def shown_by_name() -> tuple[Shown, ...]:
    with collector_paused():
        return tuple(_shown_by_name())


def _shown_by_name() -> Iterator[Shown]:
    for file, nodes in sources():
        if (
            file.parts[-2:] == ("base", "language.py")
            or "connectors" in file.relative_to(SOURCE).parts
        ):
            continue
        for around in nodes:
            if not isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(around):
                if isinstance(node, ast.Call) and (what := _shown(node, file)) is not None:
                    yield Shown(file, what, around)


def _shown(call: ast.Call, file: Path) -> ast.expr | None:
    """Return the variable that a call translates; None if there is none, or it is a literal."""
    name = getattr(call.func, "id", "") or getattr(call.func, "attr", "")
    if name == "map" and len(call.args) > 1 and getattr(call.args[0], "id", "") in _SHOWING:
        return call.args[1]
    if name == "say" and "app" not in file.relative_to(SOURCE).parts:  # a page's own gettext
        return None
    if (
        name not in _SHOWING
        or not call.args
        or isinstance(call.args[0], ast.Constant | ast.JoinedStr)
    ):
        return None
    return call.args[0]


def words_of(shown: Shown) -> set[str]:
    """Return the texts of the module's constants that reach the variable; empty for a column."""
    if isinstance(shown.what, ast.Attribute) and is_column(shown.what):
        return set()
    module = importlib.import_module(_module(shown.file))
    found, waiting, seen = set[str](), [shown.what], set[str]()
    while waiting:
        part = waiting.pop()
        for node in ast.walk(part):
            if not isinstance(node, ast.Name) or node.id in seen:
                continue
            seen.add(node.id)
            waiting += _assigned(node.id, shown.around)
            found |= set(_texts(vars(module).get(node.id)))
    return found


def _assigned(name: str, around: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions that a function assigns to a name, or iterates over."""
    for node in ast.walk(around):
        if isinstance(node, ast.Assign) and any(_names(one, name) for one in node.targets):
            yield node.value
        elif isinstance(node, ast.For | ast.comprehension) and _names(node.target, name):
            yield node.iter


def _names(target: ast.expr, name: str) -> bool:
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


def _module(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_column(what: ast.expr) -> bool:
    names = {one.attr for one in ast.walk(what) if isinstance(one, ast.Attribute)}
    columns = {path.rpartition(".")[2] for paths in FACTS.values() for path in paths}
    return bool(names & (columns | _RENAMED))


def test_words_of_tables_that_are_shown_are_marked() -> None:
    by_name = [one for one in shown_by_name() if str(one) not in IN_CODE]
    unmarked = {str(one): bad for one in by_name if (bad := words_of(one) - marked() - {""})}
    assert unmarked == {}
    assert {str(word) for words in IN_CODE.values() for word in words} <= marked()


def test_every_name_that_is_shown_leads_to_marked_words() -> None:
    by_name = {str(one): one for one in shown_by_name()}
    assert set(IN_CODE) - set(by_name) == set()
    unknown = {name for name, one in by_name.items() if not (words_of(one) or is_column(one.what))}
    assert unknown - set(IN_CODE) == set()


def test_words_that_templates_show_by_a_name_are_marked() -> None:
    found = {
        name
        for file in SOURCE.rglob("*.html")
        for name in re.findall(r"\b_\(([a-z][\w.]*)\)", file.read_text())
    }
    assert found == set(IN_TEMPLATES)
    assert {str(word) for words in IN_TEMPLATES.values() for word in words} <= marked()
