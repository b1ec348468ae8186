"""The session that every command has, and the exit statuses that scripts rely on
(docs/start.md).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import typer

from entrenous.base.environment import Settings, read_settings
from entrenous.base.errors import EntrenousError

FeatureFunctions = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class Session:
    """What every command can use: the file descriptor of the passphrase, and functions by name.

    The functions are those of entrenous.__main__.FEATURE_FUNCTIONS.
    """

    passphrase_fd: int | None
    feature_functions: FeatureFunctions

    @cached_property
    def settings(self) -> Settings:
        """The settings, read on first use, so that a bad one stops only commands that use settings.

        Raises:
            BadSetting.
        """
        return read_settings()


def session_of(context: typer.Context) -> Session:
    session = context.find_root().obj
    if not isinstance(session, Session):
        raise TypeError("a command runs inside cli.run")
    return session


EXIT_YES: Final = 0
EXIT_NO: Final = 1
EXIT_USAGE_ERROR: Final = 2
EXIT_BUG: Final = 70
EXIT_INTERRUPTED: Final = 130
EXIT_STATUS_BY_FAMILY: Final = {
    "refused": 3,
    "not-found": 4,
    "unproven": 5,
    "unreachable": 6,
    "malformed": 7,
}
# the user interrupted the command, which is not a failure
_INTERRUPTED_FAMILY: Final = "interrupted"


def exit_status_of(error: EntrenousError) -> int:
    """Return the exit status for an error, which depends on its family.

    The families are the base classes Refused, NotFound, Unreachable, Malformed and Unproven. An
    error of the family "interrupted" gets EXIT_INTERRUPTED. Any other error counts as a bug in this
    program.
    """
    return (
        EXIT_INTERRUPTED
        if error.family == _INTERRUPTED_FAMILY
        else EXIT_STATUS_BY_FAMILY.get(error.family, EXIT_BUG)
    )
