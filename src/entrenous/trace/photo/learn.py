"""Learn what sent pictures look like of which this was never kept, or was damaged."""

from collections.abc import Callable, Iterable
from contextlib import suppress

from entrenous.model.errors import EntrenousError
from entrenous.model.ids import MessageId
from entrenous.ports import Device
from entrenous.trace.photo.original import original_of


def learn(
    strange: Iterable[tuple[MessageId, int]],
    device: Device,
    on_each: Callable[[], None] = lambda: None,
) -> int:
    """Look at the kept originals of these pictures; how many could be read.

    One original that cannot be read any more keeps no other from being learnt. ``on_each`` is
    called after each.
    """
    learnt = 0
    for message, place in strange:
        with suppress(EntrenousError):
            picture = device.ledger.read(message).pictures[place]
            device.ledger.learn(message, place, original_of(picture, device))
            learnt += 1
        on_each()
    return learnt
