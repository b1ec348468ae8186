"""Adapt messages to the pages, whose readers use no terminal: remove the commands that a message
names, or find the page that does the same as a command.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from entrenous.base.identifiers import CaseName

_SENTENCE_BREAK_PATTERN: Final = re.compile(r"(?<=[.?~\]])\s+(?=[^\W\d_a-zà-öø-ÿ]|[\"“„«¿\[])")
_COMMAND_AT_END_PATTERN: Final = re.compile(
    r"(?::| with:?| by:?| mit:?| con:?)\s+entrenous [a-z][^.?]*(?=[.?]|$)"
)
_COMMAND_PATTERN: Final = re.compile(r"\bentrenous [a-z]|(?<![\w-])--[a-z]")


def without_commands(text: str) -> str:
    """Return a message without its commands. A command at the end of a sentence and an option in
    brackets are removed. A sentence with a command elsewhere is removed entirely, and so is a
    sentence that only says what its command is for. If nothing would be left, the message is
    returned unchanged.

    >>> without_commands("It is closed. Open it again: entrenous case open X")
    'It is closed. Open it again.'
    >>> without_commands("It is closed. To see why: entrenous case show X")
    'It is closed.'
    """
    sentences = _SENTENCE_BREAK_PATTERN.split(" ".join(text.split()))
    cut = [
        (one, _COMMAND_AT_END_PATTERN.sub("", _OPTION_PATTERN.sub("", one))) for one in sentences
    ]
    kept = [
        short
        for whole, short in cut
        if not (_COMMAND_PATTERN.search(short) or _says_only_purpose(whole, short))
    ]
    return " ".join(one if one[-1:] in {".", "?"} else f"{one}." for one in kept) or text


def _says_only_purpose(whole: str, short: str) -> bool:
    """Return whether a sentence had a command and, without the command, is very short or only says
    what the command is for.
    """
    few = len(short.split()) < _SENTENCE_WORDS_MIN
    return short != whole and (few or _PURPOSE_PATTERN.match(short) is not None)


_OPTION_PATTERN: Final = re.compile(r"\s\(--[a-z-]+\)")
_SENTENCE_WORDS_MIN: Final = 3
_PURPOSE_PATTERN: Final = re.compile(r"(?:To|For|Para|Um|Für) [^,;:]*$")


def texts_without_commands(texts: Iterable[str]) -> tuple[str, ...]:
    """Return texts without commands, and leave out texts that consist only of commands."""
    cut = map(without_commands, filter(None, texts))
    return tuple(text for text in cut if not _COMMAND_PATTERN.search(text))


def group_list_items(lines: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Return each sentence with the items below it: the lines that begin with "- ".

    >>> group_list_items(["They see:", "- the day;", "- the hour."])
    [('They see:', ['the day;', 'the hour.'])]
    """
    found = list[tuple[str, list[str]]]()
    for line in filter(None, lines):
        if line.startswith("- "):
            found[-1][1].append(line.removeprefix("- "))
        else:
            found.append((line, []))
    return found


def first_command_in(text: str) -> str:
    """Return the first command that a sentence names, or "".

    >>> first_command_in("Keep it: entrenous case add case-owl FILE. Or skip this: entrenous help")
    'entrenous case add case-owl FILE'
    """
    found = _WHOLE_COMMAND_PATTERN.search(text)
    return found[0] if found else ""


_WHOLE_COMMAND_PATTERN: Final = re.compile(r"\bentrenous [a-z].*?(?=\.(?:\s|$)|; |$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class NextStepPage:
    """The next step in words, and the route name of the page for this step ("" if it has none).

    ``number`` is the number of a notice, ``route`` is the legal route for which to draft a notice,
    and ``sighting`` is the number of the sighting that the draft names.
    """

    words: str
    page: str = ""
    number: int = 0
    route: str = ""
    sighting: int = 0


#: The beginning of a command, and its page. The first match counts.
_PAGE_BY_COMMAND_START: Final = (
    ("law routes", "case_routes"),
    ("evidence stamp", "evidence"),
    ("case add --", "seen"),
    ("case add", "evidence"),
    ("case about", "about"),
    ("case breach", "breach"),
    ("case close", "ending"),
    ("case erase", "ending"),
    ("case open", "ending"),
    ("help", "help"),
)
_ROUTE_OPTION_PATTERN: Final = re.compile(r"--route (\S+)")
_NOTICE_OPTION_PATTERN: Final = re.compile(r"--(?:sent|supplied) (\d+)")
_SIGHTING_OPTION_PATTERN: Final = re.compile(r"--sighting (\d+)")


def page_for_step(step: str, case: CaseName) -> NextStepPage:
    """Return the page for a step, which may name a command.

    >>> page_for_step("Note it: entrenous case notice case-owl --sent 2", "case-owl").number
    2
    """
    words, command = without_commands(step), first_command_in(step)
    if notice := _NOTICE_OPTION_PATTERN.search(command):
        return NextStepPage(words, "letter", number=int(notice[1]))
    if route := _ROUTE_OPTION_PATTERN.search(command):
        option = _SIGHTING_OPTION_PATTERN.search(command)
        sighting = int(option[1]) if option else 0
        return NextStepPage(words, "case_routes", route=route[1], sighting=sighting)
    typed = command.removeprefix("entrenous ").replace(f" {case}", "")
    page = next((page for begin, page in _PAGE_BY_COMMAND_START if typed.startswith(begin)), "")
    return NextStepPage(words, page)
