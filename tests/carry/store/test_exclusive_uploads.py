"""Tests of limits on concurrent uploads: per name, and optionally per owner and in total."""

from contextlib import ExitStack

import pytest

from entrenous.base.errors import TooMany
from entrenous.carry.store.file_blobs import ExclusiveUploads


def test_concurrent_uploads_are_limited_per_name_per_owner_and_in_all() -> None:
    uploads = ExclusiveUploads(5, 2)
    for _ in range(3):
        with ExitStack() as reserved:
            for name, owner in (("a", b"1"), ("b", b"1"), ("c", b"2")):
                reserved.enter_context(uploads.reserve(name, owner))
            for name, owner in (("d", b"1"), ("c", b"3")):
                with pytest.raises(TooMany), uploads.reserve(name, owner):
                    pass
            reserved.enter_context(uploads.reserve("d", b"3"))
            reserved.enter_context(uploads.reserve("e", b"3"))
            with pytest.raises(TooMany), uploads.reserve("f", b"4"):
                pass
    assert not uploads._owned


def test_failed_upload_frees_its_place() -> None:
    uploads = ExclusiveUploads(9, 1)
    with pytest.raises(ConnectionError), uploads.reserve("a", b"1"):
        raise ConnectionError
    with uploads.reserve("b", b"1"):
        pass


def test_uploads_without_limits_are_not_limited_per_owner() -> None:
    uploads = ExclusiveUploads()
    with ExitStack() as reserved:
        for number in range(99):
            reserved.enter_context(uploads.reserve(str(number), b"1"))
