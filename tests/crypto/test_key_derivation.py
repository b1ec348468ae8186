"""Tests of key streams, of content and blob keys, and of the ids of share groups."""

import hmac
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import EnvelopeId, MessageId, PersonId
from entrenous.base.secret import Secret
from entrenous.crypto.key_derivation import (
    blob_key,
    content_key,
    derive,
    derive_key_stream,
    share_group_id,
)

SEED = Secret(bytes(range(32)))


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_a_longer_stream_begins_with_the_shorter(one: int, other: int) -> None:
    short, long = sorted((one, other))
    assert derive_key_stream(SEED, b"copy", long)[:short] == derive_key_stream(SEED, b"copy", short)


def test_a_stream_never_changes() -> None:
    """Marks sent years ago must still be found, so this value must never change."""
    assert derive_key_stream(SEED, b"copy", 16).hex() == "f45b4fd689a985c1ed6799a9603866e8"


def test_streams_of_other_seeds_and_contexts_are_unrelated() -> None:
    ours = np.unpackbits(np.frombuffer(derive_key_stream(SEED, b"copy", 80_000), np.uint8))
    for other in (
        derive_key_stream(SEED, b"dither", 80_000),
        derive_key_stream(Secret(bytes(32)), b"copy", 80_000),
    ):
        theirs = np.unpackbits(np.frombuffer(other, np.uint8))
        # Two unrelated streams agree in half of 640,000 bits, to within 5 standard deviations.
        assert abs(np.mean(ours == theirs) - 0.5) < 5 * 0.5 / np.sqrt(640_000)


def test_a_stream_is_fast_enough_for_large_pictures() -> None:
    began = time.process_time()
    derive_key_stream(SEED, b"copy", 8_000_000)
    assert time.process_time() - began < 1.0


def content_key_with(**changed: object) -> Secret:
    parts: dict[str, object] = {
        "secret": Secret(b"s" * 32),
        "share": Secret(b"h" * 32),
        "message": MessageId(b"m" * 16),
        "envelope": EnvelopeId(b"e" * 16),
        "manifest": b"manifest",
    }
    return content_key(**(parts | changed))  # type: ignore[arg-type]


@pytest.mark.threat("identity-misbinding")
@pytest.mark.parametrize(
    "changed",
    [
        {"secret": Secret(b"x" * 32)},
        {"share": Secret(b"x" * 32)},
        {"message": MessageId(b"x" * 16)},
        {"envelope": EnvelopeId(b"x" * 16)},
        {"manifest": b"another"},
        {"secret": Secret(b"h" * 32), "share": Secret(b"s" * 32)},
    ],
)
def test_every_part_of_a_content_key_counts(changed: dict[str, object]) -> None:
    assert len(content_key_with()) == 32
    assert content_key_with() == content_key_with()
    assert content_key_with(**changed) != content_key_with()


@pytest.mark.parametrize("changed", [{"secret": Secret(b"s" * 31)}, {"share": Secret(b"h" * 33)}])
def test_secret_or_share_of_another_length_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        content_key_with(**changed)


def test_every_blob_has_a_key_of_its_own() -> None:
    keys = [blob_key(content_key_with(), place).reveal() for place in range(65)]
    assert len({*keys, content_key_with().reveal()}) == 66
    assert blob_key(content_key_with(manifest=b"another"), 0).reveal() not in keys
    with pytest.raises(OverflowError):
        blob_key(content_key_with(), -1)


def test_another_context_or_salt_gives_another_key() -> None:
    assert derive(SEED, b"one") != derive(SEED, b"two")
    assert derive(SEED, b"one") != derive(SEED, b"one", salt=b"salt")


def test_share_group_id_depends_on_message_and_person() -> None:
    """The expected id is computed with HKDF step by step."""
    ana, ben = PersonId(b"A" * 32), PersonId(b"B" * 32)
    one, two = Secret(bytes(32)), Secret(bytes([1]) * 32)
    groups = {share_group_id(secret, person) for secret in (one, two) for person in (ana, ben)}
    assert len(groups) == 4
    assert {len(group) for group in groups} == {16}
    pseudorandom = hmac.digest(bytes(32), bytes(32), "sha256")
    info = b"entrenous/2 share group\x00" + ana + b"\x01"
    assert share_group_id(one, ana) == hmac.digest(pseudorandom, info, "sha256")[:16]
