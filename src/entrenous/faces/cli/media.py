"""Pictures, clips and sounds that a person names: read, and called by name when one is refused."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from entrenous.craft.media.moves import moves
from entrenous.faces.cli.output import hint, in_a_line, read_file
from entrenous.model.clip import NoFrames
from entrenous.model.errors import EntrenousError
from entrenous.model.media_file import EmptyFile, NothingToSee
from entrenous.model.picture import NotAPicture
from entrenous.model.sound import NotASound

# Each speaks of the one kind as which a file was tried last; FramesUnknown, a NoFrames, and
# SoundUnknown, a NotASound, are kept, because they say what is in the way.
_IS_NONE: Final = (NotAPicture, NoFrames, NotASound)


def read_media(path: Path) -> bytes:
    """A file's bytes, of which there are some.

    Raises:
        EmptyFile; what :func:`.output.read_file` raises.
    """
    data = read_file(path)
    if not data:
        raise EmptyFile(path=path)
    return data


def tell_of_stills(files: Iterable[tuple[Path, bytes]]) -> list[str]:
    """Say of each picture that moves that only its first one is sent, before it goes; they are
    returned as the person typed them, for ``first_picture_only`` of ``--json``.
    """
    stills = [str(path) for path, data in files if moves(data)]
    for still in stills:
        hint(
            f"{in_a_line(still)} moves; only its first picture is sent. To send it moving, save it"
            " as MP4."
        )
    return stills


@contextmanager
def one_of_ours(path: Path) -> Iterator[None]:
    """Say of a file that is no picture, clip or sound that it is none, by its name.

    Raises:
        NothingToSee; everything else as it is.
    """
    try:
        yield
    except _IS_NONE as error:
        if type(error) in _IS_NONE:
            raise NothingToSee(path=path) from None
        raise


@contextmanager
def naming(files: Sequence[Path]) -> Iterator[None]:
    """Say which of these files a refusal is about, as the person typed it: on standard error, and
    in no log.

    Raises:
        NothingToSee: in that file there is no picture, clip or sound that we read.
        Everything else as it is.
    """
    try:
        yield
    except EntrenousError as error:
        if error.file is None:
            raise
        path = files[error.file]
        if type(error) in _IS_NONE:
            raise NothingToSee(path=path) from None
        hint(f"{path}:")
        raise
