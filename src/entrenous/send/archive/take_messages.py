"""Take in what an archive holds of messages: those sent, those received, and traces."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from entrenous.craft.wire.text import is_name
from entrenous.model.ids import MessageId, MessageName
from entrenous.model.message import Message
from entrenous.model.received import Received
from entrenous.model.verdict import Trace
from entrenous.ports import Device
from entrenous.send.archive.parts import LEDGER, LOOKS, RECEIVED, SENT, TRACES, Item, within
from entrenous.send.archive.take_proofs import take_proofs
from entrenous.send.drawers import INBOX, SEALED, inbox_key, lay
from entrenous.send.inbox import inbox_names
from entrenous.send.message.naming import free_message_name, is_usual, keep_name

NOBODY: Final = "somebody"  # whose name is none
_LOOK: Final = re.compile(r"([0-9a-f]{32})/([0-9]{4})")


@dataclass(frozen=True, slots=True)
class TakenLedger:
    """Sent messages that were new, and the names under which all of the archive's are here."""

    new: tuple[Message, ...]
    names: Mapping[MessageName, MessageName]


def take_ledger(items: Sequence[Item], device: Device) -> TakenLedger:
    """Messages that were sent or marked, and what their pictures look like."""
    here = {message.id: message.name for message in device.ledger.messages()}
    taken = {*here.values(), *inbox_names(device)}
    names, new = dict[MessageName, MessageName](), list[Message]()
    for item in within(LEDGER, items):
        message: Message = item.noun
        if message.id in here:
            names[message.name] = here[message.id]
            continue
        name = message.name
        if name in taken or not is_usual(name):
            name = free_message_name(name, device)
        taken.add(name)
        names[message.name] = name
        new.append(replace(message, name=name))
        device.ledger.record(new[-1])
    _take_looks(items, new, device)
    return TakenLedger(tuple(new), names)


def _take_looks(items: Sequence[Item], new: Sequence[Message], device: Device) -> None:
    """One that this version cannot read is made anew from the original, when it is needed."""
    pictures = {message.id: len(message.pictures) for message in new}
    for item in within(LOOKS, items):
        said = _LOOK.fullmatch(item.key)
        if said is None:
            continue
        message, place = MessageId(bytes.fromhex(said[1])), int(said[2])
        if place < pictures.get(message, 0):
            device.ledger.keep_look(message, place, item.data)


def take_sent(items: Sequence[Item], device: Device) -> None:
    """What takes copies back, and asks after them; also of a message that an earlier archive
    brought, from when this copy had not left yet.
    """
    known = {message.id for message in device.ledger.messages()}
    for item in within(SENT, items):
        key = item.noun.envelope.hex()
        if item.noun.message in known and device.vault.get(SEALED, key) is None:
            device.vault.put(SEALED, key, item.data)
    take_proofs(items, device)


def take_received(items: Sequence[Item], device: Device) -> tuple[Received, ...]:
    """Messages that were received; those that were new."""
    taken = {message.name for message in device.ledger.messages()} | inbox_names(device)
    new = list[Received]()
    for item in within(RECEIVED, items):
        received: Received = item.noun
        key = inbox_key(received.sender, received.id)
        if device.vault.get(INBOX, key) is not None:
            continue
        if received.name in taken or not is_usual(received.name):
            received = replace(received, name=free_message_name(received.name, device))
        if not is_name(received.sender_name):
            received = replace(received, sender_name=NOBODY)
        taken.add(received.name)
        lay(received, INBOX, key, device.vault)
        keep_name(received, device)
        new.append(received)
    return tuple(new)


def take_traces(items: Sequence[Item], ledger: TakenLedger, device: Device) -> int:
    """Traces of other moments or files than those that are here; how many were new."""
    here = {(trace.at, trace.leak_sha256) for trace in device.ledger.traces()}
    numbers = {trace.number for trace in device.ledger.traces()}
    new = 0
    for item in within(TRACES, items):
        trace: Trace = item.noun
        if (trace.at, trace.leak_sha256) in here:
            continue
        number = trace.number if trace.number not in numbers else max(numbers) + 1
        numbers.add(number)
        device.ledger.note(_renamed(replace(trace, number=number), ledger.names))
        new += 1
    return new


def _renamed(trace: Trace, names: Mapping[MessageName, MessageName]) -> Trace:
    message = None if trace.message is None else names.get(trace.message, trace.message)
    others = tuple(
        replace(part, message=names.get(part.message, part.message)) for part in trace.others
    )
    return replace(trace, message=message, others=others)
