"""Issue token ranges to other people's devices, and register the tokens at our relay. Tokens are
registered in large batches, so that the relay cannot tell whose they are.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from entrenous.base.errors import (
    EntrenousError,
    ProtocolTooOld,
    TooMany,
    TooManyRegistered,
    Unreachable,
)
from entrenous.base.identifiers import DeviceId, PersonId
from entrenous.base.identity import Person
from entrenous.base.limits import (
    REPLACED_TOKEN_RANGE_DAYS,
    TOKEN_BATCH_MAX,
    TOKEN_RANGE_DAYS,
    TOKEN_RANGE_SIZE,
    TOKEN_RANGE_SKIPPED_MAX,
    TOKEN_RANGE_UNUSED_MAX,
)
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import token_hash
from entrenous.crypto.key_derivation import derive_send_token
from entrenous.device.device import Device
from entrenous.device.identities import own_device
from entrenous.device.vault_tables import (
    RETIRED_TOKEN_RANGE,
    TOKEN_CHANGE_BATCH,
    TOKEN_REGISTRATION,
    TOKEN_WITHDRAWAL,
    WITHDRAWN_TOKEN,
    peer_key,
)
from entrenous.send.clock_sanity import (
    MAX_TIME_IN_TRANSIT,
    is_clock_implausible,
    now_in_whole_seconds,
    time_certainly_passed,
)
from entrenous.send.tokens.token_ranges import (
    ISSUED_TOKEN_RANGE_TABLE,
    RETIRED_TOKEN_RANGE_TABLE,
    TOKEN_CHANGE_BATCH_TABLE,
    TOKEN_REGISTRATION_TABLE,
    TOKEN_WITHDRAWAL_TABLE,
    WITHDRAWN_TOKEN_TABLE,
    IssuedRange,
    QueuedRegistration,
    RetiredIssuedRange,
    TokenChangeBatch,
    TokenWithdrawal,
)
from entrenous.wire.relay_nouns import SendTokenChanges

_RETIRED_RANGE_VALIDITY: Final = timedelta(days=REPLACED_TOKEN_RANGE_DAYS)


def issue_range(person: Person, key: DeviceId, device: Device) -> IssuedRange:
    """Issue a new token range to a device; the device's previous range stays valid for some days.

    Call it in the transaction that writes the letter with the range. Indexes continue from the
    previous range, so that an index identifies its range.
    """
    peer_id, now = peer_key(person.id, key), now_in_whole_seconds(device)
    previous = ISSUED_TOKEN_RANGE_TABLE.load(peer_id, device.vault)
    if previous is not None:
        _retire_range(previous, peer_id, device)
    first = 0 if previous is None else previous.until
    end = first + TOKEN_RANGE_SIZE
    issued = IssuedRange(
        *(Secret(device.random_source.token(32)), first, first, end, end, now),
        *(person.head, own_device(device).person.head),
    )
    queue_registration(issued, range(first, end), person.id, device)
    ISSUED_TOKEN_RANGE_TABLE.store(issued, peer_id, device.vault)
    return issued


def extend_range(issued: IssuedRange, peer_id: str, until: int, device: Device) -> IssuedRange:
    """Extend a range up to index ``until``; a range is never shortened."""
    person = PersonId(bytes.fromhex(peer_id.split(maxsplit=1)[0]))
    queue_registration(issued, range(issued.until, until), person, device)
    extended = replace(issued, until=max(until, issued.until))
    ISSUED_TOKEN_RANGE_TABLE.store(extended, peer_id, device.vault)
    return extended


def queue_registration(
    issued: IssuedRange, indexes: range, person: PersonId, device: Device
) -> None:
    """Queue these tokens for registration with the next batch."""
    if indexes:
        registration = QueuedRegistration(person, issued.seed, indexes.start, indexes.stop)
        TOKEN_REGISTRATION_TABLE.store(
            registration, _last_token_hash_of(issued.seed, indexes).hex(), device.vault
        )


def last_handed_out_token_hash(issued: IssuedRange) -> bytes:
    """Return the hash of the last token of this range that was handed out; the relay stores tokens
    as hashes.
    """
    return token_hash(derive_send_token(issued.seed, issued.handed_out - 1))


def note_token_used(person: PersonId, key: DeviceId, index: int | None, device: Device) -> None:
    """Record that a letter arrived with this token; ignore an index that was never given out.

    When many tokens were skipped, the oldest are withdrawn, so that a letter with the last token
    does not leave all others registered. Used tokens are not withdrawn with them, since a relay can
    link tokens that are withdrawn together.
    """
    peer_id = peer_key(person, key)
    issued = ISSUED_TOKEN_RANGE_TABLE.load(peer_id, device.vault)
    if issued is None or index is None or not issued.first <= index < issued.handed_out:
        return
    if index < issued.next_unused:
        skipped = tuple(one for one in issued.skipped if one != index)
        used = issued.used_count + len(issued.skipped) - len(skipped)
        ISSUED_TOKEN_RANGE_TABLE.store(
            replace(issued, skipped=skipped, used_count=used), peer_id, device.vault
        )
        return
    skipped = (*issued.skipped, *range(issued.next_unused, index))
    for run in _split_into_runs(skipped[:-TOKEN_RANGE_SKIPPED_MAX]):
        _queue_withdrawal_of_run(issued.seed, run, device)
    noted = replace(
        issued,
        next_unused=index + 1,
        used_count=issued.used_count + 1,
        skipped=skipped[-TOKEN_RANGE_SKIPPED_MAX:],
    )
    ISSUED_TOKEN_RANGE_TABLE.store(noted, peer_id, device.vault)


def withdraw_tokens_of(person: PersonId, device: Device) -> tuple[bytes, ...]:
    """Withdraw all tokens issued to a person. Return the hash of the last token of each range: it
    identifies the letters in the outbox that hand out these tokens (``needs``).

    Call it in a transaction; the relay is told with the next relay tasks.
    """
    keys = ISSUED_TOKEN_RANGE_TABLE.keys(device.vault, person.hex())
    needs = []
    for key in keys:
        issued = ISSUED_TOKEN_RANGE_TABLE.load(key, device.vault)
        needs.append(last_handed_out_token_hash(issued) if issued else b"")
        withdraw_range(key, device)
    for key in RETIRED_TOKEN_RANGE_TABLE.keys(device.vault, person.hex()):
        _withdraw_retired_range(key, device)
    return tuple(needs)


def withdraw_range(peer_id: str, device: Device) -> None:
    issued = ISSUED_TOKEN_RANGE_TABLE.load(peer_id, device.vault)
    if issued is not None:
        _withdraw_indexes(issued.seed, range(issued.first, issued.until), device)
        ISSUED_TOKEN_RANGE_TABLE.drop(peer_id, device.vault)
    for key in RETIRED_TOKEN_RANGE_TABLE.keys(device.vault, peer_id):
        _withdraw_retired_range(key, device)


def withdraw_expired_ranges(device: Device) -> None:
    """Withdraw the replaced ranges that are no longer valid.

    If a range's end was set while the clock was far ahead, its remaining days are counted from now.
    """
    now, trusted_now = device.clock.now(), time_certainly_passed(device)
    for key in RETIRED_TOKEN_RANGE_TABLE.keys(device.vault):
        retired = RETIRED_TOKEN_RANGE_TABLE.load(key, device.vault)
        if retired is None:
            continue
        too_far = retired.drop_at - now > _RETIRED_RANGE_VALIDITY + MAX_TIME_IN_TRANSIT
        if retired.drop_at <= trusted_now:
            with device.vault.transaction():
                _withdraw_retired_range(key, device)
        elif too_far and not is_clock_implausible(device):
            retired = replace(retired, drop_at=now + _RETIRED_RANGE_VALIDITY)
            RETIRED_TOKEN_RANGE_TABLE.store(retired, key, device.vault)


def forget_issued_tokens(device: Device) -> None:
    """Delete the records of all tokens issued at a relay that we leave; call it in a transaction.

    New ranges start at the index where the old ones ended.
    """
    for table in (
        TOKEN_REGISTRATION,
        TOKEN_CHANGE_BATCH,
        TOKEN_WITHDRAWAL,
        WITHDRAWN_TOKEN,
        RETIRED_TOKEN_RANGE,
    ):
        for key in device.vault.keys(table):
            device.vault.drop(table, key)
    for key, issued in list(issued_ranges(device)):
        end = issued.until
        ended = replace(issued, first=end, next_unused=end, handed_out=end, skipped=())
        ISSUED_TOKEN_RANGE_TABLE.store(ended, key, device.vault)


def issued_ranges(device: Device) -> Iterator[tuple[str, IssuedRange]]:
    """Yield every issued range with the ``peer_key`` of its device."""
    for key in ISSUED_TOKEN_RANGE_TABLE.keys(device.vault):
        issued = ISSUED_TOKEN_RANGE_TABLE.load(key, device.vault)
        if issued is not None:
            yield key, issued


def count_retired_ranges(peer_id: str, device: Device) -> int:
    """Return the number of replaced ranges of one device that are still valid."""
    return len(RETIRED_TOKEN_RANGE_TABLE.keys(device.vault, peer_id))


def _retire_range(issued: IssuedRange, peer_id: str, device: Device) -> None:
    drop_at = now_in_whole_seconds(device) + _RETIRED_RANGE_VALIDITY
    retired = RetiredIssuedRange(issued.seed, issued.first, issued.until, drop_at)
    name = token_hash(derive_send_token(issued.seed, issued.first)).hex()
    RETIRED_TOKEN_RANGE_TABLE.store(retired, f"{peer_id} {name}", device.vault)


def _withdraw_retired_range(key: str, device: Device) -> None:
    retired = RETIRED_TOKEN_RANGE_TABLE.load(key, device.vault)
    if retired is not None:
        _withdraw_indexes(retired.seed, range(retired.first, retired.until), device)
    RETIRED_TOKEN_RANGE_TABLE.drop(key, device.vault)


def _withdraw_indexes(seed: Secret, indexes: range, device: Device) -> None:
    for key, registration in _queued_registrations(device).items():
        if registration.seed == seed:
            TOKEN_REGISTRATION_TABLE.drop(key, device.vault)
    for start in range(indexes.start, indexes.stop, TOKEN_BATCH_MAX):
        part = range(start, min(start + TOKEN_BATCH_MAX, indexes.stop))
        _queue_withdrawal_of_run(seed, part, device)


def _queue_withdrawal_of_run(seed: Secret, part: range, device: Device) -> None:
    withdrawal = TokenWithdrawal(seed, part.start, part.stop)
    TOKEN_WITHDRAWAL_TABLE.store(withdrawal, _last_token_hash_of(seed, part).hex(), device.vault)


def _split_into_runs(indexes: Sequence[int]) -> Iterator[range]:
    """Split ascending indexes into ranges without gaps."""
    start = 0
    for place in range(1, len(indexes) + 1):
        if place == len(indexes) or indexes[place] != indexes[place - 1] + 1:
            yield range(indexes[start], indexes[place - 1] + 1)
            start = place


def token_hashes(tokens: QueuedRegistration | TokenWithdrawal) -> Iterator[bytes]:
    """Return the hashes of tokens that are to be registered or withdrawn."""
    indexes = range(tokens.first, tokens.until)
    return (token_hash(derive_send_token(tokens.seed, index)) for index in indexes)


def _last_token_hash_of(seed: Secret, indexes: range) -> bytes:
    return token_hash(derive_send_token(seed, indexes[-1]))


TokensT = TypeVar("TokensT", QueuedRegistration, TokenWithdrawal)
_BATCH_PEOPLE_MIN: Final = (
    2  # a batch for fewer people is easy to recognize, so it gets more padding
)
# Tokens of at most this many ranges of other people are registered too, to hide who needs tokens.
_COVER_PEOPLE_MAX: Final = 4
_COVER_TOKENS_PER_PERSON_MIN: Final = 4  # at least this many tokens of each of these ranges
_TOKEN_VALIDITY: Final = timedelta(
    days=TOKEN_RANGE_DAYS + REPLACED_TOKEN_RANGE_DAYS + 3
)  # the last three days are slack


def send_token_changes(device: Device) -> None:
    """Register the queued tokens and withdraw revoked ones.

    If a batch is refused, for example because it would register too many tokens, it is split.
    Withdrawals are then sent first and alone, so that nothing delays them.

    Raises:
        TooManyRegistered, RelayUnreachable or a refusal: the rest is sent next time.
    """
    try:
        _send_batches(device)
    except EntrenousError as why:
        if _may_succeed_later(why):
            raise
        with device.vault.transaction():
            _split_batches(device)
        _send_batches(device)


def _may_succeed_later(why: EntrenousError) -> bool:
    """Return whether the same bytes may be accepted later."""
    asked_too_often = isinstance(why, TooMany) and not isinstance(why, TooManyRegistered)
    return asked_too_often or isinstance(why, (Unreachable, ProtocolTooOld))


def _send_batches(device: Device) -> None:
    while True:
        for key in TOKEN_CHANGE_BATCH_TABLE.keys(device.vault):
            _send_batch(key, device)
        with device.vault.transaction():
            if not _assemble_batch(device):
                return


def _send_batch(key: str, device: Device) -> None:
    pending, home = (
        TOKEN_CHANGE_BATCH_TABLE.load(key, device.vault),
        own_device(device).home,
    )
    if pending is None:
        return
    device.courier.change_tokens(home.relay_url, home.mailbox, home.owner, pending.batch)
    with device.vault.transaction():
        for registration in pending.promises:
            TOKEN_REGISTRATION_TABLE.drop(registration, device.vault)
        for withdrawal in pending.withdrawals:
            _record_withdrawn(withdrawal, device)
        TOKEN_CHANGE_BATCH_TABLE.drop(key, device.vault)


def _record_withdrawn(key: str, device: Device) -> None:
    done = TOKEN_WITHDRAWAL_TABLE.load(key, device.vault)
    if done is not None:
        WITHDRAWN_TOKEN_TABLE.store(
            replace(done, reported_at=device.clock.now()), key, device.vault
        )
    TOKEN_WITHDRAWAL_TABLE.drop(key, device.vault)


def _assemble_batch(device: Device) -> bool:
    """Store the next batch; return whether there was anything to send."""
    registrations = _queued_registrations(device)
    if registrations:
        _add_cover_registrations({one.person for one in registrations.values()}, device)
    registrations = _fitting_in_batch(_queued_registrations(device))
    withdrawals = _fitting_in_batch(_queued_withdrawals(device))
    if not registrations and not withdrawals:
        return False
    alone = len({one.person for one in registrations.values()}) < _BATCH_PEOPLE_MIN
    batch = SendTokenChanges(
        add=_pad_token_hashes(registrations.values(), TOKEN_RANGE_SIZE if alone else 0, device),
        drop=_pad_token_hashes(withdrawals.values(), 0, device),
        expires_at=_token_expiry(device),
    )
    TOKEN_CHANGE_BATCH_TABLE.store(
        TokenChangeBatch(batch, tuple(registrations), tuple(withdrawals)), "0", device.vault
    )
    return True


def _split_batches(device: Device) -> None:
    """Replace the waiting batches by batches that only withdraw tokens, followed by batches that
    only register the remaining ones.
    """
    refused = [
        TOKEN_CHANGE_BATCH_TABLE.load(key, device.vault)
        for key in TOKEN_CHANGE_BATCH_TABLE.keys(device.vault)
    ]
    for key in TOKEN_CHANGE_BATCH_TABLE.keys(device.vault):
        TOKEN_CHANGE_BATCH_TABLE.drop(key, device.vault)
    waiting, laid = _queued_withdrawals(device), list[TokenChangeBatch]()
    withdrawn_locks = frozenset(lock for one in waiting.values() for lock in token_hashes(one))
    until, later = _token_expiry(device), list[TokenChangeBatch]()
    for one in (one for one in refused if one is not None):
        if one.withdrawals:
            laid.append(
                TokenChangeBatch(SendTokenChanges((), one.batch.drop, until), (), one.withdrawals)
            )
        promises = tuple(
            key for key in one.promises if TOKEN_REGISTRATION_TABLE.has(key, device.vault)
        )
        if promises:
            kept = [lock for lock in one.batch.add if lock not in withdrawn_locks]
            add = _pad_with_random_hashes(kept, 0, device)
            later.append(TokenChangeBatch(SendTokenChanges(add, (), until), promises, ()))
        for key in one.withdrawals:
            waiting.pop(key, None)
    while waiting:
        withdrawals = _fitting_in_batch(waiting)
        drop = _pad_token_hashes(withdrawals.values(), 0, device)
        laid.append(TokenChangeBatch(SendTokenChanges((), drop, until), (), tuple(withdrawals)))
        waiting = {key: one for key, one in waiting.items() if key not in withdrawals}
    for order, pending in enumerate((*laid, *later)):
        TOKEN_CHANGE_BATCH_TABLE.store(pending, f"{order:06d}", device.vault)


def _token_expiry(device: Device) -> datetime:
    """Return the expiry of the tokens: the end of a day, the same for everybody who registers
    that day.
    """
    end = now_in_whole_seconds(device) + _TOKEN_VALIDITY + timedelta(days=1)
    return end.replace(hour=0, minute=0, second=0)


def _queued_registrations(device: Device) -> dict[str, QueuedRegistration]:
    found = (
        (key, TOKEN_REGISTRATION_TABLE.load(key, device.vault))
        for key in TOKEN_REGISTRATION_TABLE.keys(device.vault)
    )
    return {key: one for key, one in found if one is not None}


def _queued_withdrawals(device: Device) -> dict[str, TokenWithdrawal]:
    keys = TOKEN_WITHDRAWAL_TABLE.keys(device.vault)
    found = ((key, TOKEN_WITHDRAWAL_TABLE.load(key, device.vault)) for key in keys)
    return {key: one for key, one in found if one is not None}


def _fitting_in_batch(waiting: dict[str, TokensT]) -> dict[str, TokensT]:
    """Return as many items as fit into one batch, in the order of hashes, so that nobody is
    preferred.
    """
    going, size = dict[str, TokensT](), 0
    for key, one in waiting.items():
        size += one.until - one.first
        if size <= TOKEN_BATCH_MAX:
            going[key] = one
    return going


def _add_cover_registrations(people: set[PersonId], device: Device) -> None:
    """Queue tokens of some ranges of other people for registration too, to hide who gets new
    tokens. The ranges with the fewest unused tokens are extended.
    """
    others = [
        one for one in issued_ranges(device) if bytes.fromhex(one[0].split()[0]) not in people
    ]
    others.sort(key=lambda one: one[1].until - one[1].next_unused)
    for key, issued in others[:_COVER_PEOPLE_MAX]:
        until = max(
            issued.until + _COVER_TOKENS_PER_PERSON_MIN, issued.next_unused + TOKEN_RANGE_SIZE
        )
        extend_range(issued, key, min(until, issued.next_unused + TOKEN_RANGE_UNUSED_MAX), device)


def _pad_token_hashes(tokens: Iterable[TokensT], further: int, device: Device) -> tuple[bytes, ...]:
    """Pad with random hashes to 64, 128, 256, ... hashes. At least ``further`` of them are random,
    as far as the largest size of a batch allows.
    """
    return _pad_with_random_hashes(
        [lock for one in tokens for lock in token_hashes(one)], further, device
    )


def _pad_with_random_hashes(real: list[bytes], further: int, device: Device) -> tuple[bytes, ...]:
    if not real:
        return ()
    size = TOKEN_RANGE_SIZE
    while size < min(len(real) + further, TOKEN_BATCH_MAX):
        size *= 2
    randomness = device.random_source.token(32 * (size - len(real)))
    fillers: list[bytes] = [randomness[at : at + 32] for at in range(0, len(randomness), 32)]
    return tuple(sorted([*real, *fillers]))
