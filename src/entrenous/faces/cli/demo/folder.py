"""The demonstration's folder: emptied before each run, and nobody else's folder ever."""

import shutil
from pathlib import Path
from typing import Final

from entrenous.model.demo import NotOurs
from entrenous.model.picture import UnwritableFolder

MARKER: Final = ".entrenous-demo"
_TOLD: Final = "A demonstration of Entrenous made this folder, and the next one empties it.\n"


def fresh_folder(out: Path) -> None:
    """Make the folder, or empty the one that an earlier demonstration made.

    Only a file of our own says that a demonstration made it: names such as "summary.json" or
    "photo.jpg" may be anybody's.

    Raises:
        NotOurs: it holds something, and no demonstration made it; nothing was touched.
        UnwritableFolder: it cannot be made or emptied.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        left = list(out.iterdir())
        if left and not (out / MARKER).is_file():
            raise NotOurs(path=out)
        (out / MARKER).write_text(_TOLD, encoding="utf-8")
        for place in left:
            _remove(place)
    except OSError:
        raise UnwritableFolder(path=out) from None


def _remove(place: Path) -> None:
    """A link is removed, not what it leads to; the marker stays, in case we are interrupted."""
    if place.name == MARKER:
        return
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink()
