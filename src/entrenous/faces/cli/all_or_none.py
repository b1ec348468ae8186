"""The files of one message, or of one item of evidence, written to a folder: all, or none."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from entrenous.adapters.private_file import sync_folder
from entrenous.faces.cli.output import fill_new, hint, write_new
from entrenous.model.picture import AlreadyThere
from entrenous.model.relay_problem import DiskFull


class AllOrNone:
    """Files to be written, and those of them that this command has made.

    What opens once is over when all of it was shown. Were a part of it left behind by an opening
    that failed, it could be seen in parts, and opened again.
    """

    def __init__(self) -> None:
        self.places = list[Path]()
        self._wanted = list[tuple[Path, int, Callable[[BinaryIO], None]]]()
        self._made = list[Path]()

    def want(self, place: Path, size: int, fill: Callable[[BinaryIO], None]) -> None:
        """One more file, of so many bytes, that ``fill`` writes."""
        self._wanted.append((place, size, fill))

    def write(self) -> None:
        """Write them, once it is seen that no name is taken.

        Raises:
            AlreadyThere, DiskFull, UnwritableFolder; what the files' ``fill`` raises.
        """
        for place, size, _ in self._wanted:
            _refuse_taken(place, size)
        for place, _, fill in self._wanted:
            if fill_new(place, fill):
                self._made.append(place)
            self.places.append(place)

    @contextmanager
    def unless(self, over: Callable[[], bool]) -> Iterator[None]:
        """On any failure, a Ctrl-C among them, take away what was made, unless it is all there is
        left of the message: ``over`` says so.
        """
        try:
            yield
        except BaseException:
            if not over():
                self._take_away()
            raise

    def _take_away(self) -> None:
        """Only what this made: the others were there before."""
        for place in self._made:
            try:
                place.unlink(missing_ok=True)
            except OSError:
                hint(f"{place} was written before that, and could not be removed again.")
        for folder in {place.parent for place in self._made}:
            with suppress(OSError):
                sync_folder(folder)


def _refuse_taken(place: Path, size: int) -> None:
    """Raises AlreadyThere where something is that can not be this file from an earlier opening."""
    if os.path.lexists(place) and (
        place.is_symlink() or not place.is_file() or place.stat().st_size != size
    ):
        raise AlreadyThere(path=place)


def insist_on_room(folder: Path, size: int) -> None:
    """See that ``folder`` can be made and written to, and has room for so many bytes; it is left as
    it was.

    Raises:
        UnwritableFolder, DiskFull.
    """
    new = [one for one in (folder, *folder.parents) if not os.path.lexists(one)]
    trial = folder / f".entrenous-{secrets.token_hex(16)}"  # a name that nobody can occupy
    try:
        write_new(trial, b"?")
        room = shutil.disk_usage(folder)
        if room.total and room.free < size:  # some file systems know neither
            raise DiskFull
    finally:
        with suppress(OSError):
            trial.unlink(missing_ok=True)
            for made in new:
                made.rmdir()
