"""Read media files named by the user, and name the file that an error is about."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from entrenous.base.audio_video import NoSoundFound, NoVideoFound
from entrenous.base.errors import EntrenousError
from entrenous.base.language import translated
from entrenous.base.picture import EmptyFile, NoMediaFound, NotAPicture
from entrenous.media.file_kind import is_animated
from entrenous.terminal.output import hint, single_line
from entrenous.terminal.output_files import read_file

# These errors mean that a file is of no supported kind. Subclasses such as UnsupportedVideoCodec
# are left alone, because their messages say more.
_UNSUPPORTED_KIND_ERRORS: Final = (NotAPicture, NoVideoFound, NoSoundFound)


def read_nonempty_file(path: Path) -> bytes:
    """Return a file's content.

    Raises EmptyFile, and what :func:`.output_files.read_file` raises.
    """
    data = read_file(path)
    if not data:
        raise EmptyFile(path=path)
    return data


def hint_animated_pictures(files: Iterable[tuple[Path, bytes]]) -> list[str]:
    """For each animated picture, print a hint that only its first frame will be sent.

    Returns: the paths of these pictures as they were typed, for the member ``first_picture_only``
    of the answer to ``--json``.
    """
    stills = [str(path) for path, data in files if is_animated(data)]
    for path in stills:
        hint(
            translated(
                "{path} moves; only its first picture is sent. To send it moving, save it as MP4."
            ).format(path=single_line(path))
        )
    return stills


@contextmanager
def translate_unsupported_kind_errors(path: Path) -> Iterator[None]:
    """Raise NoMediaFound if the block finds that the file is not a picture, clip or sound.

    Raises:
        NoMediaFound. Other errors are passed on unchanged.
    """
    try:
        yield
    except _UNSUPPORTED_KIND_ERRORS as error:
        if type(error) in _UNSUPPORTED_KIND_ERRORS:
            raise NoMediaFound(path=path) from None
        raise


@contextmanager
def name_file_on_error(files: Sequence[Path]) -> Iterator[None]:
    """If the block raises an error about one of these files, print which one.

    The name is printed to standard error and never written to a log.

    Raises:
        NoMediaFound: that file is not a supported picture, clip or sound.
        Other errors are passed on unchanged.
    """
    try:
        yield
    except EntrenousError as error:
        if error.file is None:
            raise
        path = files[error.file]
        if type(error) in _UNSUPPORTED_KIND_ERRORS:
            raise NoMediaFound(path=path) from None
        hint(f"{path}:")
        raise
