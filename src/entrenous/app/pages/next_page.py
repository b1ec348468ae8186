"""Find the page for a case's next step: each command that a step names has a page."""

import re
from dataclasses import dataclass
from typing import Final

from entrenous.app.wording import command_in, without_commands
from entrenous.base.identifiers import CaseName


@dataclass(frozen=True, slots=True)
class NextPage:
    """The next step in words, and the route name of its page, or "".

    ``number`` is the number of a notice, ``route`` is the legal route for which to draft a notice,
    and ``sighting`` is the number of the sighting that the draft names.
    """

    words: str
    page: str = ""
    number: int = 0
    route: str = ""
    sighting: int = 0


#: The beginning of a command, and its page. The first match counts.
_PAGES: Final = (
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
_DRAFT: Final = re.compile(r"--route (\S+)")
_NOTICE: Final = re.compile(r"--(?:sent|supplied) (\d+)")
_SIGHTING: Final = re.compile(r"--sighting (\d+)")


def next_page(step: str, case: CaseName) -> NextPage:
    """Return the page for a step, which may name a command.

    >>> next_page("Note it: entrenous case notice case-owl --sent 2", "case-owl").number
    2
    """
    words, command = without_commands(step), command_in(step)
    if notice := _NOTICE.search(command):
        return NextPage(words, "letter", number=int(notice[1]))
    if route := _DRAFT.search(command):
        told = _SIGHTING.search(command)
        sighting = int(told[1]) if told else 0
        return NextPage(words, "case_routes", route=route[1], sighting=sighting)
    typed = command.removeprefix("entrenous ").replace(f" {case}", "")
    page = next((page for begin, page in _PAGES if typed.startswith(begin)), "")
    return NextPage(words, page)
