"""The JSON bodies of requests to a relay and of its answers (docs/spec/relay.md sections 1 to 7 and
10).

Readers raise NotUnderstood for any other body.
"""

from datetime import datetime
from typing import Annotated, Final

import msgspec

from entrenous.base.errors import NotUnderstood
from entrenous.base.identifiers import ID_BYTES, BlobId, DeviceId, EnvelopeId, MailboxId
from entrenous.base.limits import (
    ONE_TIME_KEYS_MAX,
    OPENING_ATTEMPT_BYTES,
    SHARE_BYTES,
    TOKEN_BATCH_MAX,
    TOKEN_HASH_BYTES,
    UNANSWERED_UNLOCKS_MAX,
    UNLOCK_NUMBER_BYTES,
    UNLOCK_TRIES_MAX,
    VAULT_GENERATION_MAX,
)
from entrenous.base.program import UNKNOWN_VERSION, ProgramVersion
from entrenous.base.secret import Secret
from entrenous.wire.encodings import (
    JsonCount,
    StrictJson,
    UnixSeconds,
    construct,
    from_base64url,
    from_json,
    from_seconds,
    optional_from_base64url,
    optional_from_seconds,
    optional_to_base64url,
    optional_to_seconds,
    to_base64url,
    to_json,
    to_seconds,
)
from entrenous.wire.relay_nouns import (
    Envelope,
    EnvelopeState,
    EnvelopeStatus,
    PrekeyBundle,
    Prekeys,
    ProtocolVersions,
    SendToken,
    SendTokenChanges,
    ShareDeposit,
    UnlockAnswer,
    VaultUnlock,
    WaitingEnvelope,
)

RELAY_STATUS_SCHEMA: Final = "entrenous/relay-status/1"
_UNKNOWN_PROGRAM: Final = ProgramVersion()
_TokenHashes = Annotated[list[str], msgspec.Meta(max_length=TOKEN_BATCH_MAX)]


class _MailboxTokenHashesJson(StrictJson, frozen=True):
    owner_lock: str
    close_lock: str | None


class _PrekeysJson(StrictJson, frozen=True):
    # The relay stores at most 50 one-time keys; checking many more would be wasted work.
    one_time: Annotated[list[str], msgspec.Meta(max_length=2 * ONE_TIME_KEYS_MAX)]
    fallback: str
    xwing: str


class _OneTimeKeyCountJson(StrictJson, frozen=True):
    one_time: JsonCount


class _PrekeyBundleJson(StrictJson, frozen=True):
    one_time: str | None
    fallback: str
    xwing: str


class _SendTokenJson(StrictJson, frozen=True):
    uses: JsonCount | None
    expires_at: UnixSeconds | None


class _SendTokenChangesJson(StrictJson, frozen=True):
    add: _TokenHashes
    drop: _TokenHashes
    expires_at: UnixSeconds


class _SendTokenCountJson(StrictJson, frozen=True):
    held: JsonCount


class _ProtocolVersionsJson(StrictJson, frozen=True):
    floor: JsonCount
    newest: JsonCount


class _RelayStatusJson(StrictJson, frozen=True):
    schema: str
    protocol: _ProtocolVersionsJson
    restored_at: UnixSeconds | None
    version: str = UNKNOWN_VERSION
    commit: str = UNKNOWN_VERSION


def write_mailbox_token_hashes(owner_lock: bytes, close_lock: bytes | None) -> bytes:
    return to_json(
        _MailboxTokenHashesJson(to_base64url(owner_lock), optional_to_base64url(close_lock))
    )


def read_mailbox_token_hashes(untrusted_body: bytes) -> tuple[bytes, bytes | None]:
    """Return the hashes of a new mailbox's owner token and close token, 32 bytes each.

    The second hash is None if the mailbox has no close token.
    """
    read = from_json(_MailboxTokenHashesJson, untrusted_body)
    close_lock = (
        None if read.close_lock is None else from_base64url(read.close_lock, TOKEN_HASH_BYTES)
    )
    return from_base64url(read.owner_lock, TOKEN_HASH_BYTES), close_lock


def write_prekeys(prekeys: Prekeys) -> bytes:
    one_time = [to_base64url(signed) for signed in prekeys.one_time]
    return to_json(
        _PrekeysJson(one_time, to_base64url(prekeys.fallback), to_base64url(prekeys.xwing))
    )


def read_prekeys(untrusted_body: bytes) -> Prekeys:
    read = from_json(_PrekeysJson, untrusted_body)
    one_time = tuple(from_base64url(signed) for signed in read.one_time)
    return Prekeys(one_time, from_base64url(read.fallback), from_base64url(read.xwing))


def write_one_time_key_count(count: int) -> bytes:
    return to_json(_OneTimeKeyCountJson(count))


def read_one_time_key_count(untrusted_body: bytes) -> int:
    return from_json(_OneTimeKeyCountJson, untrusted_body).one_time


def write_prekey_bundle(bundle: PrekeyBundle) -> bytes:
    return to_json(
        _PrekeyBundleJson(
            optional_to_base64url(bundle.one_time),
            to_base64url(bundle.fallback),
            to_base64url(bundle.xwing),
        )
    )


def read_prekey_bundle(untrusted_body: bytes, device: DeviceId) -> PrekeyBundle:
    read = from_json(_PrekeyBundleJson, untrusted_body)
    one_time = optional_from_base64url(read.one_time)
    return PrekeyBundle(device, one_time, from_base64url(read.fallback), from_base64url(read.xwing))


def write_send_token(token: SendToken) -> bytes:
    return to_json(_SendTokenJson(token.uses, optional_to_seconds(token.expires_at)))


def read_send_token(untrusted_body: bytes, lock: bytes) -> SendToken:
    read = from_json(_SendTokenJson, untrusted_body)
    return construct(SendToken, lock, read.uses, optional_from_seconds(read.expires_at))


def write_send_token_changes(batch: SendTokenChanges) -> bytes:
    add, drop = ([to_base64url(lock) for lock in locks] for locks in (batch.add, batch.drop))
    return to_json(_SendTokenChangesJson(add, drop, to_seconds(batch.expires_at)))


def read_send_token_changes(untrusted_body: bytes) -> SendTokenChanges:
    read = from_json(_SendTokenChangesJson, untrusted_body)
    add, drop = (
        tuple(from_base64url(lock, TOKEN_HASH_BYTES) for lock in locks)
        for locks in (read.add, read.drop)
    )
    return construct(SendTokenChanges, add, drop, from_seconds(read.expires_at))


def write_send_token_count(count: int) -> bytes:
    return to_json(_SendTokenCountJson(count))


def read_send_token_count(untrusted_body: bytes) -> int:
    return from_json(_SendTokenCountJson, untrusted_body).held


def read_relay_status(untrusted_body: bytes) -> tuple[ProtocolVersions, datetime | None]:
    """Return the protocol versions that a relay speaks, and when the relay was last restored from a
    backup.

    The time is None if the relay was never restored.
    """
    read = from_json(_RelayStatusJson, untrusted_body)
    if read.schema != RELAY_STATUS_SCHEMA:
        raise NotUnderstood
    protocol = ProtocolVersions(read.protocol.floor, read.protocol.newest)
    return protocol, optional_from_seconds(read.restored_at)


def write_relay_status(
    protocol: ProtocolVersions,
    restored_at: datetime | None,
    program: ProgramVersion = _UNKNOWN_PROGRAM,
) -> bytes:
    """Encode a relay's protocol versions, its last restore, and its program.

    ``restored_at`` is None if the relay was never restored. Devices do not read the program's
    version.
    """
    versions, restored = (
        _ProtocolVersionsJson(protocol.floor, protocol.newest),
        optional_to_seconds(restored_at),
    )
    return to_json(
        _RelayStatusJson(RELAY_STATUS_SCHEMA, versions, restored, program.version, program.commit)
    )


class _ShareDepositJson(StrictJson, frozen=True):
    value: str
    open_lock: str
    opens: JsonCount | None
    group: str | None


class _EnvelopeJson(StrictJson, frozen=True):
    sealed: str
    expires_at: UnixSeconds
    withdraw_lock: str
    share: _ShareDepositJson | None
    blobs: list[str]


class _WaitingEnvelopeJson(StrictJson, frozen=True):
    envelope: str
    sequence: JsonCount
    sealed: str
    expires_at: UnixSeconds


class _WaitingPageJson(StrictJson, frozen=True):
    envelopes: list[_WaitingEnvelopeJson]


class _OpeningAttemptJson(StrictJson, frozen=True):
    attempt: str


class _ReleasedShareJson(StrictJson, frozen=True):
    share: str


class _EnvelopeStatusJson(StrictJson, frozen=True):
    state: EnvelopeState
    opened: JsonCount
    delivered_at: UnixSeconds | None
    opened_at: UnixSeconds | None


def write_envelope(envelope: Envelope) -> bytes:
    """Encode an envelope without its id and its mailbox, which are in the request's path."""
    share = None if envelope.share is None else _share_json(envelope.share)
    blobs = [to_base64url(blob) for blob in envelope.blobs]
    until, lock = to_seconds(envelope.expires_at), to_base64url(envelope.withdraw_lock)
    return to_json(_EnvelopeJson(to_base64url(envelope.sealed), until, lock, share, blobs))


def read_envelope(untrusted_body: bytes, envelope: EnvelopeId, mailbox: MailboxId) -> Envelope:
    read = from_json(_EnvelopeJson, untrusted_body)
    return construct(
        Envelope,
        *(envelope, mailbox, from_base64url(read.sealed), from_seconds(read.expires_at)),
        *(
            from_base64url(read.withdraw_lock, TOKEN_HASH_BYTES),
            None if read.share is None else _parse_share_deposit(read.share),
        ),
        tuple(BlobId(from_base64url(blob, ID_BYTES)) for blob in read.blobs),
    )


def write_waiting_envelopes(page: list[WaitingEnvelope]) -> bytes:
    letters = [
        _WaitingEnvelopeJson(
            to_base64url(one.id), one.sequence, to_base64url(one.sealed), to_seconds(one.expires_at)
        )
        for one in page
    ]
    return to_json(_WaitingPageJson(letters))


def read_waiting_envelopes(untrusted_body: bytes) -> list[WaitingEnvelope]:
    return [
        WaitingEnvelope(
            EnvelopeId(from_base64url(one.envelope, ID_BYTES)),
            one.sequence,
            from_base64url(one.sealed),
            from_seconds(one.expires_at),
        )
        for one in from_json(_WaitingPageJson, untrusted_body).envelopes
    ]


def write_opening_attempt(attempt: bytes) -> bytes:
    """Encode the body of the requests "open" and "finish"."""
    return to_json(_OpeningAttemptJson(to_base64url(attempt)))


def read_opening_attempt(untrusted_body: bytes) -> bytes:
    return from_base64url(
        from_json(_OpeningAttemptJson, untrusted_body).attempt, OPENING_ATTEMPT_BYTES
    )


def write_released_share(share: Secret) -> bytes:
    return to_json(_ReleasedShareJson(to_base64url(share.reveal())))


def read_released_share(untrusted_body: bytes) -> Secret:
    return Secret(from_base64url(from_json(_ReleasedShareJson, untrusted_body).share, SHARE_BYTES))


def write_envelope_status(status: EnvelopeStatus) -> bytes:
    delivered_at, opened_at = (
        optional_to_seconds(status.delivered_at),
        optional_to_seconds(status.opened_at),
    )
    return to_json(_EnvelopeStatusJson(status.state, status.opened, delivered_at, opened_at))


def read_envelope_status(untrusted_body: bytes) -> EnvelopeStatus:
    read = from_json(_EnvelopeStatusJson, untrusted_body)
    delivered_at, opened_at = (
        optional_from_seconds(read.delivered_at),
        optional_from_seconds(read.opened_at),
    )
    return EnvelopeStatus(read.state, read.opened, delivered_at, opened_at)


def _parse_share_deposit(read: _ShareDepositJson) -> ShareDeposit:
    value = Secret(from_base64url(read.value, SHARE_BYTES))
    group = None if read.group is None else from_base64url(read.group, ID_BYTES)
    return construct(
        ShareDeposit, value, from_base64url(read.open_lock, TOKEN_HASH_BYTES), read.opens, group
    )


def _share_json(deposit: ShareDeposit) -> _ShareDepositJson:
    group = None if deposit.group is None else to_base64url(deposit.group)
    return _ShareDepositJson(
        to_base64url(deposit.value.reveal()), to_base64url(deposit.open_lock), deposit.opens, group
    )


class _UploadProgressJson(StrictJson, frozen=True):
    came: JsonCount
    size: JsonCount


def write_upload_progress(came: int, size: int) -> bytes:
    return to_json(_UploadProgressJson(came, size))


def read_upload_progress(untrusted_body: bytes) -> tuple[int, int]:
    """Return the number of bytes that the relay has stored, and the blob's size in bytes."""
    upload = from_json(_UploadProgressJson, untrusted_body)
    return upload.came, upload.size


_OPRF_ELEMENT_BYTES: Final = 32


class _UnlockTokenHashJson(StrictJson, frozen=True):
    unlock_lock: str


class _CloseTokenHashJson(StrictJson, frozen=True):
    close_lock: str


class _BlindedElementJson(StrictJson, frozen=True):
    blinded: str


class _UnlockAnswerJson(StrictJson, frozen=True):
    evaluated: str
    tries: Annotated[int, msgspec.Meta(ge=0, le=UNLOCK_TRIES_MAX)]


class _VaultUnlockJson(StrictJson, frozen=True):
    generation: Annotated[int, msgspec.Meta(ge=1, le=VAULT_GENERATION_MAX)]
    opening: str
    before: Annotated[list[str], msgspec.Meta(max_length=UNANSWERED_UNLOCKS_MAX)]


def write_unlock_token_hash(token_hash: bytes) -> bytes:
    return to_json(_UnlockTokenHashJson(to_base64url(token_hash)))


def read_unlock_token_hash(untrusted_body: bytes) -> bytes:
    return from_base64url(
        from_json(_UnlockTokenHashJson, untrusted_body).unlock_lock, TOKEN_HASH_BYTES
    )


def write_close_token_hash(token_hash: bytes) -> bytes:
    return to_json(_CloseTokenHashJson(to_base64url(token_hash)))


def read_close_token_hash(untrusted_body: bytes) -> bytes:
    return from_base64url(
        from_json(_CloseTokenHashJson, untrusted_body).close_lock, TOKEN_HASH_BYTES
    )


def write_blinded_element(blinded: bytes) -> bytes:
    return to_json(_BlindedElementJson(to_base64url(blinded)))


def read_blinded_element(untrusted_body: bytes) -> bytes:
    """Return the blinded element, 32 bytes, without checking that it is valid."""
    return from_base64url(
        from_json(_BlindedElementJson, untrusted_body).blinded, _OPRF_ELEMENT_BYTES
    )


def write_unlock_answer(answered: UnlockAnswer) -> bytes:
    return to_json(_UnlockAnswerJson(to_base64url(answered.evaluated), answered.tries_left))


def read_unlock_answer(untrusted_body: bytes) -> UnlockAnswer:
    """Return the relay's evaluation: an element of 32 bytes, and the number of attempts left.

    The element may be invalid.
    """
    read = from_json(_UnlockAnswerJson, untrusted_body)
    return UnlockAnswer(from_base64url(read.evaluated, _OPRF_ELEMENT_BYTES), read.tries)


def write_vault_unlock(opening: VaultUnlock) -> bytes:
    before = [to_base64url(number) for number in opening.before]
    return to_json(_VaultUnlockJson(opening.generation, to_base64url(opening.number), before))


def read_vault_unlock(untrusted_body: bytes) -> VaultUnlock:
    read = from_json(_VaultUnlockJson, untrusted_body)
    before = tuple(from_base64url(number, UNLOCK_NUMBER_BYTES) for number in read.before)
    return VaultUnlock(read.generation, from_base64url(read.opening, UNLOCK_NUMBER_BYTES), before)
