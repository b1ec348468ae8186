"""Keep the windows that we gave full, and replace them in time (docs/spec/letter.md section 9)."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

from entrenous.model.errors import EntrenousError
from entrenous.model.ids import DeviceId, PersonId
from entrenous.model.notes import WindowNote
from entrenous.model.window import GivenWindow
from entrenous.ports import Device
from entrenous.send.devices.self import who_am_i
from entrenous.send.drawers import WINDOW_IN, lay
from entrenous.send.letter.sessions import have_session
from entrenous.send.letter.write import Addressee, addressee_of, plain_outer, write_letter
from entrenous.send.moment import LONGEST_ON_ITS_WAY, this_second
from entrenous.send.odd_clock import is_clock_odd, is_lately
from entrenous.send.tokens.use import has_way
from entrenous.send.tokens.windows import (
    give_window,
    widen,
    windows,
    withdraw_lapsed,
    withdraw_window,
)
from entrenous.spec import WINDOW_DAYS, WINDOW_LOW, WINDOW_SPAN, WINDOW_TOKENS, WINDOW_WAIT_HOURS

_REPLACE_AFTER: Final = timedelta(days=WINDOW_DAYS)
_WAIT: Final = timedelta(hours=WINDOW_WAIT_HOURS)


def look_after_windows(device: Device) -> None:
    """Give more tokens to devices that have few left, others to those whose window has done its
    days or whose list changed, and take back what belongs to devices that are on no list any more.

    The letters that tell of it lie in the outbox when this returns; whoever can't be told now is
    told next time.
    """
    withdraw_lapsed(device)
    for whose, window in list(windows(device)):
        person, key = (bytes.fromhex(part) for part in whose.split())
        to = addressee_of(PersonId(person), DeviceId(key), device)
        if to is None:
            with device.vault.together():
                withdraw_window(whose, device)
        elif not to.contact.forked and has_way(to.contact, to.key.device, device):
            work = _due(window, to, device)
            if work is not None:
                with suppress(EntrenousError), device.vault.together():
                    work(window, whose, to, device)


Work = Callable[[GivenWindow, str, Addressee, Device], None]


def _due(window: GivenWindow, to: Addressee, device: Device) -> Work | None:
    """What is to be done with a window now."""
    heads = to.contact.person.head, who_am_i(device).person.head
    age = device.clock.now() - window.made_at
    too_old = age >= _REPLACE_AFTER or _was_ahead(age, device)
    too_long = window.until - window.first >= WINDOW_SPAN
    if too_old or too_long or heads != (window.theirs, window.ours):
        return _replace
    return _widen if window.told - window.unseen < WINDOW_LOW and _earned(window, device) else None


def _was_ahead(age: timedelta, device: Device) -> bool:
    """Whether a window was made by a clock that was ahead, by which it would not grow old.

    Not by one that may be behind now: what it replaces would be over as soon as that is right. Less
    than a month does no harm.
    """
    return age < -LONGEST_ON_ITS_WAY and not is_clock_odd(device)


def _earned(window: GivenWindow, device: Device) -> bool:
    """Whether most of the last ones were used, or it is a while since.

    Who skips tokens would have us register more and more, each time with padding.
    """
    told_at = window.told_at or window.made_at
    return window.came >= WINDOW_LOW or not is_lately(told_at, _WAIT, device)


def _replace(window: GivenWindow, _: str, to: Addressee, device: Device) -> None:
    _tell(give_window(to.contact.person, to.key.device, device), window.until, to, device)


def _widen(window: GivenWindow, whose: str, to: Addressee, device: Device) -> None:
    until = window.unseen + WINDOW_TOKENS
    wider = replace(
        widen(window, whose, until, device), told=until, came=0, told_at=this_second(device)
    )
    lay(wider, WINDOW_IN, whose, device.vault)
    _tell(wider, window.unseen, to, device)


def _tell(window: GivenWindow, first: int, to: Addressee, device: Device) -> None:
    have_session(to, device)
    write_letter(WindowNote(window.seed, first), to, plain_outer(device), device)
