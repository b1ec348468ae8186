"""Check a letter against its law: is every required element in the text? It looks at nothing else.

checklist.toml has what a reader looks for. Which wordings an element consists of is the shipped
table elements.toml; how they are laid out is not known here.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from entrenous.respond.law.legal_route import Route
from entrenous.respond.letters.wordings import LETTER_LANGUAGES, shipped_document_plans

SIGNS: Mapping[str, list[str]] = tomllib.loads(
    Path(__file__).with_name("checklist.toml").read_text()
)


def missing_elements(route: Route, text: str, language: str) -> list[int]:
    """Return the places, from 0, of the elements that the text does not have."""
    flat = " ".join(text.split())
    return [
        place
        for place, keys in enumerate(shipped_document_plans().route[route.family].says)
        if not all(re.search(sign(key, language), flat, re.IGNORECASE) for key in keys.split("+"))
    ]


def sign(key: str, language: str) -> str:
    return SIGNS[key][LETTER_LANGUAGES.index(language)]
