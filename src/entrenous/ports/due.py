"""Work that is done after an answer, and not lost with the process that gave the answer."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from entrenous.model.clock_mark import ClockMark
from entrenous.model.ids import BankName, ClaimId
from entrenous.model.review import Due, SlowLook


class DueWork(Protocol):
    """What is due is taken for a time. If it was not done by then, whoever asks takes it again
    (docs/spec/gate.md sections 5.2 and 5.4). What is taken for much longer than that was taken by a
    clock that was ahead, and is due. Raises BankUnreachable, like the stores.
    """

    def note_clock(self, every: timedelta) -> None:
        """Remember what the clock says, of all processes together; to be called so often."""
        ...

    def clock_mark(self) -> ClockMark | None:
        """What was remembered; None before the first time."""
        ...

    def keeps_bytes(self) -> bool:
        """Whether there is room on the disk for bytes of uploads; where not, none are kept."""
        ...

    def keep_for_slow_look(self, case: str, untrusted_upload: bytes, most: int) -> bool:
        """Keep the bytes of an upload that a slow look is due of, until it was made; at most
        ``most`` of them, and so many bytes. False if there is no room, or none is due.
        """
        ...

    def take_slow_look(self, lease: timedelta) -> SlowLook | None:
        """The oldest of these that nobody has, or None. It is the caller's for that time."""
        ...

    def slow_look_made(self, case: str) -> None:
        """Nothing was found: its bytes are forgotten. Does nothing when it waits for a person."""
        ...

    def skip_slow_looks(self, before: datetime) -> int:
        """Give up those whose upload came before then and whose bytes never did, those that were
        taken three times to no end, and those that waited for a day; how many.
        """
        ...

    def take_look_backs(self, until: datetime, limit: int) -> Mapping[ClaimId, int]:
        """Claims for which a look back is due and that nobody has, the newest first: a person does
        not wait for a list of a million. They are the caller's until then. Each with the number of
        its newest change.
        """
        ...

    def look_back_again(self, bank: BankName) -> int:
        """A look back is due for every claim of this bank that matches; for how many."""
        ...

    def looked_back(self, until: datetime, taken: Mapping[ClaimId, int]) -> None:
        """It was done for these, as they were taken until then. One that was changed meanwhile, or
        became due anew before that time, stays due: it was not looked back for as it is now.
        """
        ...

    def due(self) -> Due:
        """How much waits; skipped ones are counted for 24 hours."""
        ...
