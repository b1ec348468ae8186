"""Fuzz one target: ``python -m tests.fuzz.one MODULE TARGET [options of libFuzzer]``.

``tests/fuzz/run.py`` starts this program, and libFuzzer ends it. The byte code of this project, of
python-multipart and of tomllib is instrumented; compiled code cannot be.
"""

import importlib
import logging
import sys
from random import Random

import atheris

_INSTRUMENTED_PACKAGES = ["entrenous", "python_multipart", "tomllib"]
# libFuzzer makes a change with a probability of one in this number. Otherwise the target makes it.
_LIBFUZZER_CHANGE_ONE_IN = 4


def main(arguments: list[str]) -> None:
    """Fuzz a target until libFuzzer ends the process."""
    logging.disable(logging.CRITICAL)
    program, module, name, *options = arguments
    # Only modules that are first imported in this block are instrumented.
    with atheris.instrument_imports(include=_INSTRUMENTED_PACKAGES, enable_loader_override=False):
        targets_module = importlib.import_module(module)
    target = {one.name: one for one in targets_module.TARGETS}[name]

    rng = Random()  # created only once, because seeding takes time

    def change(data: bytes, input_bytes_max: int, _seed: int) -> bytes:
        if rng.randrange(_LIBFUZZER_CHANGE_ONE_IN) == 0:
            return bytes(atheris.Mutate(data, input_bytes_max))
        return target.change(data, rng)[:input_bytes_max]

    def read_and_check(data: bytes) -> None:
        target.read_and_check(data)

    atheris.Setup([program, *options], read_and_check, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
