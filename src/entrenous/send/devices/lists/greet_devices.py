"""Tell devices how to write to us: new ones of people whom we know, and our own."""

from contextlib import suppress

from entrenous.craft.crypto.hashing import lock_of
from entrenous.model.errors import EntrenousError, Unreachable
from entrenous.model.ids import DeviceId, EnvelopeId, PersonId
from entrenous.model.notes import Hello
from entrenous.model.relay_problem import NoPrekeys, TooMany, WrongToken
from entrenous.model.secret import Secret
from entrenous.model.window import HeldWindow
from entrenous.ports import Device
from entrenous.send.devices.self import is_ready, who_am_i
from entrenous.send.drawers import FIRST_TOKEN, GREET_DEVICE, GREETED, WINDOW_OUT, peer_key, take
from entrenous.send.letter.sessions import begin_again, have_session
from entrenous.send.letter.write import Addressee, addressee_of, plain_outer, write_letter
from entrenous.send.tokens.use import drop_lent, drop_refused, has_way
from entrenous.send.tokens.windows import give_window

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
        count += to is not None and has_way(to.contact, to.key.device, device)
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
                if not has_way(to.contact, to.key.device, device):
                    return  # when it tells us how to write to it, or another device of ours does
                if anew:
                    begin_again(to, device)
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
    held = take(HeldWindow, WINDOW_OUT, whose, device.vault)
    return held is not None and held.seed is not None and bool(held.lent)


def _still_invited_by(to: Addressee, device: Device) -> bytes | None:
    """The invite that lets us in, where we cannot know that an earlier hello arrived."""
    whose = peer_key(to.contact.person.id, to.key.device)
    held = take(HeldWindow, WINDOW_OUT, whose, device.vault)
    if held is not None and (held.seed is not None or held.lent):
        return None
    token = device.vault.get(FIRST_TOKEN, whose)
    return None if token is None else lock_of(Secret(token))


def greet_one(to: Addressee, invite_lock: bytes | None, device: Device) -> EnvelopeId:
    """Lay a hello for one device into the outbox, with a window of its own; the envelope's id."""
    have_session(to, device)
    window = give_window(to.contact.person, to.key.device, device)
    hello = Hello(who_am_i(device).card, window.seed, window.first, invite_lock)
    outer = plain_outer(device)
    write_letter(hello, to, outer, device)
    whose, now = peer_key(to.contact.person.id, to.key.device), device.clock.now()
    device.vault.put(GREETED, whose, b"%d" % int(now.timestamp()))
    device.vault.drop(GREET_DEVICE, whose)
    return outer.envelope
