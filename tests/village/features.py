"""Compute the features of each picture once, however often tests send it."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from entrenous.base.picture import Picture, PictureEncoding, PictureFormat
from entrenous.fingerprint.picture_record import make_picture_record
from entrenous.send.copies import picture_copies

_SAME_ENCODING = PictureEncoding(PictureFormat.PNG)
_cached_records: dict[Picture, bytes] = {}


def _cached_record(picture: Picture) -> bytes:
    bare = replace(picture, encoding=_SAME_ENCODING)
    if bare not in _cached_records:
        _cached_records[bare] = make_picture_record(picture)
    return _cached_records[bare]


@pytest.fixture(scope="module", autouse=True)
def cache_picture_records() -> Iterator[None]:
    """Cache the records of pictures: most tests send the same photo."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture_copies, "make_picture_record", _cached_record)
        yield
