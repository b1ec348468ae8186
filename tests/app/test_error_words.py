"""An error page never shows the text of an unexpected exception, which may be private."""

import errno

import pytest

from entrenous.app.web import error_words
from entrenous.base.errors import DiskFailed, DiskFull

SECRET = "the beach at Nice"


@pytest.mark.parametrize("fault", [KeyError(SECRET), OSError(errno.ENOENT, "no file", SECRET)])
def test_a_fault_is_named_by_its_class_alone(fault: Exception) -> None:
    words = error_words(fault)
    assert SECRET not in words
    assert words.startswith(f"This is a fault in Entrenous ({type(fault).__name__})")


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, DiskFull()), (errno.EDQUOT, DiskFull()), (errno.EIO, DiskFailed())],
)
def test_a_full_or_failing_disk_is_explained(number: int, error: Exception) -> None:
    assert error_words(OSError(number, "", SECRET)) == " ".join(str(error).split())
