"""The bodies of the relay's HTTP interface are read back, and malformed bodies are refused."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from entrenous.base.errors import NotUnderstood
from entrenous.base.identifiers import BlobId, DeviceId, EnvelopeId, MailboxId
from entrenous.base.limits import VAULT_GENERATION_MAX
from entrenous.base.secret import Secret
from entrenous.wire import relay_json
from entrenous.wire.relay_nouns import (
    Envelope,
    EnvelopeState,
    EnvelopeStatus,
    PrekeyBundle,
    Prekeys,
    SendToken,
    ShareDeposit,
    UnlockAnswer,
    VaultUnlock,
    WaitingEnvelope,
)

ENVELOPE_ID, MAILBOX_ID, DEVICE_ID, TOKEN_HASH = (
    EnvelopeId(b"E" * 16),
    MailboxId(b"M" * 16),
    DeviceId(b"D" * 16),
    b"L" * 32,
)

bytes_16, bytes_32 = st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32)
signed_statements = st.binary(max_size=60)
timestamps = st.integers(0, 10**10).map(
    lambda s: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(0, s)
)
optional: Callable[[Any], Any] = lambda of: st.none() | of  # noqa: E731
share_and_hash = (bytes_32.map(Secret), bytes_32)
shares = st.builds(ShareDeposit, *share_and_hash, st.none(), st.none()) | st.builds(
    ShareDeposit, *share_and_hash, st.integers(1, 1000), bytes_16
)
blobs = st.lists(bytes_16.map(BlobId), max_size=5, unique=True).map(tuple)
sealed = st.binary(min_size=1, max_size=300)

BODY_FORMATS: dict[str, tuple[Any, Any, Any]] = {
    "mailbox token hashes": (
        st.tuples(bytes_32, st.none() | bytes_32),
        lambda locks: relay_json.write_mailbox_token_hashes(*locks),
        relay_json.read_mailbox_token_hashes,
    ),
    "unlock token hash": (
        bytes_32,
        relay_json.write_unlock_token_hash,
        relay_json.read_unlock_token_hash,
    ),
    "close token hash": (
        bytes_32,
        relay_json.write_close_token_hash,
        relay_json.read_close_token_hash,
    ),
    "blinded element": (
        bytes_32,
        relay_json.write_blinded_element,
        relay_json.read_blinded_element,
    ),
    "unlock answer": (
        st.builds(UnlockAnswer, bytes_32, st.integers(0, 10)),
        relay_json.write_unlock_answer,
        relay_json.read_unlock_answer,
    ),
    "vault unlock": (
        st.builds(
            VaultUnlock,
            st.integers(1, VAULT_GENERATION_MAX),
            bytes_16,
            st.lists(bytes_16, max_size=3).map(tuple),
        ),
        relay_json.write_vault_unlock,
        relay_json.read_vault_unlock,
    ),
    "prekeys": (
        st.builds(
            Prekeys,
            st.lists(signed_statements, max_size=4).map(tuple),
            signed_statements,
            signed_statements,
        ),
        relay_json.write_prekeys,
        relay_json.read_prekeys,
    ),
    "one-time key count": (
        st.integers(0, 2**53 - 1),
        relay_json.write_one_time_key_count,
        relay_json.read_one_time_key_count,
    ),
    "prekey bundle": (
        st.builds(
            PrekeyBundle,
            st.just(DEVICE_ID),
            optional(signed_statements),
            signed_statements,
            signed_statements,
        ),
        relay_json.write_prekey_bundle,
        partial(relay_json.read_prekey_bundle, device=DEVICE_ID),
    ),
    "token": (
        st.builds(
            SendToken, st.just(TOKEN_HASH), optional(st.integers(1, 9**9)), optional(timestamps)
        ),
        relay_json.write_send_token,
        partial(relay_json.read_send_token, lock=TOKEN_HASH),
    ),
    "envelope": (
        st.builds(
            Envelope,
            *map(st.just, (ENVELOPE_ID, MAILBOX_ID)),
            sealed,
            timestamps,
            bytes_32,
            optional(shares),
            blobs,
        ),
        relay_json.write_envelope,
        partial(relay_json.read_envelope, envelope=ENVELOPE_ID, mailbox=MAILBOX_ID),
    ),
    "waiting envelopes": (
        st.lists(
            st.builds(WaitingEnvelope, bytes_16, st.integers(0, 2**53 - 1), sealed, timestamps)
        ),
        relay_json.write_waiting_envelopes,
        relay_json.read_waiting_envelopes,
    ),
    "opening attempt": (
        bytes_16,
        relay_json.write_opening_attempt,
        relay_json.read_opening_attempt,
    ),
    "released share": (
        bytes_32.map(Secret),
        relay_json.write_released_share,
        relay_json.read_released_share,
    ),
    "envelope status": (
        st.builds(
            EnvelopeStatus,
            *(
                st.sampled_from(EnvelopeState),
                st.integers(0, 9),
                optional(timestamps),
                optional(timestamps),
            ),
        ),
        relay_json.write_envelope_status,
        relay_json.read_envelope_status,
    ),
}


@pytest.mark.parametrize("format_name", BODY_FORMATS)
@given(data=st.data())
def test_relay_body_is_read_back(format_name: str, data: st.DataObject) -> None:
    values, write, read = BODY_FORMATS[format_name]
    value = data.draw(values)
    assert read(write(value)) == value


@pytest.mark.parametrize("format_name", BODY_FORMATS)
@given(untrusted_body=st.binary(max_size=80))
def test_random_relay_body_is_not_understood(format_name: str, untrusted_body: bytes) -> None:
    # This token body is valid, and Hypothesis may try it, because it uses literals from our code.
    assume((format_name, untrusted_body) != ("token", b'{"uses":null,"expires_at":null}'))
    with pytest.raises(NotUnderstood):
        BODY_FORMATS[format_name][2](untrusted_body)


@pytest.mark.parametrize("format_name", BODY_FORMATS)
@given(data=st.data())
def test_body_with_one_changed_byte_is_valid_or_not_understood(
    format_name: str, data: st.DataObject
) -> None:
    values, write, read = BODY_FORMATS[format_name]
    body = bytearray(write(data.draw(values)))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        value = read(bytes(body))
    except NotUnderstood:
        return
    assert read(write(value)) == value


@pytest.mark.parametrize("format_name", BODY_FORMATS)
@given(data=st.data())
def test_one_member_more_or_less_is_not_understood(format_name: str, data: st.DataObject) -> None:
    values, write, read = BODY_FORMATS[format_name]
    members = msgspec.json.decode(write(data.draw(values)))
    with pytest.raises(NotUnderstood):
        read(msgspec.json.encode({**members, "more": 1}))
    members.pop(data.draw(st.sampled_from(sorted(members))))
    with pytest.raises(NotUnderstood):
        read(msgspec.json.encode(members))


def test_number_of_one_time_keys_is_limited_to_100() -> None:
    largest_set = Prekeys((b"",) * 100, b"", b"")
    assert relay_json.read_prekeys(relay_json.write_prekeys(largest_set)) == largest_set
    with pytest.raises(NotUnderstood):
        relay_json.read_prekeys(relay_json.write_prekeys(Prekeys((b"",) * 101, b"", b"")))


@pytest.mark.parametrize("opens", [0, 1001, -1, 1.5, "1", True])
def test_invalid_number_of_openings_is_not_understood(opens: object) -> None:
    deposit = ShareDeposit(Secret(bytes(32)), bytes(32), 1, bytes(16))
    noon = datetime(2026, 11, 25, 12, tzinfo=UTC)
    whole = Envelope(ENVELOPE_ID, MAILBOX_ID, b"x", noon, bytes(32), deposit)
    members = msgspec.json.decode(relay_json.write_envelope(whole))
    members["share"]["opens"] = opens
    with pytest.raises(NotUnderstood):
        relay_json.read_envelope(msgspec.json.encode(members), ENVELOPE_ID, MAILBOX_ID)
