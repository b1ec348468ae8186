"""Withdraw an envelope, and show its state to its sender (docs/spec/relay.md section 7)."""

from datetime import datetime, timedelta
from typing import Final

from entrenous.base.errors import NoSuchEnvelope, RelayClockAhead, WrongToken
from entrenous.base.identifiers import EnvelopeId
from entrenous.base.limits import REQUEST_IN_TRANSIT_HOURS_MAX, TOMBSTONE_DAYS
from entrenous.base.secret import Secret
from entrenous.carry.expire import (
    close_envelope,
    expire_if_due,
    remove_request_orphans,
    with_orphan_names,
)
from entrenous.carry.relay import Relay, RowTransaction, now, time_of_last_restore
from entrenous.carry.relay_rows import EnvelopeEvent, StoredEnvelope
from entrenous.crypto.hashing import equal_in_constant_time, token_hash
from entrenous.wire.relay_nouns import EnvelopeState, EnvelopeStatus

_IN_TRANSIT_PERIOD: Final = timedelta(hours=REQUEST_IN_TRANSIT_HOURS_MAX)
_TOMBSTONE_PERIOD: Final = timedelta(days=TOMBSTONE_DAYS)
_NEVER_POSTED_DIGEST: Final = b""  # the digest of an envelope that was withdrawn before its post


async def withdraw(envelope: EnvelopeId, token: Secret, relay: Relay) -> EnvelopeStatus:
    """Delete an envelope's sealed bytes, share and blobs.

    Returns: the envelope's status, which says whether the envelope was opened before.

    This may be repeated. An expired envelope stays expired. The post of an unknown envelope may
    still be on its way, so a post with this id is refused for as long as that can take.

    Raises:
        NoSuchEnvelope: the envelope is unknown here. The error has the fact ``refused_until``,
            unless the relay was restored recently and may have known the envelope before.
        WrongToken: this is not the envelope's withdraw token.
    """
    present = now(relay)

    def delete_content(tx: RowTransaction) -> EnvelopeStatus | datetime | None:
        stored = tx.get(StoredEnvelope, envelope)
        if stored is None:
            stored = _new_never_posted_row(
                envelope, token_hash(token), present + _IN_TRANSIT_PERIOD, present
            )
            tx.put(stored)
        stored = _verify_withdraw_token(stored, token)
        if was_never_posted(stored):
            return _posting_refused_until(stored, tx, present)
        return _envelope_status(
            close_envelope(
                tx, _expire_unless_clock_ahead(tx, stored, present), EnvelopeEvent.WITHDRAW, present
            )
        )

    status, orphans = await relay.mail.transact(with_orphan_names(delete_content))
    if status is None:
        raise NoSuchEnvelope
    if isinstance(status, datetime):
        raise NoSuchEnvelope(refused_until=status)
    await remove_request_orphans(orphans, relay)
    return status


async def envelope_status(envelope: EnvelopeId, token: Secret, relay: Relay) -> EnvelopeStatus:
    """Return an envelope's status for its sender.

    Raises:
        NoSuchEnvelope, WrongToken: the envelope is unknown here, or the token is not its withdraw
            token.
        RelayClockAhead: the clock may be wrong, so it is unknown whether the envelope has expired.
    """
    present = now(relay)
    work = with_orphan_names(
        lambda tx: _envelope_status(_require_withdraw_token(tx, envelope, token, present))
    )
    status, orphans = await relay.mail.transact(work)
    await remove_request_orphans(orphans, relay)
    return status


def _expire_unless_clock_ahead(
    tx: RowTransaction, stored: StoredEnvelope, present: datetime
) -> StoredEnvelope:
    """Expire the envelope if it is due. An implausible clock does not prevent a withdrawal."""
    try:
        return expire_if_due(tx, stored, present)
    except RelayClockAhead:
        return stored


def _require_withdraw_token(
    tx: RowTransaction, envelope: EnvelopeId, token: Secret, present: datetime
) -> StoredEnvelope:
    stored = tx.get(StoredEnvelope, envelope)
    if stored is None or was_never_posted(stored):
        raise NoSuchEnvelope
    return expire_if_due(tx, _verify_withdraw_token(stored, token), present)


def _verify_withdraw_token(stored: StoredEnvelope, token: Secret) -> StoredEnvelope:
    if not equal_in_constant_time(stored.withdraw_lock, token_hash(token)):
        raise WrongToken
    return stored


def was_never_posted(stored: StoredEnvelope) -> bool:
    """Return whether this row only records that the id was withdrawn before anything was posted."""
    return stored.digest == _NEVER_POSTED_DIGEST


def _posting_refused_until(
    stored: StoredEnvelope, tx: RowTransaction, present: datetime
) -> datetime | None:
    restored = time_of_last_restore(tx)
    forgot = restored is not None and present < restored + _TOMBSTONE_PERIOD
    return None if forgot else stored.expires_at


def _new_never_posted_row(
    envelope: EnvelopeId, withdraw_lock: bytes, until: datetime, present: datetime
) -> StoredEnvelope:
    return StoredEnvelope(
        *(envelope, _NEVER_POSTED_DIGEST, withdraw_lock, None, EnvelopeState.TAKEN_BACK, 0),
        *(until, None, None, present, until),
    )


def _envelope_status(stored: StoredEnvelope) -> EnvelopeStatus:
    return EnvelopeStatus(stored.state, stored.opened, stored.delivered_at, stored.opened_at)
