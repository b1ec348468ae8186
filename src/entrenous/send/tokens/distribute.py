"""Give send tokens to devices that may write to us: new devices of contacts, and our other devices.
Issued ranges are topped up, and replaced before they expire.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

from entrenous.base.errors import EntrenousError, NoPrekeys, TooMany, Unreachable, WrongToken
from entrenous.base.identifiers import DeviceId, EnvelopeId, PersonId
from entrenous.base.limits import (
    TOKEN_RANGE_DAYS,
    TOKEN_RANGE_INDEXES_MAX,
    TOKEN_RANGE_SIZE,
    TOKEN_RANGE_TOP_UP_HOURS,
    TOKENS_LEFT_MIN,
)
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import token_hash
from entrenous.device.device import Device
from entrenous.device.identities import may_advance_ratchets, own_device
from entrenous.device.vault_tables import (
    DEVICE_TO_GREET,
    FIRST_LETTER_TOKEN,
    GREETING_SENT,
    peer_key,
)
from entrenous.send.clock_sanity import (
    MAX_TIME_IN_TRANSIT,
    is_clock_implausible,
    is_recent,
    now_in_whole_seconds,
)
from entrenous.send.letter.letter_nouns import Hello, TokenRangeNote
from entrenous.send.letter.sessions import begin_new_session, ensure_session
from entrenous.send.letter.write import (
    Addressee,
    addressee_of,
    outer_parts_without_content,
    seal_and_queue_letter,
)
from entrenous.send.tokens.issue import (
    extend_range,
    issue_range,
    issued_ranges,
    withdraw_expired_ranges,
    withdraw_range,
)
from entrenous.send.tokens.token_ranges import (
    HELD_TOKEN_RANGE_TABLE,
    ISSUED_TOKEN_RANGE_TABLE,
    IssuedRange,
)
from entrenous.send.tokens.use import (
    drop_refused_tokens,
    drop_superseded_lent_tokens,
    has_tokens_for,
)

_RETRYABLE_ERRORS = (Unreachable, TooMany, NoPrekeys)


def greet_devices(device: Device) -> None:
    """Put a hello into the outbox for each device that is still to be greeted.

    A device whose relay is unreachable, or that has published no keys yet, is greeted next time.
    """
    for peer_id in device.vault.keys(DEVICE_TO_GREET) if may_advance_ratchets(device) else ():
        with suppress(*_RETRYABLE_ERRORS):
            _greet_device(peer_id, device)


def count_greetable_devices(device: Device) -> int:
    """Return the number of devices still to be greeted that we can write to."""
    count = 0
    for peer_id in device.vault.keys(DEVICE_TO_GREET):
        to = _addressee_for(peer_id, device)
        count += to is not None and has_tokens_for(to.contact, to.key.device, device)
    return count


def _addressee_for(peer_id: str, device: Device) -> Addressee | None:
    person, key = (bytes.fromhex(part) for part in peer_id.split())
    return addressee_of(PersonId(person), DeviceId(key), device)


def _greet_device(peer_id: str, device: Device, *, in_new_session: bool = False) -> None:
    """Greet one device. With ``in_new_session``, begin a new session, since the device may have
    forgotten the existing ones.
    """
    to = _addressee_for(peer_id, device)
    if to is not None and to.contact.forked:
        return  # retried once the lists of that person agree again
    in_new_session = in_new_session or _has_lent_tokens_beside_own_range(peer_id, device)
    try:
        with device.vault.transaction():
            if to is not None and not to.contact.blocked:
                if not has_tokens_for(to.contact, to.key.device, device):
                    return  # waits until that device, or another one of ours, gives us tokens
                if in_new_session:
                    begin_new_session(to, device)
                queue_greeting(to, _invite_token_hash_for_hello(to, device), device)
                drop_superseded_lent_tokens(peer_id, device)
            device.vault.drop(DEVICE_TO_GREET, peer_id)
    except _RETRYABLE_ERRORS:
        raise
    except WrongToken:
        if drop_refused_tokens(peer_id, device):
            _greet_device(peer_id, device, in_new_session=in_new_session)  # now with the next token
        else:
            device.vault.drop(DEVICE_TO_GREET, peer_id)
    except EntrenousError:
        # the keys of that device, or our tokens for it, will never be valid
        device.vault.drop(DEVICE_TO_GREET, peer_id)


def _has_lent_tokens_beside_own_range(peer_id: str, device: Device) -> bool:
    """Return whether another device of ours lent us tokens for this peer although we have a range
    of our own.

    That device added the person again, who may have withdrawn our range.
    """
    held = HELD_TOKEN_RANGE_TABLE.load(peer_id, device.vault)
    return held is not None and held.seed is not None and bool(held.lent)


def _invite_token_hash_for_hello(to: Addressee, device: Device) -> bytes | None:
    """Return the hash of the invite's token, which the hello has to name. Return None if the hello
    needs no invite, since we have a range or lent tokens for the device, or if there is no invite.
    """
    peer_id = peer_key(to.contact.person.id, to.key.device)
    held = HELD_TOKEN_RANGE_TABLE.load(peer_id, device.vault)
    if held is not None and (held.seed is not None or held.lent):
        return None
    token = device.vault.get(FIRST_LETTER_TOKEN, peer_id)
    return None if token is None else token_hash(Secret(token))


def queue_greeting(to: Addressee, invite_lock: bytes | None, device: Device) -> EnvelopeId:
    """Put a hello with a new token range into the outbox; return the envelope's id."""
    ensure_session(to, device)
    issued = issue_range(to.contact.person, to.key.device, device)
    hello = Hello(own_device(device).card, issued.seed, issued.first, invite_lock)
    outer = outer_parts_without_content(device)
    seal_and_queue_letter(hello, to, outer, device)
    peer_id, now = peer_key(to.contact.person.id, to.key.device), device.clock.now()
    device.vault.put(GREETING_SENT, peer_id, b"%d" % int(now.timestamp()))
    device.vault.drop(DEVICE_TO_GREET, peer_id)
    return outer.envelope


_RANGE_REPLACED_AFTER: Final = timedelta(days=TOKEN_RANGE_DAYS)
_TOP_UP_INTERVAL: Final = timedelta(hours=TOKEN_RANGE_TOP_UP_HOURS)


def maintain_issued_ranges(device: Device) -> None:
    """Extend ranges that are nearly used up, and replace those that are old or whose device list
    changed.

    Ranges of devices that are on no list any more are withdrawn. The letters are put into the
    outbox; devices that cannot be reached now are handled next time.
    """
    withdraw_expired_ranges(device)
    for peer_id, issued in list(issued_ranges(device)):
        person, key = (bytes.fromhex(part) for part in peer_id.split())
        to = addressee_of(PersonId(person), DeviceId(key), device)
        if to is None:
            with device.vault.transaction():
                withdraw_range(peer_id, device)
        elif not to.contact.forked and has_tokens_for(to.contact, to.key.device, device):
            task = _due_range_task(issued, to, device)
            if task is not None:
                with suppress(EntrenousError), device.vault.transaction():
                    task(issued, peer_id, to, device)


RangeTask = Callable[[IssuedRange, str, Addressee, Device], None]


def _due_range_task(issued: IssuedRange, to: Addressee, device: Device) -> RangeTask | None:
    """Return the task that is due for a range, or None."""
    heads = to.contact.person.head, own_device(device).person.head
    age = device.clock.now() - issued.made_at
    too_old = age >= _RANGE_REPLACED_AFTER or _was_issued_in_future(age, device)
    too_long = issued.until - issued.first >= TOKEN_RANGE_INDEXES_MAX
    if too_old or too_long or heads != (issued.theirs, issued.ours):
        return _replace_range
    is_low = issued.handed_out - issued.next_unused < TOKENS_LEFT_MIN
    return _extend_range if is_low and _is_top_up_earned(issued, device) else None


def _was_issued_in_future(age: timedelta, device: Device) -> bool:
    """Return whether a clock that was more than a month ahead issued a range.

    Such a range would never be old enough to be replaced.

    The result is False if the clock may be behind now, since the replaced range would then expire
    as soon as the clock is right.
    """
    return age < -MAX_TIME_IN_TRANSIT and not is_clock_implausible(device)


def _is_top_up_earned(issued: IssuedRange, device: Device) -> bool:
    """Return whether half of the last tokens were used, or the last top-up was a day ago.

    Without this limit, a device that skips tokens would make us register more and more of them.
    """
    last_top_up = issued.topped_up_at or issued.made_at
    return issued.used_count >= TOKENS_LEFT_MIN or not is_recent(
        last_top_up, _TOP_UP_INTERVAL, device
    )


def _replace_range(issued: IssuedRange, _: str, to: Addressee, device: Device) -> None:
    _queue_token_range_note(
        issue_range(to.contact.person, to.key.device, device), issued.until, to, device
    )


def _extend_range(issued: IssuedRange, peer_id: str, to: Addressee, device: Device) -> None:
    end = issued.next_unused + TOKEN_RANGE_SIZE
    extended = replace(
        extend_range(issued, peer_id, end, device),
        handed_out=end,
        used_count=0,
        topped_up_at=now_in_whole_seconds(device),
    )
    ISSUED_TOKEN_RANGE_TABLE.store(extended, peer_id, device.vault)
    _queue_token_range_note(extended, issued.next_unused, to, device)


def _queue_token_range_note(issued: IssuedRange, first: int, to: Addressee, device: Device) -> None:
    ensure_session(to, device)
    seal_and_queue_letter(
        TokenRangeNote(issued.seed, first), to, outer_parts_without_content(device), device
    )
