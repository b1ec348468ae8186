"""Files that only their owner can read, whole on disk or not there at all."""

import os
from pathlib import Path


def write_private(place: Path, data: bytes) -> None:
    """Write ``data`` to ``place``, mode 0600; when this returns it is durable.

    A crash leaves the old file or the new one, never half of it.
    """
    fresh = place.with_name(f".{place.name}.new")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(place)
        sync_folder(place.parent)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Make a rename or a removal in this folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
