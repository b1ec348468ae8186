"""Tasks that need our own relay, and waiting for new letters. After a relay was restored from a
backup, requests that it may have lost are repeated.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from entrenous.base.errors import (
    EntrenousError,
    Expired,
    NotFound,
    PostponedUntilClockIsRight,
    Unproven,
)
from entrenous.base.identifiers import PersonId
from entrenous.base.limits import EXPIRY_DAYS_MAX, WAKE_REQUEST_S
from entrenous.device.device import Device
from entrenous.device.identities import NEXT_CLOSE_TOKEN_RECORD, own_device
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, CopyDelivery, SendState
from entrenous.device.vault_tables import (
    OWN_RECORDS,
    RELAY_RESTORE,
    TOKEN_WITHDRAWAL,
    WITHDRAWN_TOKEN,
)
from entrenous.send.clock_sanity import time_certainly_passed
from entrenous.send.devices.own_key_bundle import (
    relays_with_mailbox_deletions,
    repeat_mailbox_deletions,
    schedule_close_token_resend,
    send_own_changes_to_relay,
)
from entrenous.send.devices.sync_send import queue_sync_letters
from entrenous.send.letter.prekeys import publish_prekeys
from entrenous.send.outbox import clock_difference_error
from entrenous.send.people.people_nouns import INVITE_TABLE
from entrenous.send.tokens.issue import issued_ranges, queue_registration, send_token_changes
from entrenous.send.tokens.token_ranges import TOKEN_WITHDRAWAL_TABLE, WITHDRAWN_TOKEN_TABLE
from entrenous.wire.relay_nouns import EnvelopeState


def has_tokens_to_withdraw(device: Device) -> bool:
    """Return whether a withdrawal of tokens still has to be sent to our relay."""
    return bool(TOKEN_WITHDRAWAL_TABLE.keys(device.vault))


def send_pending_relay_changes(device: Device) -> list[EntrenousError]:
    """Send our relay this device's own changes. Register the tokens that outbox items hand out, and
    withdraw revoked ones.

    Tasks that our relay refuses or does not answer are repeated next time; their errors are
    returned. If the token that deletes our mailbox changes, letters with the new token to our other
    devices are put into the outbox. Until these have arrived, no other device can revoke this one.
    """
    close_token_changes = device.vault.get(OWN_RECORDS, NEXT_CLOSE_TOKEN_RECORD) is not None
    problems = send_own_changes_to_relay(device)
    if close_token_changes and device.vault.get(OWN_RECORDS, NEXT_CLOSE_TOKEN_RECORD) is None:
        queue_sync_letters(device)
    try:
        send_token_changes(device)
    except Expired as why:
        home = own_device(device).home
        return [
            clock_difference_error(PostponedUntilClockIsRight, why, home.relay_url, device),
            *problems,
        ]
    except EntrenousError as error:
        return [error, *problems]
    return problems


def wait_for_letter(seconds: int, device: Device) -> bool:
    """Return whether a letter waits at our relay, or arrives within ``seconds``; it is not fetched.

    Raises:
        DeviceWithoutRelay, RelayUnreachable.
    """
    home = own_device(device).home
    for left in range(seconds, -1, -WAKE_REQUEST_S):
        if device.courier.wait_for_letter(
            home.relay_url, home.mailbox, home.owner, min(left, WAKE_REQUEST_S)
        ):
            return True
    return False


_REPEATED_REQUESTS_AGE_MAX: Final = timedelta(days=EXPIRY_DAYS_MAX)
_RESTORE_CHECK_INTERVAL_S: Final = 6 * 3600
# an attempt to reach a relay that does not answer keeps the vault in use for a minute
_RESTORE_CHECK_INTERVAL_AFTER_FAILURE_S: Final = 3600


def repeat_requests_after_restore(device: Device) -> None:
    """Every six hours, ask relays whether they were restored from a backup, and repeat the requests
    that they may have lost.

    Our own relay is always asked, another relay only if there is something to repeat there, because
    a relay learns when and from where we connect. A relay that does not answer is asked again an
    hour later.
    """
    home = own_device(device).home.relay_url
    known = dict(device.vault.items(RELAY_RESTORE))
    if home in known and not any(
        _is_restore_check_due(record, device) for record in known.values()
    ):
        return  # reading all sent copies is slow, so it is done only when due
    relays = {home, *_relays_with_recent_requests(device)}
    for url in known.keys() - relays:
        device.vault.drop(RELAY_RESTORE, url)
    for url in sorted(relays):
        if _is_restore_check_due(known.get(url), device):
            with suppress(EntrenousError):
                _repeat_if_restored(url, home, device)


def _relays_with_recent_requests(device: Device) -> set[str]:
    # If a copy that was taken back has no ``ended_at``, only its relay said that it was taken back.
    # Such a copy alone is no reason to ask that relay for ever.
    taken_back = {
        copy.relay_url for copy in _recently_recalled_copies(device) if copy.ended_at is not None
    }
    return taken_back | relays_with_mailbox_deletions(
        _earliest_repeated_request_time(device), device
    )


def _is_restore_check_due(record: bytes | None, device: Device) -> bool:
    """Return whether it is time to ask a relay again; ``record`` was stored when it was
    last asked.
    """
    if record is None:
        return True
    return (
        not 0 <= _unix_seconds_now(device) - int(record.split(b" ")[0]) < _RESTORE_CHECK_INTERVAL_S
    )


def _repeat_if_restored(url: str, home: str, device: Device) -> None:
    now = _unix_seconds_now(device)
    _, known = (device.vault.get(RELAY_RESTORE, url) or b"-1 ").split(b" ")
    device.vault.put(
        RELAY_RESTORE,
        url,
        b"%d %s"
        % (now + _RESTORE_CHECK_INTERVAL_AFTER_FAILURE_S - _RESTORE_CHECK_INTERVAL_S, known),
    )
    _, restored_at = device.courier.status(url)
    seen = b"" if restored_at is None else b"%d" % int(restored_at.timestamp())
    if seen not in (b"", known):
        failure = _repeat_recalls(url, device)
        with device.vault.transaction():
            repeat_mailbox_deletions(url, _earliest_repeated_request_time(device), device)
        if url == home:
            _repeat_requests_to_own_relay(device)
        if failure is not None:
            raise failure  # all this is repeated an hour later
    device.vault.put(RELAY_RESTORE, url, b"%d %s" % (now, seen))


def _repeat_recalls(url: str, device: Device) -> EntrenousError | None:
    """Repeat the recent recalls at this relay; return an error after which they have to be repeated
    again, or None.
    """
    failure = None
    for copy in list(_recently_recalled_copies(device)):
        if copy.relay_url == url:
            try:
                device.courier.withdraw(url, copy.envelope, copy.withdraw_token)
            except (NotFound, Unproven):
                pass  # the relay has nothing that we could take back
            except EntrenousError as error:
                failure = error
    return failure


def _recently_recalled_copies(device: Device) -> Iterator[CopyDelivery]:
    """Yield the copies recalled recently or at an unknown time, except those that never left."""
    since = _earliest_repeated_request_time(device)
    for copy in COPY_DELIVERY_TABLE.all(device.vault):
        ended = copy.state is EnvelopeState.TAKEN_BACK and copy.departure is not SendState.WAITING
        if ended and (copy.ended_at is None or copy.ended_at >= since):
            yield copy


def _earliest_repeated_request_time(device: Device) -> datetime:
    """Return the time of the earliest requests that are repeated.

    A restore is noticed only once, so with an implausible clock older requests are repeated too.
    """
    return time_certainly_passed(device) - _REPEATED_REQUESTS_AGE_MAX


def _unix_seconds_now(device: Device) -> int:
    return int(device.clock.now().timestamp())


def _repeat_requests_to_own_relay(device: Device) -> None:
    """Send our own relay again the recent withdrawals of send tokens, the registrations of valid
    send tokens and invite links, and the token that deletes the mailbox. Publish prekeys again.
    """
    since = _earliest_repeated_request_time(device)
    with device.vault.transaction():
        schedule_close_token_resend(device)
        for key in WITHDRAWN_TOKEN_TABLE.keys(device.vault):
            done = WITHDRAWN_TOKEN_TABLE.load(key, device.vault)
            if done is not None and done.reported_at is not None and done.reported_at >= since:
                device.vault.put(
                    TOKEN_WITHDRAWAL, key, device.vault.get(WITHDRAWN_TOKEN, key) or b""
                )
        for peer_id, issued in list(issued_ranges(device)):
            person = PersonId(bytes.fromhex(peer_id.split()[0]))
            queue_registration(issued, range(issued.next_unused, issued.until), person, device)
    publish_prekeys(device)
    home, now = own_device(device).home, device.clock.now()
    for link in INVITE_TABLE.all(device.vault):
        expires_at = link.token.expires_at
        if not link.is_used_up and (expires_at is None or expires_at > now):
            device.courier.register_token(home.relay_url, home.mailbox, home.owner, link.token)
