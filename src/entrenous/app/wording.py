"""The rules' sentences as the pages show them, for people without a terminal."""

import re
from collections.abc import Iterable
from typing import Final

_SENTENCE: Final = re.compile(r"(?<=[.?~\]])\s+(?=[^\W\d_a-zà-öø-ÿ]|[\"“„«¿\[])")
_COMMAND_AT_END: Final = re.compile(
    r"(?::| with:?| by:?| mit:?| con:?)\s+entrenous [a-z][^.?]*(?=[.?]|$)"
)
_COMMAND: Final = re.compile(r"\bentrenous [a-z]|(?<![\w-])--[a-z]")


def without_commands(text: str) -> str:
    """Return a message without its commands: a command at the end of a sentence and an option in
    brackets are removed; any other sentence with a command is removed entirely, and so is one that
    only says what its command is for.

    >>> without_commands("It is closed. Open it again: entrenous case open X")
    'It is closed. Open it again.'
    >>> without_commands("It is closed. To see why: entrenous case show X")
    'It is closed.'
    """
    sentences = _SENTENCE.split(" ".join(text.split()))
    cut = [(one, _COMMAND_AT_END.sub("", _OPTION.sub("", one))) for one in sentences]
    kept = [short for whole, short in cut if not (_COMMAND.search(short) or _is_bare(whole, short))]
    return " ".join(one if one[-1:] in {".", "?"} else f"{one}." for one in kept) or text


def _is_bare(whole: str, short: str) -> bool:
    """Return whether a sentence only says to type its command, or what the command is for."""
    few = len(short.split()) < _WORDS_MIN
    return short != whole and (few or _PURPOSE.match(short) is not None)


_OPTION: Final = re.compile(r"\s\(--[a-z-]+\)")
_WORDS_MIN: Final = 3
_PURPOSE: Final = re.compile(r"(?:To|For|Para|Um|Für) [^,;:]*$")


def for_pages(texts: Iterable[str]) -> tuple[str, ...]:
    """Return texts without commands, leaving out texts that would be empty."""
    cut = map(without_commands, filter(None, texts))
    return tuple(text for text in cut if not _COMMAND.search(text))


def with_lists(lines: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Return each sentence with the items below it: the lines that begin with "- ".

    >>> with_lists(["They see:", "- the day;", "- the hour."])
    [('They see:', ['the day;', 'the hour.'])]
    """
    found = list[tuple[str, list[str]]]()
    for line in filter(None, lines):
        if line.startswith("- "):
            found[-1][1].append(line.removeprefix("- "))
        else:
            found.append((line, []))
    return found


def command_in(text: str) -> str:
    """Return the first command that a sentence names, or "".

    >>> command_in("Keep it: entrenous case add case-owl FILE. Or skip this: entrenous help")
    'entrenous case add case-owl FILE'
    """
    found = _WHOLE_COMMAND.search(text)
    return found[0] if found else ""


_WHOLE_COMMAND: Final = re.compile(r"\bentrenous [a-z].*?(?=\.(?:\s|$)|; |$)", re.DOTALL)
