"""What a platform says of a claim that it listed itself (docs/spec/hma.md section 4)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

CONTENT_ID_CHARS_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class Listing:
    """``content_id`` is the platform's own name for the content, "" for none. ``on_at`` is when a
    suspended claim matches again; None: not by itself.
    """

    content_id: str = ""
    on_at: datetime | None = None

    def __post_init__(self) -> None:
        if len(self.content_id) > CONTENT_ID_CHARS_MAX or not self.content_id.isprintable():
            raise ValueError(f"a content_id is at most {CONTENT_ID_CHARS_MAX} printable characters")
