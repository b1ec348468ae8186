"""Which program, in which surroundings, made a finding: whoever repeats it needs to know."""

import os
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

import cv2
import numpy as np

from entrenous.craft.crypto.hashing import sha256

_PACKAGES: Final = {
    "entrenous": "entrenous",
    "numpy": "numpy",
    "scipy": "scipy",
    "pillow": "pillow",
}


def made_with() -> Mapping[str, str]:
    """Versions by name, what of the processor NumPy uses (its sums differ in their last bits), and
    under ``program`` the SHA-256 of Entrenous's own source files.
    """
    return {
        **{name: version(package) for name, package in _PACKAGES.items()},
        "opencv": cv2.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processors": str(os.cpu_count()),
        "simd": " ".join(np.show_config(mode="dicts")["SIMD Extensions"]["found"]),
        "program": program_sha256(),
    }


def program_sha256() -> str:
    """SHA-256 over the sorted list of "SHA-256 of a source file, its path" lines, hexadecimal."""
    lines = sorted(f"{path} {sha256(data).hex()}\n" for path, data in _sources(files("entrenous")))
    return sha256("".join(lines).encode()).hex()


def _sources(folder: Traversable, under: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        path = f"{under}{entry.name}"
        if entry.is_dir():
            yield from _sources(entry, f"{path}/")
        elif path.endswith(".py"):
            yield path, entry.read_bytes()
