"""Open a relay: its database, its blobs. It has no way to a key."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from entrenous.adapters.blobs.files import FileBlobs
from entrenous.adapters.mail.sqlite import open_mail
from entrenous.adapters.system import SystemClock, SystemDice
from entrenous.ports import Relay
from entrenous.wiring.folders import kept_in


@contextmanager
def open_relay(folder: Path) -> Iterator[Relay]:
    """The relay whose database and blobs are in ``folder``, made if they are missing.

    Raises:
        UnusableFolder, DiskFull, NewerDatabase.
    """
    with kept_in(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        blobs = FileBlobs(folder / "blobs")
        opened = open_mail(folder / "mail.db")
    with closing(opened) as mail:
        yield Relay(mail, blobs, SystemClock(), SystemDice())
