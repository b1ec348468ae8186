"""Fuzz one target: ``python -m tests.fuzz.one MODULE TARGET [options of libFuzzer]``.

A process of its own: libFuzzer ends it, whatever happens. Our byte code is instrumented, and that
of the two parsers of others that are written in Python; what is compiled tells nothing of its
branches. ``tests/fuzz/run.py`` starts it.
"""

import importlib
import logging
import sys
from random import Random

import atheris

_PARSERS = ["entrenous", "python_multipart", "tomllib"]
_BLIND = 4  # one in so many inputs is left to libFuzzer's own changes, which know its corpus


def main(arguments: list[str]) -> None:
    """Fuzz until libFuzzer ends it."""
    logging.disable(logging.CRITICAL)
    program, module, name, *options = arguments
    # Nothing of ours is imported before: what is, stays as it was.
    with atheris.instrument_imports(include=_PARSERS, enable_loader_override=False):
        room = importlib.import_module(module)
    target = {one.name: one for one in room.TARGETS}[name]

    rng = Random()  # once: seeding it for each input takes as long as many a reader does

    def change(data: bytes, longest: int, _seed: int) -> bytes:
        if rng.randrange(_BLIND) == 0:
            return bytes(atheris.Mutate(data, longest))
        return target.change(data, rng)[:longest]

    def take(data: bytes) -> None:
        target.take(data)

    atheris.Setup([program, *options], take, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
