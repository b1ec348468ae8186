"""The size of a test run: a selection for ``make test``, and everything for ``make nightly``.

The assertions are the same at both sizes; only counts, seeds and repetitions differ. A test or a
parameter that only ``make nightly`` runs has the mark ``nightly``.
"""

import os
from typing import Final, TypeVar

NIGHTLY: Final = os.environ.get("ENTRENOUS_NIGHTLY", "") not in {"", "0"}

T = TypeVar("T")


def size(each_change: T, nightly: T) -> T:
    """Return the count to use in this run.

    ``each_change`` is for ``make test``, ``nightly`` for ``make nightly``.
    """
    return nightly if NIGHTLY else each_change
