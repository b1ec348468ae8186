"""Send tokens to devices that may write to us: new devices of people whom we know, and our own.

The ranges that we issued are kept full, and replaced in time.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

from entrenous.base.errors import EntrenousError, NoPrekeys, TooMany, Unreachable, WrongToken
from entrenous.base.identifiers import DeviceId, EnvelopeId, PersonId
from entrenous.base.limits import (
    WINDOW_DAYS,
    WINDOW_LOW,
    WINDOW_SPAN,
    WINDOW_TOKENS,
    WINDOW_WAIT_HOURS,
)
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import lock_of
from entrenous.device.device import Device
from entrenous.device.identities import is_ready, who_am_i
from entrenous.device.vault_tables import (
    FIRST_TOKEN,
    GREET_DEVICE,
    GREETED,
    WINDOW_IN,
    WINDOW_OUT,
    load_record,
    peer_key,
    store_record,
)
from entrenous.send.clock_sanity import LONGEST_ON_ITS_WAY, is_clock_odd, is_lately, this_second
from entrenous.send.letter.letter_nouns import Hello, WindowNote
from entrenous.send.letter.sessions import have_session, replace_session
from entrenous.send.letter.write import Addressee, addressee_of, plain_outer, write_letter
from entrenous.send.tokens.issue import (
    extend_range,
    issue_range,
    issued_ranges,
    withdraw_lapsed,
    withdraw_range,
)
from entrenous.send.tokens.token_ranges import GivenWindow, HeldWindow
from entrenous.send.tokens.use import drop_lent, drop_refused, has_tokens_for

_LATER = (Unreachable, TooMany, NoPrekeys)


def greet_devices(device: Device) -> None:
    """Lay out a hello for each device that has yet to hear from us; whose relay can't be had now,
    or which has left no keys yet, is greeted next time.
    """
    for whose in device.vault.keys(GREET_DEVICE) if is_ready(device) else ():
        with suppress(*_LATER):
            _greet(whose, device)


def to_be_greeted(device: Device) -> int:
    """How many devices that we can write to have yet to hear from us."""
    count = 0
    for whose in device.vault.keys(GREET_DEVICE):
        to = _addressee(whose, device)
        count += to is not None and has_tokens_for(to.contact, to.key.device, device)
    return count


def _addressee(whose: str, device: Device) -> Addressee | None:
    person, key = (bytes.fromhex(part) for part in whose.split())
    return addressee_of(PersonId(person), DeviceId(key), device)


def _greet(whose: str, device: Device, *, anew: bool = False) -> None:
    """``anew``: in a session of its own, since she may have forgotten those that there are."""
    to = _addressee(whose, device)
    if to is not None and to.contact.forked:
        return  # when their lists agree again
    anew = anew or _was_lent_again(whose, device)
    try:
        with device.vault.together():
            if to is not None and not to.contact.blocked:
                if not has_tokens_for(to.contact, to.key.device, device):
                    return  # when it tells us how to write to it, or another device of ours does
                if anew:
                    replace_session(to, device)
                greet_one(to, _still_invited_by(to, device), device)
                drop_lent(whose, device)
            device.vault.drop(GREET_DEVICE, whose)
    except _LATER:
        raise
    except WrongToken:
        if drop_refused(whose, device):
            _greet(whose, device, anew=anew)  # by the next one, or when others are lent
        else:
            device.vault.drop(GREET_DEVICE, whose)
    except EntrenousError:
        device.vault.drop(GREET_DEVICE, whose)  # its keys, or what we may write with, will never do


def _was_lent_again(whose: str, device: Device) -> bool:
    """Whether another device of ours met somebody anew: it lent us tokens though we have a window,
    which she may have withdrawn.
    """
    held = load_record(HeldWindow, WINDOW_OUT, whose, device.vault)
    return held is not None and held.seed is not None and bool(held.lent)


def _still_invited_by(to: Addressee, device: Device) -> bytes | None:
    """The invite that lets us in, where we cannot know that an earlier hello arrived."""
    whose = peer_key(to.contact.person.id, to.key.device)
    held = load_record(HeldWindow, WINDOW_OUT, whose, device.vault)
    if held is not None and (held.seed is not None or held.lent):
        return None
    token = device.vault.get(FIRST_TOKEN, whose)
    return None if token is None else lock_of(Secret(token))


def greet_one(to: Addressee, invite_lock: bytes | None, device: Device) -> EnvelopeId:
    """Lay a hello for one device into the outbox, with a window of its own; the envelope's id."""
    have_session(to, device)
    window = issue_range(to.contact.person, to.key.device, device)
    hello = Hello(who_am_i(device).card, window.seed, window.first, invite_lock)
    outer = plain_outer(device)
    write_letter(hello, to, outer, device)
    whose, now = peer_key(to.contact.person.id, to.key.device), device.clock.now()
    device.vault.put(GREETED, whose, b"%d" % int(now.timestamp()))
    device.vault.drop(GREET_DEVICE, whose)
    return outer.envelope


_REPLACE_AFTER: Final = timedelta(days=WINDOW_DAYS)
_WAIT: Final = timedelta(hours=WINDOW_WAIT_HOURS)


def top_up_ranges(device: Device) -> None:
    """Give more tokens to devices that have few left, others to those whose window has done its
    days or whose list changed, and take back what belongs to devices that are on no list any more.

    The letters that tell of it lie in the outbox when this returns; whoever can't be told now is
    told next time.
    """
    withdraw_lapsed(device)
    for whose, window in list(issued_ranges(device)):
        person, key = (bytes.fromhex(part) for part in whose.split())
        to = addressee_of(PersonId(person), DeviceId(key), device)
        if to is None:
            with device.vault.together():
                withdraw_range(whose, device)
        elif not to.contact.forked and has_tokens_for(to.contact, to.key.device, device):
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
    _tell(issue_range(to.contact.person, to.key.device, device), window.until, to, device)


def _widen(window: GivenWindow, whose: str, to: Addressee, device: Device) -> None:
    until = window.unseen + WINDOW_TOKENS
    wider = replace(
        extend_range(window, whose, until, device), told=until, came=0, told_at=this_second(device)
    )
    store_record(wider, WINDOW_IN, whose, device.vault)
    _tell(wider, window.unseen, to, device)


def _tell(window: GivenWindow, first: int, to: Addressee, device: Device) -> None:
    have_session(to, device)
    write_letter(WindowNote(window.seed, first), to, plain_outer(device), device)
