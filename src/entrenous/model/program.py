"""Which program somebody runs."""

from dataclasses import dataclass
from typing import Final

UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Program:
    """A version such as "0.1.0", and a commit of twelve hexadecimal digits, with "-dirty" behind
    where files differ from it. Either may be ``UNKNOWN``.
    """

    version: str = UNKNOWN
    commit: str = UNKNOWN

    def __str__(self) -> str:
        return f"entrenous {self.version}, commit {self.commit}"
