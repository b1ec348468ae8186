"""Sentences of rules as the pages show them: what is said to people who have no terminal."""

import re
from typing import Final

_SENTENCE: Final = re.compile(r"(?<=[.?])\s+(?=[A-Z\"“])")
_COMMAND: Final = re.compile(r"\bentrenous [a-z]|(?<![\w-])--[a-z]")


def without_commands(text: str) -> str:
    """Return a message without the sentences that tell what to type.

    >>> without_commands("It is closed. Open it again: entrenous case open X")
    'It is closed.'
    """
    sentences = _SENTENCE.split(" ".join(text.split()))
    kept = [one for one in sentences if not _COMMAND.search(one)]
    return " ".join(kept or sentences)
