"""Read pictures, clips and sounds that a person names, and name the file in an error message."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from entrenous.base.audio_video import NoFrames, NotASound
from entrenous.base.errors import EntrenousError
from entrenous.base.picture import EmptyFile, NotAPicture, NothingToSee
from entrenous.media.file_kind import is_animated
from entrenous.terminal.output import hint, single_line
from entrenous.terminal.output_files import read_file

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
    stills = [str(path) for path, data in files if is_animated(data)]
    for still in stills:
        hint(
            f"{single_line(still)} moves; only its first picture is sent. To send it moving, save it"
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
