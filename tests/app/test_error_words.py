"""Tests of the words on error pages: private texts stay hidden, and disk errors are explained."""

import errno

import pytest

from entrenous.app.web import error_words
from entrenous.base.errors import DiskFailed, DiskFull

PRIVATE_TEXT = "the beach at Nice"


@pytest.mark.parametrize(
    "exception", [KeyError(PRIVATE_TEXT), OSError(errno.ENOENT, "no file", PRIVATE_TEXT)]
)
def test_unexpected_exception_shows_its_class_and_not_its_text(exception: Exception) -> None:
    words = error_words(exception)
    assert PRIVATE_TEXT not in words
    assert words.startswith(f"This is a fault in Entrenous ({type(exception).__name__})")


@pytest.mark.parametrize(
    ("error_number", "error"),
    [(errno.ENOSPC, DiskFull()), (errno.EDQUOT, DiskFull()), (errno.EIO, DiskFailed())],
)
def test_a_full_or_failing_disk_is_explained(error_number: int, error: Exception) -> None:
    assert error_words(OSError(error_number, "", PRIVATE_TEXT)) == " ".join(str(error).split())
