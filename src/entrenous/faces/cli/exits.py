"""Exit statuses: one table from families of errors to numbers that scripts can rely on."""

from typing import Final

from entrenous.model.errors import EntrenousError

YES: Final = 0
NO: Final = 1
USAGE: Final = 2
BUG: Final = 70
INTERRUPTED: Final = 130

BY_FAMILY: Final = {
    "refused": 3,
    "not-found": 4,
    "unproven": 5,
    "unreachable": 6,
    "malformed": 7,
}
_STOPPED: Final = "interrupted"  # no failure: a person stopped it


def exit_of(error: EntrenousError) -> int:
    """The exit status of an error's family; an error without a family is our bug."""
    return INTERRUPTED if error.family == _STOPPED else BY_FAMILY.get(error.family, BUG)
