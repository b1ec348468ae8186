"""What a look at a relay's machine found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One part that was looked at; ``words`` say what was found and, unless ``ok``, what to do."""

    part: str
    ok: bool
    words: str
