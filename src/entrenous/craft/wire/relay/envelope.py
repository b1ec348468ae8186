"""Envelopes on their way: post, wait, open, finish, look after (relay.md sections 5 to 7)."""

from entrenous.craft.wire.b64u import b64u, unb64u
from entrenous.craft.wire.relay.strict import (
    Count,
    Seconds,
    Strict,
    from_json,
    made,
    maybe_moment,
    maybe_seconds,
    to_json,
    to_moment,
    to_seconds,
)
from entrenous.model.envelope import (
    Envelope,
    EnvelopeState,
    EnvelopeStatus,
    ShareDeposit,
    Waiting,
)
from entrenous.model.ids import ID_BYTES, BlobId, EnvelopeId, MailboxId
from entrenous.model.secret import Secret
from entrenous.spec import ATTEMPT_BYTES, LOCK_BYTES, SHARE_BYTES


class _Share(Strict, frozen=True):
    value: str
    open_lock: str
    opens: Count | None
    group: str | None


class _Envelope(Strict, frozen=True):
    sealed: str
    expires_at: Seconds
    withdraw_lock: str
    share: _Share | None
    blobs: list[str]


class _Letter(Strict, frozen=True):
    envelope: str
    sequence: Count
    sealed: str
    expires_at: Seconds


class _Page(Strict, frozen=True):
    envelopes: list[_Letter]


class _Attempt(Strict, frozen=True):
    attempt: str


class _Given(Strict, frozen=True):
    share: str


class _Look(Strict, frozen=True):
    state: EnvelopeState
    opened: Count
    delivered_at: Seconds | None
    opened_at: Seconds | None


def write_envelope(envelope: Envelope) -> bytes:
    """The body that posts an envelope; its id and mailbox are in the address."""
    share = None if envelope.share is None else _shape(envelope.share)
    blobs = [b64u(blob) for blob in envelope.blobs]
    until, lock = to_seconds(envelope.expires_at), b64u(envelope.withdraw_lock)
    return to_json(_Envelope(b64u(envelope.sealed), until, lock, share, blobs))


def read_envelope(untrusted_body: bytes, envelope: EnvelopeId, mailbox: MailboxId) -> Envelope:
    """The envelope that is posted to ``mailbox`` as ``envelope``."""
    read = from_json(_Envelope, untrusted_body)
    return made(
        Envelope,
        *(envelope, mailbox, unb64u(read.sealed), to_moment(read.expires_at)),
        *(
            unb64u(read.withdraw_lock, LOCK_BYTES),
            None if read.share is None else _deposit(read.share),
        ),
        tuple(BlobId(unb64u(blob, ID_BYTES)) for blob in read.blobs),
    )


def write_waiting(page: list[Waiting]) -> bytes:
    """Envelopes as they are handed over."""
    letters = [
        _Letter(b64u(one.id), one.sequence, b64u(one.sealed), to_seconds(one.expires_at))
        for one in page
    ]
    return to_json(_Page(letters))


def read_waiting(untrusted_body: bytes) -> list[Waiting]:
    """Envelopes as they were handed over."""
    return [
        Waiting(
            EnvelopeId(unb64u(one.envelope, ID_BYTES)),
            one.sequence,
            unb64u(one.sealed),
            to_moment(one.expires_at),
        )
        for one in from_json(_Page, untrusted_body).envelopes
    ]


def write_attempt(attempt: bytes) -> bytes:
    """The body of "open" and "finish"."""
    return to_json(_Attempt(b64u(attempt)))


def read_attempt(untrusted_body: bytes) -> bytes:
    """An attempt, 16 bytes."""
    return unb64u(from_json(_Attempt, untrusted_body).attempt, ATTEMPT_BYTES)


def write_share(share: Secret) -> bytes:
    """The relay's half of a content key."""
    return to_json(_Given(b64u(share.reveal())))


def read_share(untrusted_body: bytes) -> Secret:
    """The relay's half of a content key, 32 bytes."""
    return Secret(unb64u(from_json(_Given, untrusted_body).share, SHARE_BYTES))


def write_look(status: EnvelopeStatus) -> bytes:
    """The sender's look at an envelope."""
    delivered_at, opened_at = maybe_seconds(status.delivered_at), maybe_seconds(status.opened_at)
    return to_json(_Look(status.state, status.opened, delivered_at, opened_at))


def read_look(untrusted_body: bytes) -> EnvelopeStatus:
    """The sender's look at an envelope."""
    read = from_json(_Look, untrusted_body)
    delivered_at, opened_at = maybe_moment(read.delivered_at), maybe_moment(read.opened_at)
    return EnvelopeStatus(read.state, read.opened, delivered_at, opened_at)


def _deposit(read: _Share) -> ShareDeposit:
    value = Secret(unb64u(read.value, SHARE_BYTES))
    group = None if read.group is None else unb64u(read.group, ID_BYTES)
    return made(ShareDeposit, value, unb64u(read.open_lock, LOCK_BYTES), read.opens, group)


def _shape(deposit: ShareDeposit) -> _Share:
    group = None if deposit.group is None else b64u(deposit.group)
    return _Share(b64u(deposit.value.reveal()), b64u(deposit.open_lock), deposit.opens, group)
