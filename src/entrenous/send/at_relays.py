"""Ask relays about copies, each relay in turn but all of them side by side.

A relay that accepts and stays silent keeps nobody from what the others answer; and since a courier
remembers who was silent, it costs one wait, however many copies lie there.
"""

from collections.abc import Callable, Iterable, Iterator

from entrenous.model.envelope import EnvelopeStatus
from entrenous.model.errors import EntrenousError
from entrenous.model.sealed_copy import SealedCopy
from entrenous.ports import Device

#: What a relay says of a copy; None where there is nothing to say; or why it did not.
Answer = EnvelopeStatus | EntrenousError | None


def ask_about(
    copies: Iterable[SealedCopy],
    ask: Callable[[SealedCopy], EnvelopeStatus | None],
    device: Device,
) -> Iterator[tuple[SealedCopy, Answer]]:
    """Each copy with its relay's answer, as it comes. ``ask`` may run in another thread, so it
    touches nothing but the courier.
    """
    by_relay = dict[str, list[SealedCopy]]()
    for copy in copies:
        by_relay.setdefault(copy.relay_url, []).append(copy)
    return device.side_by_side([_each(some, ask) for some in by_relay.values()])


def _each(
    copies: list[SealedCopy], ask: Callable[[SealedCopy], EnvelopeStatus | None]
) -> Iterator[tuple[SealedCopy, Answer]]:
    for copy in copies:
        try:
            answer: Answer = ask(copy)
        except EntrenousError as error:
            answer = error
        yield copy, answer
