"""Sentences of rules as the pages show them: what is said to people who have no terminal."""

import re
from typing import Final

_SENTENCE: Final = re.compile(r"(?<=[.?~\]])\s+(?=[^\W\d_a-zà-öø-ÿ]|[\"“„«¿\[])")
_COMMAND_AT_END: Final = re.compile(
    r"(?::| with:?| by:?| mit:?| con:?)\s+entrenous [a-z][^.?]*(?=[.?]|$)"
)
_COMMAND: Final = re.compile(r"\bentrenous [a-z]|(?<![\w-])--[a-z]")


def without_commands(text: str) -> str:
    """Return a message without what it tells to type: a command at the end of a sentence goes, and
    any other sentence with a command goes whole.

    >>> without_commands("It is closed. Open it again: entrenous case open X")
    'It is closed. Open it again.'
    """
    sentences = _SENTENCE.split(" ".join(text.split()))
    cut = [_COMMAND_AT_END.sub("", one) for one in sentences]
    kept = [one for one in cut if not _COMMAND.search(one)]
    return " ".join(one if one[-1:] in {".", "?"} else f"{one}." for one in kept) or text
