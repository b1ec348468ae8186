"""Adapt messages to the pages, whose readers use no terminal: commands are removed."""

import re
from collections.abc import Iterable
from typing import Final

_SENTENCE_BREAK: Final = re.compile(r"(?<=[.?~\]])\s+(?=[^\W\d_a-zà-öø-ÿ]|[\"“„«¿\[])")
_COMMAND_AT_END_PATTERN: Final = re.compile(
    r"(?::| with:?| by:?| mit:?| con:?)\s+entrenous [a-z][^.?]*(?=[.?]|$)"
)
_COMMAND_PATTERN: Final = re.compile(r"\bentrenous [a-z]|(?<![\w-])--[a-z]")


def without_commands(text: str) -> str:
    """Return a message without its commands. A command at the end of a sentence and an option in
    brackets are removed. A sentence with a command elsewhere is removed entirely, and so is a
    sentence that only says what its command is for.

    >>> without_commands("It is closed. Open it again: entrenous case open X")
    'It is closed. Open it again.'
    >>> without_commands("It is closed. To see why: entrenous case show X")
    'It is closed.'
    """
    sentences = _SENTENCE_BREAK.split(" ".join(text.split()))
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
    """Return whether a sentence without its command is very short, or only says its purpose."""
    few = len(short.split()) < _SENTENCE_WORDS_MIN
    return short != whole and (few or _PURPOSE_PATTERN.match(short) is not None)


_OPTION_PATTERN: Final = re.compile(r"\s\(--[a-z-]+\)")
_SENTENCE_WORDS_MIN: Final = 3
_PURPOSE_PATTERN: Final = re.compile(r"(?:To|For|Para|Um|Für) [^,;:]*$")


def for_pages(texts: Iterable[str]) -> tuple[str, ...]:
    """Return texts without commands, and leave out texts that consist only of commands."""
    cut = map(without_commands, filter(None, texts))
    return tuple(text for text in cut if not _COMMAND_PATTERN.search(text))


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
    found = _WHOLE_COMMAND_PATTERN.search(text)
    return found[0] if found else ""


_WHOLE_COMMAND_PATTERN: Final = re.compile(r"\bentrenous [a-z].*?(?=\.(?:\s|$)|; |$)", re.DOTALL)
