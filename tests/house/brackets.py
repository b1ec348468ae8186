"""Find words that cannot be translated: in the pseudo-language, they are not in brackets."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec.structs import asdict

from entrenous.respond.help_lines import shipped_help_lines
from entrenous.respond.law.counting_rules import counting_rules
from entrenous.respond.law.law_tables import builtin_letter_routes, shipped_routes
from entrenous.respond.platforms import shipped_platforms

_BRACKETED: Final = re.compile(r"\[[^\[\]]*\]")
_WORD: Final = re.compile(r"[A-Za-z]{2,}")
#: Text that is the same in every language: addresses, commands, options, times and so on.
_SAME: Final = (
    *(r"\w+://\S*", r"\S+@\S+", r"\b[\w-]+(?:\.[\w-]+)+\b", r"\b[0-9a-f]{4}\b"),
    *(r"\bentrenous(?: [a-z-]+)*", r"--[a-z-]+", r"ENTRENOUS_\w+", r"\bUTC\b"),
    *(r"\b\d[\d-]*-[A-Z-]+\b", r"\bcase-\d+-\w+-\w+"),
)


def kept_names(names: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern of text that is never translated: these names, longest first, and others."""
    longest = sorted({name for name in names if name}, key=len, reverse=True)
    return re.compile("|".join((*map(re.escape, longest), *_SAME)))


def names_of_facts() -> Iterator[str]:
    """Yield the names of organisations, platforms and laws, which are never translated."""
    for one in (*shipped_help_lines(), *shipped_platforms()):
        yield from (one.id, one.name)
    for route in (*shipped_routes(), *builtin_letter_routes()):
        yield from (route.id, route.family, route.law, route.provision)
    for rule in counting_rules().values():
        yield from (rule.law, rule.receipt_source)
        yield from (value for name, value in asdict(rule).items() if name.startswith("cite_"))


def outside(text: str, kept: re.Pattern[str]) -> list[str]:
    """Return the words of a text that are neither in brackets nor matched by ``kept``.

    >>> outside("[Ŕéåđ öñ ~~] Monday by [Åñå ~]", kept_names(["Caro"]))
    ['Monday']
    """
    left = kept.sub(" ", text)
    while (shorter := _BRACKETED.sub(" ", left)) != left:
        left = shorter
    return _WORD.findall(left)
