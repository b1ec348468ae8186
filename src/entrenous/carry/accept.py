"""Accept an envelope exactly once, and hand waiting envelopes to the owner of the mailbox
(docs/spec/relay.md sections 4 and 5).
"""

import dataclasses
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from entrenous.base.errors import (
    EntrenousError,
    Expired,
    IdInUse,
    NoSuchBlob,
    NoSuchMailbox,
    TakenBack,
    TooFarAhead,
    TooLarge,
)
from entrenous.base.identifiers import BlobId, EnvelopeId, MailboxId
from entrenous.base.limits import (
    ENVELOPE_PAGE_FULL_BYTES,
    ENVELOPES_PER_PAGE_MAX,
    SEALED_LETTER_BYTES_MAX,
)
from entrenous.base.secret import Secret
from entrenous.carry.expire import reduce_to_tombstone
from entrenous.carry.relay import Relay, RowTransaction, RowView, now, refuse_clock_ahead
from entrenous.carry.relay_rows import (
    EnvelopeEvent,
    StoredAttempt,
    StoredBlob,
    StoredEnvelope,
    StoredLetter,
    StoredMailbox,
    StoredShare,
    StoredShareGroup,
    StoredToken,
    StoredUpload,
    next_envelope_state,
)
from entrenous.carry.relay_settings import RelayLimits
from entrenous.carry.release import join_share_group
from entrenous.carry.send_tokens import (
    count_token_use,
    require_owner_token,
    require_room_for_letter,
    require_room_for_share,
    require_room_in_group,
    require_send_token,
)
from entrenous.carry.withdraw import was_never_posted
from entrenous.crypto.hashing import equal_in_constant_time, sha256, token_hash
from entrenous.wire.relay_nouns import Envelope, EnvelopeState, WaitingEnvelope

_SENDER_CLOCK_AHEAD_MAX: Final = timedelta(
    hours=1
)  # how far a sender's clock may be ahead of the relay's


async def accept(envelope: Envelope, token: Secret, relay: Relay) -> bool:
    """Store an envelope.

    No token is needed to repeat a post: only its sender can repeat every byte, and the first post
    may have used up the token.

    Returns:
        False if the same envelope was accepted before.

    Raises:
        NoSuchMailbox, WrongToken: the mailbox is unknown, or has no such valid send token.
        TakenBack: the sender took the envelope back before it arrived.
        IdInUse: a different envelope has this id, a blob belongs to a different envelope, or the
            envelope's share group allows a different number of openings.
        NoSuchBlob: a blob that the envelope names is not stored, or a different sender uploaded it.
        TooLarge, TooFarAhead, Expired: the sealed letter is too large, or the envelope's expiry is
            too far ahead or past.
        MailboxFull: the mailbox already has the maximum number of letters or shares, or the group
            has the maximum number of shares.
        RelayClockAhead: the relay's clock may be wrong, so it is unknown whether the envelope, its
            token or one of its blobs has expired.
    """
    if len(envelope.sealed) > SEALED_LETTER_BYTES_MAX:
        raise TooLarge(limit_bytes=SEALED_LETTER_BYTES_MAX)
    present = now(relay)
    if envelope.expires_at.microsecond:
        envelope = dataclasses.replace(
            envelope, expires_at=envelope.expires_at.replace(microsecond=0)
        )
    digest = envelope_digest(envelope)

    def store_unless_known(tx: RowTransaction) -> bool:
        stored = tx.get(StoredEnvelope, envelope.id)
        if stored is not None and equal_in_constant_time(stored.digest, digest):
            return False
        granted = require_send_token(tx, envelope.mailbox, token, present)
        if stored is not None:
            raise _duplicate_error(stored, envelope)
        refuse_invalid_expiry(tx, envelope.expires_at, present, relay.limits)
        _require_mailbox_room(tx, envelope, relay.limits)
        _store_envelope(tx, envelope, digest, present)
        count_token_use(tx, granted)
        return True

    new = await relay.mail.transact(
        store_unless_known, lambda view: _prefetch_accept(view, envelope, token)
    )
    if new and relay.wake_ups is not None:
        relay.wake_ups.wake(envelope.mailbox)
    return new


async def check_send_token(
    envelope: EnvelopeId, mailbox: MailboxId, token: Secret, relay: Relay
) -> None:
    """Check the sender's token before the body is read; :func:`accept` checks it again.

    An envelope that is already stored needs no token.

    Raises:
        NoSuchMailbox, WrongToken: the mailbox is unknown, or has no such valid send token.
        RelayClockAhead: the relay's clock may be wrong, so it is unknown whether the token has
            expired.
    """

    def require_valid_token(view: RowView) -> None:
        if view.get(StoredEnvelope, envelope) is None:
            require_send_token(view, mailbox, token, now(relay))

    await relay.mail.read(require_valid_token)


def _prefetch_accept(view: RowView, envelope: Envelope, token: Secret) -> None:
    view.get(StoredEnvelope, envelope.id)
    view.get(StoredLetter, envelope.id)
    view.get(StoredMailbox, envelope.mailbox)
    view.get(StoredToken, envelope.mailbox, token_hash(token))
    view.count(StoredLetter, mailbox=envelope.mailbox)
    if envelope.share:
        view.get(StoredShare, envelope.id)
        view.count(StoredShare, mailbox=envelope.mailbox)
    if envelope.share and envelope.share.group:
        view.count(StoredShare, group=envelope.share.group)
        view.get(StoredShareGroup, envelope.share.group)
    for blob in envelope.blobs:
        view.get(StoredBlob, blob)


def _require_mailbox_room(view: RowView, envelope: Envelope, limits: RelayLimits) -> None:
    require_room_for_letter(view, envelope.mailbox, limits)
    if envelope.share:
        require_room_for_share(view, envelope.mailbox)
    if envelope.share and envelope.share.group:
        require_room_in_group(view, envelope.share.group)


def _duplicate_error(stored: StoredEnvelope, envelope: Envelope) -> EntrenousError:
    """Return the error for a post whose id is already known."""
    if was_never_posted(stored) and equal_in_constant_time(
        stored.withdraw_lock, envelope.withdraw_lock
    ):
        return TakenBack()
    return IdInUse()


def envelope_digest(envelope: Envelope) -> bytes:
    """Return the SHA-256 of everything that was posted, each part preceded by its length."""
    share = envelope.share
    parts = (
        *(b"entrenous/1 envelope", envelope.id, envelope.mailbox, envelope.sealed),
        *(b"%d" % int(envelope.expires_at.timestamp()), envelope.withdraw_lock),
        *((share.value.reveal(), share.open_lock, b"%d" % (share.opens or 0)) if share else ()),
        *((share.group,) if share and share.group else ()),
        *(b"blobs", *envelope.blobs),
    )
    return sha256(b"".join(b"%d:" % len(part) + part for part in parts))


def refuse_invalid_expiry(
    view: RowView, expires_at: datetime, present: datetime, limits: RelayLimits
) -> None:
    """Raise Expired if ``expires_at`` is past, RelayClockAhead if it may only seem past because of
    a wrong clock, or TooFarAhead if it exceeds this relay's limit.
    """
    if expires_at <= present:
        refuse_clock_ahead(view, present)
        raise Expired(when=expires_at)
    if expires_at > present + timedelta(days=limits.keep_days) + _SENDER_CLOCK_AHEAD_MAX:
        raise TooFarAhead(limit_days=limits.keep_days)


def refuse_expired_blob(
    view: RowView, stored: StoredBlob | StoredUpload, present: datetime
) -> None:
    """Raise NoSuchBlob if a blob or its upload has expired; RelayClockAhead if it may only seem so
    because of a wrong clock.
    """
    if stored.due_at <= present:
        refuse_clock_ahead(view, present)
        raise NoSuchBlob


def _store_envelope(
    tx: RowTransaction, envelope: Envelope, digest: bytes, present: datetime
) -> None:
    share, expires_at = envelope.share, envelope.expires_at
    lock = share.open_lock if share else None
    tx.put(
        StoredEnvelope(
            *(envelope.id, digest, envelope.withdraw_lock, lock, EnvelopeState.WAITING, 0),
            *(expires_at, None, None, None, expires_at),
        )
    )
    sequence = _allocate_sequence(tx, envelope)
    tx.put(StoredLetter(envelope.id, envelope.mailbox, sequence, envelope.sealed, expires_at))
    if share:
        counted = (share.opens, envelope.mailbox, share.group)
        tx.put(StoredShare(envelope.id, share.value, *counted))
    for blob in envelope.blobs:
        _link_blob(tx, blob, envelope, present)
    join_share_group(tx, envelope, present)


def _allocate_sequence(tx: RowTransaction, envelope: Envelope) -> int:
    stored = tx.get(StoredMailbox, envelope.mailbox)
    if stored is None:
        raise NoSuchMailbox
    tx.put(replace(stored, last_sequence=stored.last_sequence + 1))
    return stored.last_sequence + 1


def _link_blob(tx: RowTransaction, blob: BlobId, envelope: Envelope, present: datetime) -> None:
    """Link a blob to its envelope.

    The blob and the envelope must have the same withdraw lock (the hash of the token that withdraws
    them), which shows that the same sender posted both.
    """
    stored = tx.get(StoredBlob, blob)
    if stored is None or stored.mailbox != envelope.mailbox:
        raise NoSuchBlob
    refuse_expired_blob(tx, stored, present)
    if not equal_in_constant_time(stored.withdraw_lock, envelope.withdraw_lock):
        raise NoSuchBlob
    if stored.envelope is not None:
        raise IdInUse
    tx.put(replace(stored, envelope=envelope.id, due_at=envelope.expires_at))


async def list_waiting_envelopes(
    mailbox: MailboxId, token: Secret, after: int, limit: int, relay: Relay
) -> list[WaitingEnvelope]:
    """List envelopes with a sequence above ``after``, oldest first.

    Returns:
        At most ``limit`` envelopes, and never more than ENVELOPES_PER_PAGE_MAX. Fewer if they are
        large, since the page is held in memory until the client has read it.

    Raises:
        NoSuchMailbox, WrongToken: the mailbox is unknown, or the token is not its owner's.
    """
    present = now(relay)

    def waiting_letters(view: RowView) -> list[StoredLetter]:
        return view.find_letters(
            mailbox, after, present, min(limit, ENVELOPES_PER_PAGE_MAX), ENVELOPE_PAGE_FULL_BYTES
        )

    def list_envelopes_for_owner(view: RowView) -> list[WaitingEnvelope]:
        require_owner_token(view, mailbox, token)
        return [
            WaitingEnvelope(one.envelope, one.sequence, one.sealed, one.expires_at)
            for one in waiting_letters(view)
        ]

    return await relay.mail.read(
        list_envelopes_for_owner,
        lambda view: (view.get(StoredMailbox, mailbox), waiting_letters(view)),
    )


async def acknowledge(
    mailbox: MailboxId, token: Secret, envelope: EnvelopeId, relay: Relay
) -> None:
    """Delete the sealed bytes of an envelope, since the owner of the mailbox has stored them.

    Raises:
        NoSuchMailbox, WrongToken: the mailbox is unknown, or the token is not its owner's.
    """
    present = now(relay)

    def delete_sealed_bytes(tx: RowTransaction) -> None:
        require_owner_token(tx, mailbox, token)
        letter = tx.get(StoredLetter, envelope)
        stored = tx.get(StoredEnvelope, envelope)
        if letter is not None and letter.mailbox == mailbox and stored is not None:
            tx.drop(StoredLetter, envelope)
            _mark_delivered(tx, stored, present)

    await relay.mail.transact(
        delete_sealed_bytes, lambda view: _prefetch_acknowledge(view, mailbox, envelope)
    )


def _prefetch_acknowledge(view: RowView, mailbox: MailboxId, envelope: EnvelopeId) -> None:
    view.get(StoredMailbox, mailbox)
    view.get(StoredLetter, envelope)
    stored = view.get(StoredEnvelope, envelope)
    if stored is None or stored.open_lock is not None:
        view.get(StoredShare, envelope)
        view.find(StoredAttempt, envelope=envelope)
    view.find(StoredBlob, envelope=envelope)


def _mark_delivered(tx: RowTransaction, stored: StoredEnvelope, present: datetime) -> None:
    state = next_envelope_state(stored.state, EnvelopeEvent.DELIVER, stored.expires_at)
    delivered = replace(stored, state=state, delivered_at=present)
    has_share = stored.open_lock is not None and tx.get(StoredShare, stored.envelope) is not None
    if has_share or tx.find(StoredBlob, envelope=stored.envelope):
        tx.put(delivered)
    else:
        reduce_to_tombstone(tx, delivered, present)
