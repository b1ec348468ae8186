"""An error page never shows the text of an unexpected exception, which may be private."""

import errno

import pytest

from entrenous.app.web import error_words
from entrenous.base.errors import DiskFailed, DiskFull

SECRET = "the beach at Nice"


@pytest.mark.parametrize("exception", [KeyError(SECRET), OSError(errno.ENOENT, "no file", SECRET)])
def test_unexpected_exception_shows_only_its_class(exception: Exception) -> None:
    words = error_words(exception)
    assert SECRET not in words
    assert words.startswith(f"This is a fault in Entrenous ({type(exception).__name__})")


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, DiskFull()), (errno.EDQUOT, DiskFull()), (errno.EIO, DiskFailed())],
)
def test_a_full_or_failing_disk_is_explained(number: int, error: Exception) -> None:
    assert error_words(OSError(number, "", SECRET)) == " ".join(str(error).split())
