"""The body that reports the progress of an upload has exactly two counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.errors import NotUnderstood
from entrenous.wire.relay_json import read_upload_progress, write_upload_progress

counts = st.integers(0, 2**53 - 1)


@given(counts, counts)
def test_upload_progress_is_read_back(came: int, size: int) -> None:
    assert read_upload_progress(write_upload_progress(came, size)) == (came, size)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b'{"came":1}', b'{"came":1,"size":2,"more":3}', b'{"came":-1,"size":2}'),
        *(
            b'{"came":"1","size":2}',
            b'{"came":1.5,"size":2}',
            b'{"came":1,"size":9007199254740992}',
        ),
    ],
)
def test_malformed_upload_progress_is_not_understood(body: bytes) -> None:
    with pytest.raises(NotUnderstood):
        read_upload_progress(body)


@given(st.binary(max_size=60))
def test_random_upload_progress_is_not_understood_or_not_negative(body: bytes) -> None:
    try:
        came, size = read_upload_progress(body)
    except NotUnderstood:
        return
    assert min(came, size) >= 0
