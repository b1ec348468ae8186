"""Whether the relay's clock can be right (docs/spec/relay.md section 8): by one that is far ahead
of the last sweep nothing is ended, and nobody is told that something has.
"""

from datetime import datetime, timedelta
from typing import Final

from entrenous.model.clock_mark import ClockMark
from entrenous.model.held import HeldSweep
from entrenous.model.relay_problem import RelayClockAhead
from entrenous.ports import MailDesk, MailView

SWEEP_S: Final = 60  # how often what is due is ended
_EVERY: Final = timedelta(seconds=SWEEP_S)
_ONLY: Final = 1  # the number of the only row


def last_sweep(view: MailView) -> ClockMark | None:
    """Until when all was ended that was due; None if nothing was yet."""
    held = view.get(HeldSweep, _ONLY)
    return ClockMark(held.swept_at, held.odd_at, held.odd_s) if held else None


def note_clock(desk: MailDesk, present: datetime) -> ClockMark:
    """Where the clock stands to the last sweep, once this one knows what it says."""
    before = last_sweep(desk)
    mark = before.seen(present, _EVERY) if before else ClockMark(present)
    if mark != before:
        desk.put(HeldSweep(_ONLY, mark.at, mark.odd_at, mark.odd_s))
    return mark


def refuse_ahead(view: MailView, present: datetime) -> None:
    """To be asked before somebody is told that a time is over.

    Raises:
        RelayClockAhead: nobody knows; it may be over an hour later.
    """
    mark = last_sweep(view)
    if mark is not None:
        refuse_far(mark, present)


def refuse_far(mark: ClockMark, present: datetime) -> None:
    """Return if what is due may be ended; raises RelayClockAhead."""
    if mark.is_ahead(present):
        raise RelayClockAhead(days=(present - mark.at).days)
