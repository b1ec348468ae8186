"""Open a relay: its database, its blobs. It has no way to a key."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from entrenous.adapters.bell.local import LocalBell
from entrenous.adapters.blobs.files import FileBlobs
from entrenous.adapters.mail.sqlite import open_mail
from entrenous.adapters.system import SystemClock, SystemDice
from entrenous.model.relay_settings import Limits, NoRelayHere
from entrenous.ports import Relay
from entrenous.wiring.folders import kept_in

MAIL: Final = "mail.db"


@contextmanager
def open_relay(
    folder: Path, limits: Limits | None = None, *, upgrade: bool = True
) -> Iterator[Relay]:
    """The relay whose database and blobs are in ``folder``, made if they are missing.

    A database of an earlier version is brought up to date, if ``upgrade`` is set.

    Raises:
        UnusableFolder, DiskFull, DiskFailed, NewerDatabase, OlderDatabase.
    """
    with kept_in(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        blobs = FileBlobs(folder / "blobs")
        opened = open_mail(folder / MAIL, upgrade=upgrade)
    with closing(opened) as mail:
        yield Relay(mail, blobs, SystemClock(), SystemDice(), limits or Limits(), LocalBell())


@contextmanager
def open_present_relay(folder: Path) -> Iterator[Relay]:
    """The same, but nothing is made where there is no relay; it may be running.

    Raises:
        NoRelayHere: there is none.
        UnusableFolder, DiskFull, DiskFailed, NewerDatabase.
        OlderDatabase: only the start of a relay brings it up to date.
    """
    if not (folder / MAIL).is_file():
        raise NoRelayHere(path=folder)
    with open_relay(folder, upgrade=False) as relay:
        yield relay
