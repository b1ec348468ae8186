"""A kept trace, shown with the names that its people have now.

A trace is kept with the labels of the ledger, and those stay as they were when the copies were
made. By now the person may be called otherwise, here or on another device, and somebody else may
have her old name: whoever is shown that name would think of the wrong person.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from entrenous.model.ids import MessageName, RecipientId
from entrenous.model.message import Copy, Message, UnknownMessage
from entrenous.model.verdict import Trace, Verdict
from entrenous.ports import Device
from entrenous.trace.photo.labels import Call, called


def kept_as(trace: Trace, device: Device) -> Trace | None:
    """The trace as this device keeps it: under another number, and of messages by other names, if
    an archive brought both here; None if it is not here.
    """
    wanted = trace.at, trace.leak_sha256
    kept = device.ledger.traces()
    return next((one for one in kept if (one.at, one.leak_sha256) == wanted), None)


def as_called(trace: Trace, call: Call, device: Device) -> Trace:
    """The same trace; the copies of messages that are still here are called as ``call`` says."""
    verdict, message = trace.verdict, trace.message
    others = (
        replace(part, verdict=_called(part.verdict, _names(part.message, call, device)))
        for part in trace.others
    )
    named = verdict if message is None else _called(verdict, _names(message, call, device))
    return replace(trace, verdict=named, others=tuple(others))


def _names(name: MessageName, call: Call, device: Device) -> Mapping[RecipientId, RecipientId]:
    names = dict[RecipientId, RecipientId]()
    with suppress(UnknownMessage):
        for copies in _copies(device.ledger.find(name)):
            names |= called(copies, call)
    return names


def _copies(message: Message) -> Iterator[Sequence[Copy]]:
    """Of one file after the other."""
    yield from (one.copies for one in message.pictures)
    yield from (one.copies for one in message.clips)
    yield from (one.copies for one in message.sounds)


def _called(verdict: Verdict, names: Mapping[RecipientId, RecipientId]) -> Verdict:
    """As it is where the ledger has other copies: names are not given to what may be another's."""
    if not verdict.score.keys() <= names.keys():
        return verdict
    return Verdict(
        finding=verdict.finding,
        named=tuple(names[who] for who in verdict.named),
        chance={names[who]: value for who, value in verdict.chance.items()},
        score={names[who]: value for who, value in verdict.score.items()},
        likelihood_ratio={names[who]: value for who, value in verdict.likelihood_ratio.items()},
    )
