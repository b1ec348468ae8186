"""Upload slots are limited, in all and per owner."""

from contextlib import ExitStack

import pytest

from entrenous.base.errors import TooMany
from entrenous.carry.store.file_blobs import ExclusiveUploads


def test_upload_slots_are_limited_per_owner_and_in_all_and_freed() -> None:
    writer = ExclusiveUploads(5, 2)
    for _ in range(3):
        with ExitStack() as going:
            for name, owner in (("a", b"1"), ("b", b"1"), ("c", b"2")):
                going.enter_context(writer.reserve(name, owner))
            for name, owner in (("d", b"1"), ("c", b"3")):
                with pytest.raises(TooMany), writer.reserve(name, owner):
                    pass
            going.enter_context(writer.reserve("d", b"3"))
            going.enter_context(writer.reserve("e", b"3"))
            with pytest.raises(TooMany), writer.reserve("f", b"4"):
                pass
    assert not writer._owned


def test_failed_upload_frees_its_slot() -> None:
    writer = ExclusiveUploads(9, 1)
    with pytest.raises(ConnectionError), writer.reserve("a", b"1"):
        raise ConnectionError
    with writer.reserve("b", b"1"):
        pass


def test_unlimited_store_does_not_limit_one_owner() -> None:
    writer = ExclusiveUploads()
    with ExitStack() as going:
        for number in range(99):
            going.enter_context(writer.reserve(str(number), b"1"))
