"""Compute the record (the features) of each picture once, however often tests send it."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from entrenous.base.picture import Picture, PictureEncoding, PictureFormat
from entrenous.fingerprint.picture_record import make_picture_record
from entrenous.send.copies import picture_copies

_SAME_ENCODING = PictureEncoding(PictureFormat.PNG)
_cached_records: dict[Picture, bytes] = {}


def _cached_record(picture: Picture) -> bytes:
    key = replace(picture, encoding=_SAME_ENCODING)
    if key not in _cached_records:
        _cached_records[key] = make_picture_record(picture)
    return _cached_records[key]


@pytest.fixture(scope="module", autouse=True)
def cache_picture_records() -> Iterator[None]:
    """Compute the record of each picture only once, because most tests send the same photo."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture_copies, "make_picture_record", _cached_record)
        yield
