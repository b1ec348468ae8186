"""Letters that are not based on one law: about an account that makes threats, and to whoever passed
it on.
"""

from functools import cache
from typing import Final

from entrenous.respond.fact_tables import shipped_table
from entrenous.respond.law.law_tables import read_routes
from entrenous.respond.law.legal_route import Route

_TABLE: Final = "own-letters.toml"


@cache
def shipped_letters() -> tuple[Route, ...]:
    """Return the program's own letters, described like routes."""
    return read_routes({_TABLE: shipped_table(_TABLE)})


def own_letter(name: str) -> Route | None:
    """Return one of the program's own letters by name, e.g. "account-threat"; None if there is
    none.
    """
    return next((route for route in shipped_letters() if route.id == name), None)
