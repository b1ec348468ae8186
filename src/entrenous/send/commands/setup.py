"""``entrenous setup``: make a new device, or link this one to another. Both sides of linking are
here; ``entrenous device add`` runs that of the old device.
"""

import sys
from collections.abc import Callable
from typing import Annotated, Final, TypeVar

import typer

from entrenous.base.errors import EntrenousError
from entrenous.base.language import YES_WORDS, translatable, translated
from entrenous.base.limits import LINKING_MINUTES_MAX, WAKE_REQUEST_S
from entrenous.crypto.short_auth_string import ShortAuthString
from entrenous.device.commands import new_device, new_lockable_device
from entrenous.device.device import Device
from entrenous.device.identities import MailboxAddress, own_device, own_name, own_other_devices
from entrenous.device.recovery_sheet import RecoverySheet
from entrenous.send.commands.catch_up import fetch_and_print_notices
from entrenous.send.devices.link_new_device import (
    NewDeviceLinkInProgress,
    confirm_on_new_device,
    end_on_new_device,
    poll_new_device,
    reject_on_new_device,
    start_on_new_device,
)
from entrenous.send.devices.link_nouns import StoppedAfterGrant, StoppedAfterLinking
from entrenous.send.devices.link_old_device import (
    OldDeviceLinkInProgress,
    close_link_mailbox,
    confirm_on_old_device,
    end_on_old_device,
    is_new_device_listed,
    poll_old_device,
    reject_on_old_device,
    start_on_old_device,
)
from entrenous.send.devices.link_steps import LinkState
from entrenous.send.devices.linked_devices import linked_device_by_id
from entrenous.send.fetch import fetch_messages
from entrenous.send.people.qr_codes import qr_terminal_text
from entrenous.send.set_up import set_up
from entrenous.terminal.output import hint, join_wrapped_lines, print_json, print_line, rfc3339_utc
from entrenous.terminal.session import session_of
from entrenous.terminal.typed_input import STDIN_OPTION_ADVICE, JsonFlag, read_typed_line


def add_commands(app: typer.Typer) -> None:
    app.command("setup")(setup)


def setup(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The name that people see.")
    ] = None,
    relay: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of your relay, https://...")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Use no relay: this device can only mark and trace.")
    ] = False,
    link: Annotated[
        str | None,
        typer.Option(
            metavar="-|CODE",
            help=f"The code on your other device; links this device to it. {STDIN_OPTION_ADVICE}",
        ),
    ] = None,
    called: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="With --link: your name for this device."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Set up this device: make its keys, and an encrypted vault that only your passphrase opens.

    With --link it is added to your other devices, one of which shows the code: entrenous device add
    """
    if link is not None:
        if name is not None or relay is not None or offline:
            raise typer.BadParameter(
                translated("--link goes without --name, --relay and --offline")
            )
        _link_this_device(context, link, called, as_json=as_json)
        return
    if name is None:
        raise typer.BadParameter(translated("give --name NAME, or --link -"))
    if offline == (relay is not None):
        raise typer.BadParameter(translated("give either --relay URL or --offline"))
    with new_device(context) as device:
        identity = set_up(name, relay, device)
    home = session_of(context).settings.home
    if as_json:
        print_json({"schema": "entrenous/setup/1", "name": identity.name, "home": str(home)})
        return
    print_line(
        translated("This is now {name}'s device; its vault is in {home}.").format(
            name=identity.name, home=home
        )
    )
    print_line(
        translated("next: entrenous mark PHOTO --to NAME --out DIR")
        if offline
        else translated("next: entrenous invite")
    )
    if not offline:
        print_line(
            translated(
                "Nobody can replace a forgotten passphrase. With a recovery sheet on paper, you "
                "get ten more tries after ten wrong ones, and you can revoke this device if you "
                "lose it. To make a sheet:"
            )
        )
        print_line("entrenous device recovery --out FILE")


def _link_this_device(
    context: typer.Context, code: str, called: str | None, *, as_json: bool
) -> None:
    with new_lockable_device(context) as (device, lock):
        code = read_typed_line(code, translated("Code of your other device"), context)
        link_on_new_device(code, called, device, lock, as_json=as_json)
        name = own_name(device)
    home = session_of(context).settings.home
    if as_json:
        print_json({"schema": "entrenous/setup/1", "device": name, "home": str(home)})
        return
    print_line(translated("Its vault is in {home}.").format(home=home))
    print_line(translated("next: entrenous person list"))


DeviceLinkSide = TypeVar("DeviceLinkSide", OldDeviceLinkInProgress, NewDeviceLinkInProgress)
_YES_ANSWERS: Final = frozenset({*YES_WORDS, "same"})
_NEW_DEVICE_SHOWS_SAME_QUESTION: Final = translatable(
    "Does the other device show exactly the same? Type yes or no:"
)
_OLD_DEVICE_SHOWS_SAME_QUESTION: Final = translatable(
    "Does your other device show exactly the same? Type yes or no:"
)


def link_on_old_device(
    sheet: RecoverySheet | None, device: Device, *, qr: bool, as_json: bool
) -> None:
    """Run the old device's side of linking, from the code to the new device's first letter.

    Raises:
        MasterKeyNotHere, SheetOfAnotherPerson, TooManyDevices, DeviceWithoutRelay, LinkEnded,
        LinkPicturesDiffer, LinkEndedByOtherDevice, RelayUnreachable.
    """
    side = start_on_old_device(sheet, device)
    try:
        _print_link_code(side, qr=qr, as_json=as_json)
        side = _poll_until_state(
            LinkState.COMPARING, side, lambda now: poll_old_device(now, device), device
        )
        same = _ask_whether_same(
            side.short_string, _NEW_DEVICE_SHOWS_SAME_QUESTION, as_json=as_json
        )
    except BaseException:
        end_on_old_device(side, device)
        raise
    if not same:
        reject_on_old_device(side, device)
    try:
        fetch_messages(device)  # another device may have changed the list meanwhile
        side = confirm_on_old_device(side, device)
        hint(
            translated(
                "The new device is on your list now. Please answer the question on the new "
                "device too.\nThis device waits ten minutes at most to hear from it. "
                "Ctrl-C ends only the waiting."
            )
        )
        side = wait_for_first_letter(side, device)
        close_link_mailbox(side, device)
    except (KeyboardInterrupt, typer.Abort):
        if is_new_device_listed(side, device):
            close_link_mailbox(side, device)
            raise StoppedAfterGrant(name=_name_of_new_device(side, device)) from None
        end_on_old_device(side, device)
        raise
    _print_linked(
        _name_of_new_device(side, device), answered=side.state is LinkState.LINKED, as_json=as_json
    )


def link_on_new_device(
    code: str,
    name: str | None,
    device: Device,
    lock: Callable[[MailboxAddress], None],
    *,
    as_json: bool,
) -> None:
    """Run the new device's side of linking, from the code to this device's first letters.

    ``lock`` gives the relay of the new mailbox a share of the key of this device's vault. This
    happens before this device is on a device list and before it has the master key, so that a later
    revocation really makes the vault unreadable.

    Raises:
        BadLinkCode, BadName, LinkEnded, LinkPicturesDifferOnNewDevice, RelayUnreachable.
    """
    side = start_on_new_device(code, name, device)
    try:
        lock(side.home)
        side = _poll_until_state(
            LinkState.SHOWN, side, lambda now: poll_new_device(now, device), device
        )
        if not _ask_whether_same(
            side.short_string, _OLD_DEVICE_SHOWS_SAME_QUESTION, as_json=as_json
        ):
            reject_on_new_device(side, device)
        side = confirm_on_new_device(side)
        hint(
            translated(
                "Please answer the question on your other device too, within ten minutes "
                "of the time it\nshowed its code. Ctrl-C ends the waiting, and then this "
                "device is not linked."
            )
        )
        _poll_until_state(LinkState.LINKED, side, lambda now: poll_new_device(now, device), device)
        fetch_and_print_notices(
            device
        )  # if the relay does not answer now, the next command does this
    except (KeyboardInterrupt, typer.Abort):
        end_on_new_device(side, device)
        if own_other_devices(device) is not None:
            raise StoppedAfterLinking from None
        raise
    except BaseException:
        end_on_new_device(side, device)
        raise
    if not as_json:
        print_line(
            translated("This device is linked; your others call it {device}.").format(
                device=own_name(device)
            )
        )
        print_line(
            translated("The people you know appear as soon as your other device has told this one.")
        )


def _print_link_code(side: OldDeviceLinkInProgress, *, qr: bool, as_json: bool) -> None:
    if as_json:
        print_json(
            {"schema": "entrenous/link/1", "code": side.code, "until": rfc3339_utc(side.until)}
        )
        return
    print_line(side.code)
    if qr:
        print_line(qr_terminal_text(side.code))
    print_line()
    print_line(translated("On the new device, within ten minutes: entrenous setup --link -"))
    print_line(
        translated("It asks for the code then, so that it is not saved with your typed commands.")
    )
    print_line(
        translated(
            "Show this code to nobody, and do not send it: whoever has it can ask to be linked."
        )
    )


def _poll_until_state(
    state: LinkState,
    side: DeviceLinkSide,
    poll: Callable[[DeviceLinkSide], DeviceLinkSide],
    device: Device,
) -> DeviceLinkSide:
    """Process messages until the linking has this state, waiting for the relay in between.

    Raises:
        LinkEnded: time ran out, or a message was out of order.
    """
    box = side.box
    while side.state is not state:
        polled = poll(side)
        if polled == side:
            device.courier.wait_for_letter(box.relay_url, box.mailbox, box.owner, WAKE_REQUEST_S)
        side = polled
    return side


def wait_for_first_letter(side: OldDeviceLinkInProgress, device: Device) -> OldDeviceLinkInProgress:
    """Fetch until the new device's first letter arrives or time runs out.

    The new device is already on the list, so an error of a fetch is only printed as a hint.
    """
    try:
        return _fetch_until_first_letter(side, device)
    except EntrenousError as error:
        hint(join_wrapped_lines(str(error)))
        return poll_old_device(side, device)


def _fetch_until_first_letter(
    side: OldDeviceLinkInProgress, device: Device
) -> OldDeviceLinkInProgress:
    waits = 0
    while side.state is not LinkState.LINKED and waits * WAKE_REQUEST_S < LINKING_MINUTES_MAX * 60:
        fetch_messages(device)
        side = poll_old_device(side, device)
        if side.state is not LinkState.LINKED:
            home = own_device(device).home
            device.courier.wait_for_letter(home.relay_url, home.mailbox, home.owner, WAKE_REQUEST_S)
            waits += 1
    fetch_messages(device)
    return side


def _ask_whether_same(shown: ShortAuthString, question: str, *, as_json: bool) -> bool:
    """Ask whether both devices show the same emoji or numbers; any answer but yes means no."""
    numbers = " ".join(map(str, shown.numbers))
    if as_json:
        signs = [sign.name for sign in shown.named_emoji]
        print_json({"schema": "entrenous/compare/1", "signs": signs, "numbers": shown.numbers})
    else:
        print_line("  ".join(f"{sign.emoji} {translated(sign.name)}" for sign in shown.named_emoji))
        print_line(translated("or in numbers: {numbers}").format(numbers=numbers))
    hint(translated(question))
    typed = sys.stdin.readline()
    if not typed:
        raise typer.Abort
    return typed.strip().casefold() in _YES_ANSWERS


def _print_linked(name: str, *, answered: bool, as_json: bool) -> None:
    if as_json:
        print_json({"schema": "entrenous/linked/1", "device": name, "answered": answered})
        return
    if answered:
        print_line(
            translated(
                "Linked: {name}. It receives what people send you from now on; they are told."
            ).format(name=name)
        )
    else:
        print_line(
            translated(
                "{name} is on your list, but it has not answered. If it does not within a "
                "while,\nremove it: entrenous device revoke NAME"
            ).format(name=name)
        )
    print_line(translated("All of your devices: entrenous device list"))


def _name_of_new_device(side: OldDeviceLinkInProgress, device: Device) -> str:
    linked = None if side.offer is None else linked_device_by_id(side.offer.device, device)
    return translated("another device") if linked is None else linked.name
