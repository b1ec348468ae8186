"""``entrenous device add`` and ``entrenous setup --link``: two devices, side by side."""

import sys
from collections.abc import Callable
from typing import TypeVar

import typer

from entrenous.faces.cli.catch_up import catch_up
from entrenous.faces.cli.output import hint, in_one_go, put_json, say, when
from entrenous.faces.cli.people.qr import qr_text
from entrenous.model.compare import ShortString
from entrenous.model.errors import EntrenousError
from entrenous.model.identity import Home
from entrenous.model.link import StoppedAfterGrant, StoppedAfterLinking
from entrenous.model.recovery import RecoverySheet
from entrenous.ports import Device
from entrenous.send.devices.link.new import (
    NewSide,
    ask_to_link,
    differs_here,
    end_new,
    look_new,
    same_here,
)
from entrenous.send.devices.link.old import (
    OldSide,
    differs,
    end_old,
    is_granted,
    look_old,
    offer_link,
    same_on_both,
    wait_no_more,
)
from entrenous.send.devices.link.states import LinkState
from entrenous.send.devices.self import who_am_i
from entrenous.send.devices.siblings import ourselves, own_name, sibling_of
from entrenous.send.fetch import fetch_messages
from entrenous.spec import LINK_MINUTES, WAKE_ASK_S

Side = TypeVar("Side", OldSide, NewSide)
_YES = frozenset({"yes", "y", "same"})


def show_code(sheet: RecoverySheet | None, device: Device, *, qr: bool, as_json: bool) -> None:
    """The old device's part, from the code to the new device's first letter.

    Raises:
        MasterAway, OthersSheet, TooManyDevices, OfflineDevice, LinkOver, LinkDiffers, EndedThere,
        RelayUnreachable.
    """
    side = offer_link(sheet, device)
    try:
        _put_code(side, qr=qr, as_json=as_json)
        side = _until(LinkState.COMPARING, side, lambda now: look_old(now, device), device)
        same = _is_same(side.string, "the other device", as_json=as_json)
    except BaseException:
        end_old(side, device)
        raise
    if not same:
        differs(side, device)
    try:
        fetch_messages(device)  # another device may have changed the list meanwhile
        side = same_on_both(side, device)
        hint("It is on your list now. Waiting until the other device has been answered too, and")
        hint("writes to this one: ten minutes at most. Ctrl-C ends the waiting, and nothing else.")
        side = until_it_writes(side, device)
        wait_no_more(side, device)
    except (KeyboardInterrupt, typer.Abort):
        if is_granted(side, device):
            wait_no_more(side, device)
            raise StoppedAfterGrant(name=_called(side, device)) from None
        end_old(side, device)
        raise
    _tell(_called(side, device), answered=side.state is LinkState.LINKED, as_json=as_json)


def link_here(
    code: str, name: str | None, device: Device, lock: Callable[[Home], None], *, as_json: bool
) -> None:
    """The new device's part, from the code to its first letters.

    ``lock`` gives its vault the relay's part: before anybody can have it on a list, and before the
    master key is in it, since who revokes it afterwards is told that nothing opens it any more.

    Raises:
        BadLinkCode, BadName, LinkOver, DiffersHere, RelayUnreachable.
    """
    side = ask_to_link(code, name, device)
    try:
        lock(side.home)
        side = _until(LinkState.SHOWN, side, lambda now: look_new(now, device), device)
        if not _is_same(side.string, "your other device", as_json=as_json):
            differs_here(side, device)
        side = same_here(side)
        hint("Waiting until the other device has been answered too: until ten minutes after it")
        hint("showed its code. Ctrl-C ends it, and then this device is not linked.")
        _until(LinkState.LINKED, side, lambda now: look_new(now, device), device)
        catch_up(device)  # what its relay does not answer now is done by the next command
    except (KeyboardInterrupt, typer.Abort):
        end_new(side, device)
        if ourselves(device) is not None:
            raise StoppedAfterLinking from None
        raise
    except BaseException:
        end_new(side, device)
        raise
    if not as_json:
        say(f"This device is linked; your others call it {own_name(device)}.")
        say("The people you know appear as soon as your other device has told this one.")


def _put_code(side: OldSide, *, qr: bool, as_json: bool) -> None:
    if as_json:
        put_json({"schema": "entrenous/link/1", "code": side.code, "until": when(side.until)})
        return
    say(side.code)
    if qr:
        say(qr_text(side.code))
    say()
    say("On the new device, within ten minutes: entrenous setup --link -")
    say("It asks for the code then, so that no list of typed commands keeps it.")
    say("Show this code to nobody, and do not send it: who has it can ask to be linked.")


def _until(state: LinkState, side: Side, look: Callable[[Side], Side], device: Device) -> Side:
    """Look until it has come so far, and wait for the relay's word in between.

    Raises:
        LinkOver: it took too long, or something was out of order.
    """
    box = side.box
    while side.state is not state:
        looked = look(side)
        if looked == side:
            device.courier.wake(box.relay_url, box.mailbox, box.owner, WAKE_ASK_S)
        side = looked
    return side


def until_it_writes(side: OldSide, device: Device) -> OldSide:
    """Fetch until the new device's first letter is there, or it took too long; what it lacks then
    comes later. It is on the list in any case, so what the relay refuses now is only told.
    """
    try:
        return _fetched_until_it_writes(side, device)
    except EntrenousError as error:
        hint(in_one_go(str(error)))
        return look_old(side, device)


def _fetched_until_it_writes(side: OldSide, device: Device) -> OldSide:
    asked = 0
    while side.state is not LinkState.LINKED and asked * WAKE_ASK_S < LINK_MINUTES * 60:
        fetch_messages(device)
        side = look_old(side, device)
        if side.state is not LinkState.LINKED:
            _wait_for_mail(device)
            asked += 1
    fetch_messages(device)
    return side


def _wait_for_mail(device: Device) -> None:
    home = who_am_i(device).home
    device.courier.wake(home.relay_url, home.mailbox, home.owner, WAKE_ASK_S)


def _is_same(shown: ShortString, other: str, *, as_json: bool) -> bool:
    """Whether the person says that both show this; anything but yes is no."""
    numbers = " ".join(map(str, shown.numbers))
    if as_json:
        signs = [sign.name for sign in shown.signs]
        put_json({"schema": "entrenous/compare/1", "signs": signs, "numbers": shown.numbers})
    else:
        say("  ".join(f"{sign.emoji} {sign.name}" for sign in shown.signs))
        say(f"or in numbers: {numbers}")
    hint(f"Does {other} show just the same? Type yes or no:")
    typed = sys.stdin.readline()
    if not typed:
        raise typer.Abort
    return typed.strip().casefold() in _YES


def _tell(name: str, *, answered: bool, as_json: bool) -> None:
    if as_json:
        put_json({"schema": "entrenous/linked/1", "device": name, "answered": answered})
        return
    if answered:
        say(f"Linked: {name}. It receives what people send you from now on; they are told.")
    else:
        say(f"{name} is on your list, but it has not answered. If it does not within a while, take")
        say("it off again: entrenous device revoke NAME")
    say("All of your devices: entrenous device list")


def _called(side: OldSide, device: Device) -> str:
    sibling = None if side.offer is None else sibling_of(side.offer.device, device)
    return "another device" if sibling is None else sibling.name
