"""The limit on the bytes that one token uploads concurrently."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.errors import TooMany
from entrenous.carry.send_tokens import UploadsInProgress


def test_upload_limit_applies_to_each_token_separately() -> None:
    uploads = UploadsInProgress(100)
    with uploads.admit_upload(b"a", 60):
        with pytest.raises(TooMany) as error, uploads.admit_upload(b"a", 41):
            pass
        assert error.value.facts == {"retry_after_s": 60}
        with uploads.admit_upload(b"a", 40), uploads.admit_upload(b"b", 100):
            assert len(uploads) == 2
    with uploads.admit_upload(b"a", 100):
        pass
    assert len(uploads) == 0


def test_single_upload_of_a_token_may_exceed_the_limit() -> None:
    with UploadsInProgress(100).admit_upload(b"a", 10_000):
        pass


def test_failed_upload_no_longer_counts() -> None:
    uploads = UploadsInProgress(100)
    with pytest.raises(ConnectionError), uploads.admit_upload(b"a", 100):
        raise ConnectionError
    assert len(uploads) == 0


@given(st.lists(st.integers(1, 60), max_size=12))
def test_concurrent_uploads_never_exceed_the_limit(sizes: list[int]) -> None:
    uploads, admitted_bytes, admitted = UploadsInProgress(100), 0, []
    for size in sizes:
        upload = uploads.admit_upload(b"a", size)
        try:
            upload.__enter__()
        except TooMany:
            assert admitted_bytes + size > 100
        else:
            admitted_bytes += size
            admitted.append((upload, size))
    assert admitted_bytes <= 100
    for upload, _ in admitted:
        upload.__exit__(None, None, None)
    assert len(uploads) == 0
