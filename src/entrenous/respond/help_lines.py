"""People who help: which of them to show for a case, and where to send whoever is under 18."""

from datetime import date

from entrenous.model.route import HelpLine, Place
from entrenous.respond.places import WORLDWIDE, reaches
from entrenous.respond.tables import shipped_help_lines


def help_lines(
    places: tuple[Place, ...], lines: tuple[HelpLine, ...] | None = None
) -> tuple[HelpLine, ...]:
    """Help lines for adults in these places, those read at a stored page first."""
    return _ordered(places, lines, for_children=False)


def hand_over(
    places: tuple[Place, ...], lines: tuple[HelpLine, ...] | None = None
) -> tuple[HelpLine, ...]:
    """Who takes over when somebody in the picture was under 18; never empty."""
    return _ordered(places, lines, for_children=True)


def shown(line: HelpLine, today: date) -> str:
    """One help line as people read it, with everything that must be said beside it."""
    parts = [line.name, line.phone, line.hours, line.web, *line.cautions(today)]
    return ", ".join(part for part in parts if part)


def _ordered(
    places: tuple[Place, ...], lines: tuple[HelpLine, ...] | None, *, for_children: bool
) -> tuple[HelpLine, ...]:
    table = shipped_help_lines() if lines is None else lines
    near = [
        line for line in table if line.for_children is for_children and reaches(line.place, places)
    ]
    return tuple(sorted(near, key=lambda line: (not line.verified, line.place == WORLDWIDE)))
