"""Files at rest open only with the name and the key with which they were sealed."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import seal_file, seal_stream, unseal_file, unseal_stream
from entrenous.crypto.nouns import DecryptionFailed

KEY = Secret(b"k" * 32)


@given(st.binary(max_size=100_000), st.binary(max_size=32))
def test_sealed_file_unseals(data: bytes, name: bytes) -> None:
    sealed = seal_file(KEY, data, name)
    assert unseal_file(KEY, sealed, name) == data
    if len(data) > 16:
        # The header of an age file is plain text, and might contain the data by chance.
        assert data not in sealed.partition(b"\n--- ")[2]


def test_wrong_key_name_or_length_does_not_unseal() -> None:
    sealed = seal_file(KEY, b"picture" * 20_000, b"name")
    for key, name, file in (
        (Secret(b"l" * 32), b"name", sealed),
        (KEY, b"other", sealed),
        (KEY, b"", sealed),
        (KEY, b"name", sealed[:-1]),
        (KEY, b"name", sealed[: len(sealed) // 2]),
        (KEY, b"name", sealed + b"\x00"),
    ):
        with pytest.raises(DecryptionFailed):
            unseal_file(key, file, name)


def test_streams_and_files_have_one_format() -> None:
    written, read = io.BytesIO(), io.BytesIO()
    seal_stream(KEY, io.BytesIO(b"picture" * 20_000), written, b"name")
    assert unseal_file(KEY, written.getvalue(), b"name") == b"picture" * 20_000
    for key, name in ((Secret(b"l" * 32), b"name"), (KEY, b"other")):
        with pytest.raises(DecryptionFailed):
            unseal_file(key, written.getvalue(), name)
    unseal_stream(KEY, io.BytesIO(seal_file(KEY, b"picture", b"name")), read, b"name")
    assert read.getvalue() == b"picture"
    with pytest.raises(DecryptionFailed):
        unseal_stream(KEY, io.BytesIO(written.getvalue()), io.BytesIO())


def test_sealing_twice_gives_different_bytes() -> None:
    assert seal_file(KEY, b"picture", b"name") != seal_file(KEY, b"picture", b"name")
