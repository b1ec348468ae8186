"""Tell our relay about tokens, many at once, so that it cannot tell whose they are.

Whatever is to be registered goes together with fresh tokens for others, filled up with locks that
nobody has the token of. Locks are hashes, so in the order of their bytes they are
shuffled. A batch is on disk before it leaves, and goes again in the same bytes if its answer was
lost: of two batches that differ in their padding only, the padding could be told. For the same
reason what was refused goes again with the padding that it had.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from entrenous.model.envelope import TokenBatch
from entrenous.model.errors import EntrenousError, Unreachable
from entrenous.model.ids import PersonId
from entrenous.model.relay_problem import ProtocolTooOld, TooMany, TooManyRegistered
from entrenous.model.window import Promise, Telling, Withdrawal
from entrenous.ports import Device
from entrenous.send.devices.self import who_am_i
from entrenous.send.drawers import BATCH, CHORE, WITHDRAW, WITHDRAWN, lay, take
from entrenous.send.moment import this_second
from entrenous.send.tokens.windows import locks_of, widen, windows
from entrenous.spec import (
    OLD_WINDOW_DAYS,
    TOKEN_BATCH_MAX,
    WINDOW_AHEAD_MAX,
    WINDOW_DAYS,
    WINDOW_TOKENS,
)

Tokens = TypeVar("Tokens", Promise, Withdrawal)

_MANY: Final = 2  # a batch about fewer people could be told from others, so it is made larger
_OTHERS: Final = 4  # people who are given some too
_FRESH: Final = 4  # tokens, at least, for each of them
_LASTS: Final = timedelta(days=WINDOW_DAYS + OLD_WINDOW_DAYS + 3)  # and three to look after them


def tell_of_tokens(device: Device) -> None:
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
    telling, home = take(Telling, BATCH, key, device.vault), who_am_i(device).home
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
    taken = take(Withdrawal, WITHDRAW, key, device.vault)
    if taken is not None:
        lay(replace(taken, told_at=device.clock.now()), WITHDRAWN, key, device.vault)
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
    lay(Telling(batch, tuple(promised), tuple(taken)), BATCH, "0", device.vault)
    return True


def _take_apart(device: Device) -> None:
    """Lay the batches that wait out anew: first what was taken back, all of it, then what is left
    to be registered.
    """
    refused = [take(Telling, BATCH, key, device.vault) for key in device.vault.keys(BATCH)]
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
        lay(telling, BATCH, f"{order:06d}", device.vault)


def _holds_until(device: Device) -> datetime:
    """The end of a day: the same for all that is registered on one day, by whomever."""
    end = this_second(device) + _LASTS + timedelta(days=1)
    return end.replace(hour=0, minute=0, second=0)


def _promised(device: Device) -> dict[str, Promise]:
    found = ((key, take(Promise, CHORE, key, device.vault)) for key in device.vault.keys(CHORE))
    return {key: one for key, one in found if one is not None}


def _taken(device: Device) -> dict[str, Withdrawal]:
    keys = device.vault.keys(WITHDRAW)
    found = ((key, take(Withdrawal, WITHDRAW, key, device.vault)) for key in keys)
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
    others = [one for one in windows(device) if bytes.fromhex(one[0].split()[0]) not in promised]
    others.sort(key=lambda one: one[1].until - one[1].unseen)
    for key, window in others[:_OTHERS]:
        until = max(window.until + _FRESH, window.unseen + WINDOW_TOKENS)
        widen(window, key, min(until, window.unseen + WINDOW_AHEAD_MAX), device)


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
