"""Tokens that others may write to us with: a range for each of their devices.

They are registered at our relay, many at once, so that it cannot tell whose they are.
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
    OLD_WINDOW_DAYS,
    TOKEN_BATCH_MAX,
    WINDOW_AHEAD_MAX,
    WINDOW_DAYS,
    WINDOW_SKIPPED_MAX,
    WINDOW_TOKENS,
)
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import lock_of
from entrenous.crypto.key_derivation import send_token
from entrenous.device.device import Device
from entrenous.device.identities import who_am_i
from entrenous.device.vault_tables import (
    BATCH,
    CHORE,
    WINDOW_IN,
    WINDOW_OLD,
    WITHDRAW,
    WITHDRAWN,
    load_record,
    peer_key,
    store_record,
)
from entrenous.send.clock_sanity import LONGEST_ON_ITS_WAY, believed_now, is_clock_odd, this_second
from entrenous.send.tokens.token_ranges import (
    GivenWindow,
    Promise,
    RetiredWindow,
    Telling,
    Withdrawal,
)
from entrenous.wire.relay_nouns import TokenBatch

_OLD: Final = timedelta(days=OLD_WINDOW_DAYS)


def issue_range(person: Person, key: DeviceId, device: Device) -> GivenWindow:
    """A fresh window for one of somebody's devices; one that it has holds for some days more.

    Call it in the transaction that writes the letter which tells of it. Indexes go on where the
    window before ended, so that a letter which names one says which window it means.
    """
    whose, now = peer_key(person.id, key), this_second(device)
    before = load_record(GivenWindow, WINDOW_IN, whose, device.vault)
    if before is not None:
        _retire(before, whose, device)
    first = 0 if before is None else before.until
    end = first + WINDOW_TOKENS
    window = GivenWindow(
        *(Secret(device.dice.token(32)), first, first, end, end, now),
        *(person.head, who_am_i(device).person.head),
    )
    queue_registration(window, range(first, end), person.id, device)
    store_record(window, WINDOW_IN, whose, device.vault)
    return window


def extend_range(window: GivenWindow, whose: str, until: int, device: Device) -> GivenWindow:
    """The same window with its tokens promised up to ``until``; what is promised stays so."""
    person = PersonId(bytes.fromhex(whose.split(maxsplit=1)[0]))
    queue_registration(window, range(window.until, until), person, device)
    wider = replace(window, until=max(until, window.until))
    store_record(wider, WINDOW_IN, whose, device.vault)
    return wider


def queue_registration(
    window: GivenWindow, indexes: range, person: PersonId, device: Device
) -> None:
    """Have these tokens registered with the next batch."""
    if indexes:
        promised = Promise(person, window.seed, indexes.start, indexes.stop)
        store_record(promised, CHORE, _last(window.seed, indexes).hex(), device.vault)


def needed(window: GivenWindow) -> bytes:
    """The lock of the last token that a letter about this window tells of."""
    return lock_of(send_token(window.seed, window.told - 1))


def note_token_used(person: PersonId, key: DeviceId, index: int | None, device: Device) -> None:
    """Note that a letter came with this token; an index that she was never told of says nothing.

    Of those that it overtook the oldest hold no longer, once they are many: a letter that names the
    last one must not leave all the others registered. Those that were used stay out of this, since
    what is dropped together is seen together.
    """
    whose = peer_key(person, key)
    window = load_record(GivenWindow, WINDOW_IN, whose, device.vault)
    if window is None or index is None or not window.first <= index < window.told:
        return
    if index < window.unseen:
        skipped = tuple(one for one in window.skipped if one != index)
        came = window.came + len(window.skipped) - len(skipped)
        store_record(replace(window, skipped=skipped, came=came), WINDOW_IN, whose, device.vault)
        return
    skipped = (*window.skipped, *range(window.unseen, index))
    for run in _runs(skipped[:-WINDOW_SKIPPED_MAX]):
        _lay_withdrawal(window.seed, run, device)
    noted = replace(
        window, unseen=index + 1, came=window.came + 1, skipped=skipped[-WINDOW_SKIPPED_MAX:]
    )
    store_record(noted, WINDOW_IN, whose, device.vault)


def take_tokens_back(person: PersonId, device: Device) -> tuple[bytes, ...]:
    """See to it that no token that we gave to a person holds any longer.

    Call it in a transaction; the relay hears it with the next chores. The locks are those that
    letters in the outbox may be waiting for.
    """
    keys = device.vault.keys(WINDOW_IN, person.hex())
    needs = []
    for key in keys:
        window = load_record(GivenWindow, WINDOW_IN, key, device.vault)
        needs.append(needed(window) if window else b"")
        withdraw_range(key, device)
    for key in device.vault.keys(WINDOW_OLD, person.hex()):
        _withdraw_old(key, device)
    return tuple(needs)


def withdraw_range(whose: str, device: Device) -> None:
    """Take back what one device may write to us with."""
    window = load_record(GivenWindow, WINDOW_IN, whose, device.vault)
    if window is not None:
        _withdraw(window.seed, range(window.first, window.until), device)
        device.vault.drop(WINDOW_IN, whose)
    for key in device.vault.keys(WINDOW_OLD, whose):
        _withdraw_old(key, device)


def withdraw_lapsed(device: Device) -> None:
    """Take back what is left of windows that were replaced long enough ago. One that was replaced
    by a clock that was far ahead has its days from now on.
    """
    now, surely = device.clock.now(), believed_now(device)
    for key in device.vault.keys(WINDOW_OLD):
        window = load_record(RetiredWindow, WINDOW_OLD, key, device.vault)
        if window is None:
            continue
        if window.drop_at <= surely:
            with device.vault.together():
                _withdraw_old(key, device)
        elif window.drop_at - now > _OLD + LONGEST_ON_ITS_WAY and not is_clock_odd(device):
            store_record(replace(window, drop_at=now + _OLD), WINDOW_OLD, key, device.vault)


def forget_given(device: Device) -> None:
    """Forget every token that was given, at a relay that we leave; call it in a transaction.

    What is left of a window is where the next one begins.
    """
    for drawer in (CHORE, BATCH, WITHDRAW, WITHDRAWN, WINDOW_OLD):
        for key in device.vault.keys(drawer):
            device.vault.drop(drawer, key)
    for key, window in list(issued_ranges(device)):
        end = window.until
        store_record(
            replace(window, first=end, unseen=end, told=end, skipped=()),
            WINDOW_IN,
            key,
            device.vault,
        )


def issued_ranges(device: Device) -> Iterator[tuple[str, GivenWindow]]:
    """Every window that we gave, with the peer's key."""
    for key in device.vault.keys(WINDOW_IN):
        window = load_record(GivenWindow, WINDOW_IN, key, device.vault)
        if window is not None:
            yield key, window


def count_retired(whose: str, device: Device) -> int:
    """How many windows of one device were replaced, and still hold."""
    return len(device.vault.keys(WINDOW_OLD, whose))


def _retire(window: GivenWindow, whose: str, device: Device) -> None:
    drop_at = this_second(device) + _OLD
    retired = RetiredWindow(window.seed, window.first, window.until, drop_at)
    name = lock_of(send_token(window.seed, window.first)).hex()
    store_record(retired, WINDOW_OLD, f"{whose} {name}", device.vault)


def _withdraw_old(key: str, device: Device) -> None:
    window = load_record(RetiredWindow, WINDOW_OLD, key, device.vault)
    if window is not None:
        _withdraw(window.seed, range(window.first, window.until), device)
    device.vault.drop(WINDOW_OLD, key)


def _withdraw(seed: Secret, indexes: range, device: Device) -> None:
    for promised in device.vault.keys(CHORE):
        waits = load_record(Promise, CHORE, promised, device.vault)
        if waits is not None and waits.seed == seed:
            device.vault.drop(CHORE, promised)
    for start in range(indexes.start, indexes.stop, TOKEN_BATCH_MAX):
        part = range(start, min(start + TOKEN_BATCH_MAX, indexes.stop))
        _lay_withdrawal(seed, part, device)


def _lay_withdrawal(seed: Secret, part: range, device: Device) -> None:
    taken = Withdrawal(seed, part.start, part.stop)
    store_record(taken, WITHDRAW, _last(seed, part).hex(), device.vault)


def _runs(indexes: Sequence[int]) -> Iterator[range]:
    """These, in order, as ranges without a gap."""
    start = 0
    for place in range(1, len(indexes) + 1):
        if place == len(indexes) or indexes[place] != indexes[place - 1] + 1:
            yield range(indexes[start], indexes[place - 1] + 1)
            start = place


def locks_of(tokens: Promise | Withdrawal) -> Iterator[bytes]:
    """The locks of tokens that are to be registered or dropped."""
    indexes = range(tokens.first, tokens.until)
    return (lock_of(send_token(tokens.seed, index)) for index in indexes)


def _last(seed: Secret, indexes: range) -> bytes:
    return lock_of(send_token(seed, indexes[-1]))


Tokens = TypeVar("Tokens", Promise, Withdrawal)
_MANY: Final = 2  # a batch about fewer people could be told from others, so it is made larger
_OTHERS: Final = 4  # people who are given some too
_FRESH: Final = 4  # tokens, at least, for each of them
_LASTS: Final = timedelta(days=WINDOW_DAYS + OLD_WINDOW_DAYS + 3)  # and three to look after them


def register_tokens(device: Device) -> None:
    """Register what was promised, drop what was taken back.

    A batch that is refused, as when there is no room or it lay here for too long, is taken apart:
    what was taken back goes first and alone, so that nothing keeps it from being heard.

    Raises:
        TooManyRegistered, RelayUnreachable, a refusal: what was not told is told the next time.
    """
    try:
        _tell_all(device)
    except EntrenousError as why:
        if _is_for_later(why):
            raise
        with device.vault.together():
            _take_apart(device)
        _tell_all(device)


def _is_for_later(why: EntrenousError) -> bool:
    """Whether the same bytes may be taken later."""
    asked_too_often = isinstance(why, TooMany) and not isinstance(why, TooManyRegistered)
    return asked_too_often or isinstance(why, (Unreachable, ProtocolTooOld))


def _tell_all(device: Device) -> None:
    while True:
        for key in device.vault.keys(BATCH):
            _tell(key, device)
        with device.vault.together():
            if not _assemble(device):
                return


def _tell(key: str, device: Device) -> None:
    telling, home = load_record(Telling, BATCH, key, device.vault), who_am_i(device).home
    if telling is None:
        return
    device.courier.change_tokens(home.relay_url, home.mailbox, home.owner, telling.batch)
    with device.vault.together():
        for promised in telling.promises:
            device.vault.drop(CHORE, promised)
        for taken in telling.withdrawals:
            _note_told(taken, device)
        device.vault.drop(BATCH, key)


def _note_told(key: str, device: Device) -> None:
    taken = load_record(Withdrawal, WITHDRAW, key, device.vault)
    if taken is not None:
        store_record(replace(taken, told_at=device.clock.now()), WITHDRAWN, key, device.vault)
    device.vault.drop(WITHDRAW, key)


def _assemble(device: Device) -> bool:
    """Lay the next batch out; whether there was anything to tell."""
    promised = _promised(device)
    if promised:
        _add_fresh({one.person for one in promised.values()}, device)
    promised = _as_many_as_go(_promised(device))
    taken = _as_many_as_go(_taken(device))
    if not promised and not taken:
        return False
    alone = len({one.person for one in promised.values()}) < _MANY
    batch = TokenBatch(
        add=_padded(promised.values(), WINDOW_TOKENS if alone else 0, device),
        drop=_padded(taken.values(), 0, device),
        expires_at=_holds_until(device),
    )
    store_record(Telling(batch, tuple(promised), tuple(taken)), BATCH, "0", device.vault)
    return True


def _take_apart(device: Device) -> None:
    """Lay the batches that wait out anew: first what was taken back, all of it, then what is left
    to be registered.
    """
    refused = [load_record(Telling, BATCH, key, device.vault) for key in device.vault.keys(BATCH)]
    for key in device.vault.keys(BATCH):
        device.vault.drop(BATCH, key)
    waiting, laid = _taken(device), list[Telling]()
    back = frozenset(lock for one in waiting.values() for lock in locks_of(one))
    until, later = _holds_until(device), list[Telling]()
    for one in (one for one in refused if one is not None):
        if one.withdrawals:
            laid.append(Telling(TokenBatch((), one.batch.drop, until), (), one.withdrawals))
        promises = tuple(key for key in one.promises if device.vault.get(CHORE, key) is not None)
        if promises:
            add = _filled([lock for lock in one.batch.add if lock not in back], 0, device)
            later.append(Telling(TokenBatch(add, (), until), promises, ()))
        for key in one.withdrawals:
            waiting.pop(key, None)
    while waiting:
        taken = _as_many_as_go(waiting)
        drop = _padded(taken.values(), 0, device)
        laid.append(Telling(TokenBatch((), drop, until), (), tuple(taken)))
        waiting = {key: one for key, one in waiting.items() if key not in taken}
    for order, telling in enumerate((*laid, *later)):
        store_record(telling, BATCH, f"{order:06d}", device.vault)


def _holds_until(device: Device) -> datetime:
    """The end of a day: the same for all that is registered on one day, by whomever."""
    end = this_second(device) + _LASTS + timedelta(days=1)
    return end.replace(hour=0, minute=0, second=0)


def _promised(device: Device) -> dict[str, Promise]:
    found = (
        (key, load_record(Promise, CHORE, key, device.vault)) for key in device.vault.keys(CHORE)
    )
    return {key: one for key, one in found if one is not None}


def _taken(device: Device) -> dict[str, Withdrawal]:
    keys = device.vault.keys(WITHDRAW)
    found = ((key, load_record(Withdrawal, WITHDRAW, key, device.vault)) for key in keys)
    return {key: one for key, one in found if one is not None}


def _as_many_as_go(waiting: dict[str, Tokens]) -> dict[str, Tokens]:
    """As many as one batch holds; by the bytes of a lock, which is everybody's turn alike."""
    going, size = dict[str, Tokens](), 0
    for key, one in waiting.items():
        size += one.until - one.first
        if size <= TOKEN_BATCH_MAX:
            going[key] = one
    return going


def _add_fresh(promised: set[PersonId], device: Device) -> None:
    """Promise some tokens to others too, those with the fewest left: a batch is about many."""
    others = [
        one for one in issued_ranges(device) if bytes.fromhex(one[0].split()[0]) not in promised
    ]
    others.sort(key=lambda one: one[1].until - one[1].unseen)
    for key, window in others[:_OTHERS]:
        until = max(window.until + _FRESH, window.unseen + WINDOW_TOKENS)
        extend_range(window, key, min(until, window.unseen + WINDOW_AHEAD_MAX), device)


def _padded(tokens: Iterable[Tokens], further: int, device: Device) -> tuple[bytes, ...]:
    """64, 128, 256, ... locks, at least ``further`` of which are nobody's."""
    return _filled([lock for one in tokens for lock in locks_of(one)], further, device)


def _filled(real: list[bytes], further: int, device: Device) -> tuple[bytes, ...]:
    if not real:
        return ()
    size = WINDOW_TOKENS
    while size < min(len(real) + further, TOKEN_BATCH_MAX):
        size *= 2
    drawn = device.dice.token(32 * (size - len(real)))
    nobodys: list[bytes] = [drawn[at : at + 32] for at in range(0, len(drawn), 32)]
    return tuple(sorted([*real, *nobodys]))
