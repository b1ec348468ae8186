"""The bytes of blobs whose rows are gone (docs/spec/relay.md section 8).

The rows of what is deleted go in one transaction, the bytes after it, and a bucket or a disk may
refuse that for a while. A name that fails goes behind all others, so that it holds up nobody's.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from entrenous.carry.moment import now
from entrenous.model.errors import EntrenousError
from entrenous.model.held import Leftover
from entrenous.ports import MailDesk, Relay

_BATCH: Final = 100  # names in one transaction
_AGAIN: Final = timedelta(minutes=1)  # by the next sweep
_FAILED_MAX: Final = 3  # as many, and it is the store that is away; each may have taken minutes


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
        gone, stuck = list[Leftover](), list[Leftover]()
        for leftover in names:
            try:
                await relay.blobs.drop(leftover.name)
            except EntrenousError as why:
                failed.append(why)
                stuck.append(leftover)
                if len(failed) == _FAILED_MAX:
                    break
            else:
                gone.append(leftover)
        await relay.mail.together(partial(_note, gone=gone, stuck=stuck, again=present + _AGAIN))
    if failed:
        raise failed[0]


def _note(desk: MailDesk, gone: list[Leftover], stuck: list[Leftover], again: datetime) -> None:
    for leftover in gone:
        desk.drop(Leftover, leftover.name)
    for leftover in stuck:
        if desk.get(Leftover, leftover.name) is not None:  # nobody else removed it meanwhile
            desk.put(replace(leftover, due_at=again))
