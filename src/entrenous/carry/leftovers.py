"""The bytes of blobs whose rows are gone (docs/spec/relay.md section 8).

The rows of what is deleted go in one transaction, the bytes after it, and a bucket or a disk may
refuse that for a while. A name that fails goes behind all others, so that it holds up nobody's.

What a request deletes is deleted once the rows are gone, so it waits for the bytes of its own blobs
for a moment only and for nobody else's, and it does not fail when they stay: the sweep of each
minute (:func:`remove_leftovers`) has them.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from entrenous.carry.moment import now, patience
from entrenous.model.errors import EntrenousError
from entrenous.model.held import Leftover
from entrenous.ports import MailDesk, Relay

Answer = TypeVar("Answer")

_BATCH: Final = 100  # names in one transaction
_AGAIN: Final = timedelta(minutes=1)  # by the next sweep
_FAILED_MAX: Final = 3  # as many, and it is the store that is away; each may have taken minutes
_SOON_S: Final = 2.0  # for all that one request left over


def noted(work: Callable[[MailDesk], Answer]) -> Callable[[MailDesk], tuple[Answer, list[str]]]:
    """The same work, which also tells the names that it left over, for :func:`remove_soon`."""

    def noting(desk: MailDesk) -> tuple[Answer, list[str]]:
        seen = _Noting(desk)
        return work(seen), seen.names

    return noting


async def remove_soon(names: Iterable[str], relay: Relay) -> None:
    """Delete the bytes that a request has just left over, as far as the store does so at once."""
    gone = list[str]()
    with suppress(EntrenousError, TimeoutError):
        async with patience(_SOON_S):
            for name in names:
                await relay.blobs.drop(name)
                gone.append(name)
    if gone:
        with suppress(EntrenousError):
            await relay.mail.together(partial(_forget, names=gone))


async def remove_leftovers(relay: Relay) -> None:
    """Delete the bytes that are due; what fails is due again a minute later.

    Raises:
        DiskFailed, DiskFull: of the first name that failed; all others were tried, unless a third
            one failed too.
    """
    present, failed = now(relay), list[EntrenousError]()
    while len(failed) < _FAILED_MAX and (
        names := await relay.mail.look(lambda view: view.due(Leftover, present, _BATCH))
    ):
        gone, stuck = list[str](), list[Leftover]()
        for leftover in names:
            try:
                await relay.blobs.drop(leftover.name)
            except EntrenousError as why:
                failed.append(why)
                stuck.append(leftover)
                if len(failed) == _FAILED_MAX:
                    break
            else:
                gone.append(leftover.name)
        await relay.mail.together(partial(_note, gone=gone, stuck=stuck, again=present + _AGAIN))
    if failed:
        raise failed[0]


class _Noting:
    """A desk that writes down which names are left over."""

    def __init__(self, desk: MailDesk) -> None:
        self.names = list[str]()
        self._put, self.drop = desk.put, desk.drop
        self.get, self.find, self.count = desk.get, desk.find, desk.count
        self.weigh, self.letters, self.due = desk.weigh, desk.letters, desk.due

    def put(self, row: object) -> None:
        if isinstance(row, Leftover):
            self.names.append(row.name)
        self._put(row)


def _forget(desk: MailDesk, names: list[str]) -> None:
    for name in names:
        desk.drop(Leftover, name)


def _note(desk: MailDesk, gone: list[str], stuck: list[Leftover], again: datetime) -> None:
    _forget(desk, gone)
    for leftover in stuck:
        if desk.get(Leftover, leftover.name) is not None:  # nobody else removed it meanwhile
            desk.put(replace(leftover, due_at=again))
