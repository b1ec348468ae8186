"""Check that the text of a letter contains every element that its law requires.

checklist.toml has a regular expression for each wording in each language. The shipped table
elements.toml says which wordings an element consists of. The layout of the letter is not checked.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from entrenous.respond.law.legal_route import Route
from entrenous.respond.letters.wordings import LETTER_LANGUAGES, shipped_document_plans

PATTERNS_BY_WORDING: Mapping[str, list[str]] = tomllib.loads(
    Path(__file__).with_name("checklist.toml").read_text()
)


def missing_elements(route: Route, text: str, language: str) -> list[int]:
    """Return the indices, from 0, of the required elements that the text lacks."""
    flat = " ".join(text.split())
    return [
        index
        for index, keys in enumerate(shipped_document_plans().route[route.family].says)
        if not all(
            re.search(wording_pattern(key, language), flat, re.IGNORECASE)
            for key in keys.split("+")
        )
    ]


def wording_pattern(key: str, language: str) -> str:
    return PATTERNS_BY_WORDING[key][LETTER_LANGUAGES.index(language)]
