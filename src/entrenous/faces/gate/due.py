"""What a gate does each minute: whatever was due after an answer and is not done yet."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from entrenous.ports import Platform
from entrenous.stop.clock import note_clock
from entrenous.stop.look_back import look_back_due
from entrenous.stop.page import page_somebody
from entrenous.stop.slow_look import skip_slow_looks

_LOG: Final = logging.getLogger("entrenous.gate")


def each_minute(platform: Platform) -> tuple[Callable[[], object], ...]:
    """What the clock says, and slow looks for which there was no room. (Those that are due are
    made by processes of their own.)
    """
    return (partial(_note_clock, platform), partial(_skip, platform))


def by_and_by(platform: Platform) -> Callable[[], object]:
    """Look backs of claims that a list, a fetch or a partner brought, or that a process was killed
    at: some at a time.
    """
    return partial(look_back_due, platform)


def page_if_due(platform: Platform) -> None:
    """Each minute too, apart from the others: what it runs may take a while."""
    for failed in page_somebody(platform):
        said = {"event": "page-failed", **failed.facts}
        _LOG.error("page failed: %(kind)s", said, extra={"said": said})


def _note_clock(platform: Platform) -> None:
    days = note_clock(platform)
    if days:
        said = {"event": "clock-ahead", "days": days}
        _LOG.warning("clock ahead by %(days)d days", said, extra={"said": said})


def _skip(platform: Platform) -> None:
    skipped = skip_slow_looks(platform)
    if skipped and platform.limits.slow_looks > 0:  # else nobody expects any
        said = {"event": "slow-look-skipped", "uploads": skipped}
        _LOG.warning("slow look skipped: %(uploads)d uploads", said, extra={"said": said})
