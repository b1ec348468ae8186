"""What others may write to us with: a window of tokens for each of their devices.

Nothing here talks to the relay: what is to be registered or dropped waits in the vault until
send/tokens/batch.py tells of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from entrenous.craft.crypto.hashing import lock_of
from entrenous.craft.crypto.tokens import send_token
from entrenous.model.ids import DeviceId, PersonId
from entrenous.model.person import Person
from entrenous.model.secret import Secret
from entrenous.model.window import GivenWindow, Promise, RetiredWindow, Withdrawal
from entrenous.ports import Device
from entrenous.send.devices.self import who_am_i
from entrenous.send.drawers import (
    BATCH,
    CHORE,
    WINDOW_IN,
    WINDOW_OLD,
    WITHDRAW,
    WITHDRAWN,
    lay,
    peer_key,
    take,
)
from entrenous.send.moment import LONGEST_ON_ITS_WAY, this_second
from entrenous.send.odd_clock import believed_now, is_clock_odd
from entrenous.spec import OLD_WINDOW_DAYS, TOKEN_BATCH_MAX, WINDOW_SKIPPED_MAX, WINDOW_TOKENS

_OLD: Final = timedelta(days=OLD_WINDOW_DAYS)


def give_window(person: Person, key: DeviceId, device: Device) -> GivenWindow:
    """A fresh window for one of somebody's devices; one that it has holds for some days more.

    Call it in the transaction that writes the letter which tells of it. Indexes go on where the
    window before ended, so that a letter which names one says which window it means.
    """
    whose, now = peer_key(person.id, key), this_second(device)
    before = take(GivenWindow, WINDOW_IN, whose, device.vault)
    if before is not None:
        _retire(before, whose, device)
    first = 0 if before is None else before.until
    end = first + WINDOW_TOKENS
    window = GivenWindow(
        *(Secret(device.dice.token(32)), first, first, end, end, now),
        *(person.head, who_am_i(device).person.head),
    )
    promise(window, range(first, end), person.id, device)
    lay(window, WINDOW_IN, whose, device.vault)
    return window


def widen(window: GivenWindow, whose: str, until: int, device: Device) -> GivenWindow:
    """The same window with its tokens promised up to ``until``; what is promised stays so."""
    person = PersonId(bytes.fromhex(whose.split(maxsplit=1)[0]))
    promise(window, range(window.until, until), person, device)
    wider = replace(window, until=max(until, window.until))
    lay(wider, WINDOW_IN, whose, device.vault)
    return wider


def promise(window: GivenWindow, indexes: range, person: PersonId, device: Device) -> None:
    """Have these tokens registered with the next batch."""
    if indexes:
        promised = Promise(person, window.seed, indexes.start, indexes.stop)
        lay(promised, CHORE, _last(window.seed, indexes).hex(), device.vault)


def needed(window: GivenWindow) -> bytes:
    """The lock of the last token that a letter about this window tells of."""
    return lock_of(send_token(window.seed, window.told - 1))


def note_use(person: PersonId, key: DeviceId, index: int | None, device: Device) -> None:
    """Note that a letter came with this token; an index that she was never told of says nothing.

    Of those that it overtook the oldest hold no longer, once they are many: a letter that names the
    last one must not leave all the others registered. Those that were used stay out of this, since
    what is dropped together is seen together.
    """
    whose = peer_key(person, key)
    window = take(GivenWindow, WINDOW_IN, whose, device.vault)
    if window is None or index is None or not window.first <= index < window.told:
        return
    if index < window.unseen:
        skipped = tuple(one for one in window.skipped if one != index)
        came = window.came + len(window.skipped) - len(skipped)
        lay(replace(window, skipped=skipped, came=came), WINDOW_IN, whose, device.vault)
        return
    skipped = (*window.skipped, *range(window.unseen, index))
    for run in _runs(skipped[:-WINDOW_SKIPPED_MAX]):
        _lay_withdrawal(window.seed, run, device)
    noted = replace(
        window, unseen=index + 1, came=window.came + 1, skipped=skipped[-WINDOW_SKIPPED_MAX:]
    )
    lay(noted, WINDOW_IN, whose, device.vault)


def take_tokens_back(person: PersonId, device: Device) -> tuple[bytes, ...]:
    """See to it that no token that we gave to a person holds any longer.

    Call it in a transaction; the relay hears it with the next chores. The locks are those that
    letters in the outbox may be waiting for.
    """
    keys = device.vault.keys(WINDOW_IN, person.hex())
    needs = []
    for key in keys:
        window = take(GivenWindow, WINDOW_IN, key, device.vault)
        needs.append(needed(window) if window else b"")
        withdraw_window(key, device)
    for key in device.vault.keys(WINDOW_OLD, person.hex()):
        _withdraw_old(key, device)
    return tuple(needs)


def withdraw_window(whose: str, device: Device) -> None:
    """Take back what one device may write to us with."""
    window = take(GivenWindow, WINDOW_IN, whose, device.vault)
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
        window = take(RetiredWindow, WINDOW_OLD, key, device.vault)
        if window is None:
            continue
        if window.drop_at <= surely:
            with device.vault.together():
                _withdraw_old(key, device)
        elif window.drop_at - now > _OLD + LONGEST_ON_ITS_WAY and not is_clock_odd(device):
            lay(replace(window, drop_at=now + _OLD), WINDOW_OLD, key, device.vault)


def forget_given(device: Device) -> None:
    """Forget every token that was given, at a relay that we leave; call it in a transaction.

    What is left of a window is where the next one begins.
    """
    for drawer in (CHORE, BATCH, WITHDRAW, WITHDRAWN, WINDOW_OLD):
        for key in device.vault.keys(drawer):
            device.vault.drop(drawer, key)
    for key, window in list(windows(device)):
        end = window.until
        lay(
            replace(window, first=end, unseen=end, told=end, skipped=()),
            WINDOW_IN,
            key,
            device.vault,
        )


def windows(device: Device) -> Iterator[tuple[str, GivenWindow]]:
    """Every window that we gave, with the peer's key."""
    for key in device.vault.keys(WINDOW_IN):
        window = take(GivenWindow, WINDOW_IN, key, device.vault)
        if window is not None:
            yield key, window


def count_retired(whose: str, device: Device) -> int:
    """How many windows of one device were replaced, and still hold."""
    return len(device.vault.keys(WINDOW_OLD, whose))


def _retire(window: GivenWindow, whose: str, device: Device) -> None:
    drop_at = this_second(device) + _OLD
    retired = RetiredWindow(window.seed, window.first, window.until, drop_at)
    name = lock_of(send_token(window.seed, window.first)).hex()
    lay(retired, WINDOW_OLD, f"{whose} {name}", device.vault)


def _withdraw_old(key: str, device: Device) -> None:
    window = take(RetiredWindow, WINDOW_OLD, key, device.vault)
    if window is not None:
        _withdraw(window.seed, range(window.first, window.until), device)
    device.vault.drop(WINDOW_OLD, key)


def _withdraw(seed: Secret, indexes: range, device: Device) -> None:
    for promised in device.vault.keys(CHORE):
        waits = take(Promise, CHORE, promised, device.vault)
        if waits is not None and waits.seed == seed:
            device.vault.drop(CHORE, promised)
    for start in range(indexes.start, indexes.stop, TOKEN_BATCH_MAX):
        part = range(start, min(start + TOKEN_BATCH_MAX, indexes.stop))
        _lay_withdrawal(seed, part, device)


def _lay_withdrawal(seed: Secret, part: range, device: Device) -> None:
    taken = Withdrawal(seed, part.start, part.stop)
    lay(taken, WITHDRAW, _last(seed, part).hex(), device.vault)


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
