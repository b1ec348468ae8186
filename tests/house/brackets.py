"""Find untranslated words: those outside of the brackets that the pseudo-language adds."""

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
_UNTRANSLATED_PATTERNS: Final = (
    *(r"\w+://\S*", r"\S+@\S+", r"\b[\w-]+(?:\.[\w-]+)+\b", r"\b[0-9a-f]{4}\b"),
    *(r"\bentrenous(?: [a-z-]+)*", r"--[a-z-]+", r"ENTRENOUS_\w+", r"\bUTC\b"),
    *(r"\b\d[\d-]*-[A-Z-]+\b", r"\bcase-\d+-\w+-\w+"),
)


def untranslated_text_pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern of text that is never translated: ``names``, addresses, commands, times."""
    longest = sorted({name for name in names if name}, key=len, reverse=True)
    return re.compile("|".join((*map(re.escape, longest), *_UNTRANSLATED_PATTERNS)))


def names_of_shipped_facts() -> Iterator[str]:
    """Yield IDs, names and citations from the shipped facts, which are never translated."""
    for one in (*shipped_help_lines(), *shipped_platforms()):
        yield from (one.id, one.name)
    for route in (*shipped_routes(), *builtin_letter_routes()):
        yield from (route.id, route.family, route.law, route.provision)
    for rule in counting_rules().values():
        yield from (rule.law, rule.receipt_source)
        yield from (value for name, value in asdict(rule).items() if name.startswith("cite_"))


def words_outside_brackets(text: str, untranslated: re.Pattern[str]) -> list[str]:
    """Return the words of a text that are neither in brackets nor matched by ``untranslated``.

    >>> words_outside_brackets("[Ŕéåđ öñ ~~] Monday by [Åñå ~]", untranslated_text_pattern([]))
    ['Monday', 'by']
    """
    remaining = untranslated.sub(" ", text)
    while (shorter := _BRACKETED.sub(" ", remaining)) != remaining:
        remaining = shorter
    return _WORD.findall(remaining)
