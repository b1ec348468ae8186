"""Open this person's device for the length of one command."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import typer

from entrenous.adapters.vault.freed import forget_freed, was_freed
from entrenous.adapters.vault.home import Unlocked
from entrenous.faces.cli.device.passphrase import ask_passphrase, new_passphrase
from entrenous.faces.cli.main import Session
from entrenous.faces.cli.output import hint
from entrenous.faces.cli.stopped import stopped_like_ctrl_c
from entrenous.model.errors import as_typed
from entrenous.model.identity import Home
from entrenous.model.recovery import RecoverySheet
from entrenous.ports import Device
from entrenous.send.devices.siblings import own_name
from entrenous.wiring.device import create_to_link, open_unlocked


def session_of(context: typer.Context) -> Session:
    """Settings and where the passphrase comes from."""
    session = context.find_root().obj
    if not isinstance(session, Session):
        raise TypeError("a command runs inside faces.cli.main.run")
    return session


@contextmanager
def device_of(context: typer.Context) -> Iterator[Device]:
    """The device in ENTRENOUS_HOME, unlocked; locked again afterwards.

    Raises:
        NoVaultHere, WrongPassphrase, NoPassphrase, VaultBusy, Locked, DeviceShut.
        RelayUnreachable, OfflineWindowOver: its relay's part of the lock is not to be had.
    """
    with unlocked_of(context) as (device, _):
        yield device


@contextmanager
def unlocked_of(
    context: typer.Context, sheet: RecoverySheet | None = None
) -> Iterator[tuple[Device, Unlocked]]:
    """The same, with what its vault's key was made of, for the commands that change its lock; with
    a recovery sheet also where its relay is silent.
    """
    session = session_of(context)
    ask = partial(ask_passphrase, session.passphrase_fd)
    with open_unlocked(session.settings, ask, sheet) as opened:
        device, unlocked = opened
        freed = was_freed(unlocked.home)
        if freed or unlocked.missed:
            _tell_of_missed(unlocked.missed, own_name(device), freed=freed)
            forget_freed(unlocked.home)
        yield opened


@contextmanager
def new_device(context: typer.Context) -> Iterator[Device]:
    """A new, empty device in ENTRENOUS_HOME; what stops it before it is anybody's leaves none.

    Raises:
        VaultExists, WeakPassphrase, NoPassphrase, PassphrasesDiffer.
    """
    with device_to_link(context) as (device, _):
        yield device


@contextmanager
def device_to_link(context: typer.Context) -> Iterator[tuple[Device, Callable[[Home], None]]]:
    """As :func:`new_device`, with what locks it at a mailbox of its own before it is anybody's."""
    session = session_of(context)
    ask = partial(new_passphrase, session.passphrase_fd)
    with stopped_like_ctrl_c(), create_to_link(session.settings, ask) as new:
        yield new


def _tell_of_missed(tries: int, name: str, *, freed: bool) -> None:
    """``freed``: a recovery sheet gave tries back, of which nobody knows how many were left."""
    if freed:
        hint(
            "Since you last opened this device its recovery sheet allowed ten more tries. Before, "
            "up to ten at its passphrase had opened nothing."
        )
    if tries:
        count = "1 try" if tries == 1 else f"{tries} tries"
        since = "after that" if freed else "since you last opened it"
        hint(f"{count} at this device's passphrase opened nothing {since}.")
    hint("A mistyped word counts, and so does a command that was cut short.")
    hint(
        "If that was not you, somebody may have a copy of this device's folder. Another passphrase "
        "shuts every copy from before: entrenous passphrase change. If the device itself is gone, "
        f"revoke it from another one of yours: entrenous device revoke {as_typed(name)} --lost"
    )
