"""Sent copies under their recipients' current names, with the receipts that arrived.

A stored trace keeps the ledger's labels from the time of sending. Since then the person may have
been renamed, and somebody else may have the old name. This module is in the device package because
trace and respond use it as well: they show current names and put receipts into reports.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Final, TypeVar

from entrenous.base.copies import (
    Copy,
    CopyProof,
    MessageProofs,
    ReceiptEvent,
    SignedReceipt,
    is_line_end_or_control,
)
from entrenous.base.identifiers import EnvelopeId, MessageId, MessageName, PersonId, RecipientId
from entrenous.base.language import translated
from entrenous.device.device import Device
from entrenous.device.identities import NameOf, current_name_lookup, key_bundle_including_head
from entrenous.device.sent_messages import (
    COPY_DELIVERY_TABLE,
    CopyDelivery,
    Message,
    UnknownMessage,
)
from entrenous.device.vault_tables import (
    RECEIPT,
    RECEIPT_COVERAGE,
    RECEIPT_KEY_BUNDLE,
    Table,
)
from entrenous.watermark.verdict import Trace, Verdict
from entrenous.wire.relay_nouns import EnvelopeState

ValueT = TypeVar("ValueT")


def name_when_sent(_: PersonId | None, label: str) -> str:
    """Return the label from the time of sending, whatever the person is called now."""
    return label


def values_by_label(copies: Iterable[Copy], values: Iterable[ValueT]) -> dict[RecipientId, ValueT]:
    """Map the label of each copy to its value.

    If a person has several devices, the labels of all but the first device get a number.
    """
    return dict(zip(_unique_labels([copy.to for copy in copies]), values, strict=True))


def current_labels(copies: Sequence[Copy], name_of: NameOf) -> Mapping[RecipientId, RecipientId]:
    """Map each copy's label in the ledger to the name to show now.

    Characters that would break a line or control the screen are replaced; an older version allowed
    them.
    """
    shown = (name_of(copy.person, copy.to) for copy in copies)
    names = (
        "".join("\ufffd" if is_line_end_or_control(char) else char for char in name)
        for name in shown
    )
    now = [replace(copy, to=RecipientId(name)) for copy, name in zip(copies, names, strict=True)]
    return values_by_label(copies, values_by_label(now, now))


def pseudonymized_labels(labels: Iterable[str], named: Collection[str]) -> list[str]:
    """Replace the labels that are not in ``named`` by "copy 1", "copy 2" and so on, by position.

    If a named copy already has such a label, a higher number is used.
    """
    known, shown = list(labels), {label.casefold() for label in named}
    further = (one for one in map(_pseudonym, count(len(known) + 1)) if one not in shown)
    own = ((label, _pseudonym(place)) for place, label in enumerate(known, 1))
    return [
        label if label in named else mask if mask not in shown else next(further)
        for label, mask in own
    ]


def _unique_labels(wanted: Sequence[RecipientId]) -> list[RecipientId]:
    """Make labels unique by numbers, without giving one person's device the name of another
    person.
    """
    people, labels = set(wanted), dict[RecipientId, None]()
    for name in wanted:
        label, number = name, 2
        while label in labels or (label != name and label in people):
            label, number = RecipientId(f"{name} (device {number})"), number + 1
        labels[label] = None
    return list(labels)


def _pseudonym(number: int) -> str:
    return f"copy {number}"


def stored_trace(trace: Trace, device: Device) -> Trace | None:
    """Return the trace as stored on this device, or None.

    After an archive was imported, the trace's number and the names of its messages may differ.
    """
    wanted = trace.at, trace.leak_sha256
    kept = device.ledger.traces()
    return next((one for one in kept if (one.at, one.leak_sha256) == wanted), None)


def trace_with_current_names(trace: Trace, name_of: NameOf, device: Device) -> Trace:
    """Return the trace with current names.

    ``name_of`` returns the name to show for each copy of a stored message.
    """
    verdict, message = trace.verdict, trace.message
    others = (
        replace(
            part,
            verdict=_renamed_verdict(
                part.verdict, _current_labels_of_message(part.message, name_of, device)
            ),
        )
        for part in trace.others
    )
    named = (
        verdict
        if message is None
        else _renamed_verdict(verdict, _current_labels_of_message(message, name_of, device))
    )
    return replace(trace, verdict=named, others=tuple(others))


def _current_labels_of_message(
    name: MessageName, name_of: NameOf, device: Device
) -> Mapping[RecipientId, RecipientId]:
    names = dict[RecipientId, RecipientId]()
    with suppress(UnknownMessage):
        for copies in _copy_groups(device.ledger.message_named(name)):
            names |= current_labels(copies, name_of)
    return names


def _copy_groups(message: Message) -> Iterator[Sequence[Copy]]:
    yield from (item.copies for item in message.pictures)
    yield from (item.copies for item in message.clips)
    yield from (item.copies for item in message.sounds)


def _renamed_verdict(verdict: Verdict, names: Mapping[RecipientId, RecipientId]) -> Verdict:
    """Rename a verdict's copies, but only if the ledger has all of them."""
    if not verdict.score.keys() <= names.keys():
        return verdict
    return Verdict(
        finding=verdict.finding,
        named=tuple(names[who] for who in verdict.named),
        chance={names[who]: value for who, value in verdict.chance.items()},
        score={names[who]: value for who, value in verdict.score.items()},
        likelihood_ratio={names[who]: value for who, value in verdict.likelihood_ratio.items()},
    )


def stored_trace_with_current_names(trace: Trace | None, device: Device) -> Trace | None:
    """Return the trace from which a case was opened, with its number on this device, or None.

    A case keeps its trace unchanged, even if an archive brought both to another device.
    """
    kept = None if trace is None else stored_trace(trace, device)
    return (
        None
        if kept is None
        else trace_with_current_names(kept, current_name_lookup(device), device)
    )


@dataclass(frozen=True, slots=True)
class ReceiptCoverage:
    """What a receipt for our copy must cover: the message's manifest, and the marks of the copy.

    Both fields are hashes.
    """

    manifest: bytes
    marks: tuple[bytes | None, ...]


RECEIPT_COVERAGE_TABLE: Final = Table(RECEIPT_COVERAGE, ReceiptCoverage)


@dataclass(frozen=True, slots=True)
class ProvenReceipt:
    """A verified receipt: what was signed, and the device list under which it was signed.

    ``proof`` is an encoded :class:`ReceiptProof`.
    """

    event: ReceiptEvent
    at: datetime
    statement: bytes
    proof: bytes
    head: bytes


RECEIPT_TABLE: Final = Table(RECEIPT, ProvenReceipt)


_RECALLED_STATES: Final = (EnvelopeState.TAKEN_BACK, EnvelopeState.REVOKED)


@dataclass(frozen=True, slots=True)
class CopyState:
    """The state of a copy in a few words, and the time since which it has that state.

    ``signed`` says whether the device that has the copy signed a receipt for the state.
    """

    state: str
    at: datetime | None
    signed: bool


def copy_state(copy: CopyDelivery, message: Message, device: Device) -> CopyState:
    """Return the state of a copy.

    The first of these that applies counts: a recall; a receipt for opening or exporting; the
    relay's answer that the copy was opened, lost or expired; a receipt for delivery; any other
    answer of the relay.
    """
    signed = {one.event: one for one in _stored_receipts(copy.envelope, device)}
    opened, delivered = signed.get(ReceiptEvent.OPENED), signed.get(ReceiptEvent.DELIVERED)
    exported = signed.get(ReceiptEvent.EXPORTED)
    if copy.state in _RECALLED_STATES:
        return CopyState(copy.state_in_words, copy.ended_at, signed=False)
    if exported is not None:
        return CopyState(translated("opened and exported"), exported.at, signed=True)
    if opened is not None:
        return CopyState(translated(EnvelopeState.OPENED.value), opened.at, signed=True)
    relay_reported = {
        EnvelopeState.OPENED: copy.opened_at,
        EnvelopeState.LOST: None,
        EnvelopeState.EXPIRED: message.expires_at,
    }
    if copy.state in relay_reported:
        return CopyState(copy.state_in_words, relay_reported[copy.state], signed=False)
    if delivered is not None:
        return CopyState(translated(EnvelopeState.DELIVERED.value), delivered.at, signed=True)
    return CopyState(copy.state_in_words, copy.delivered_at, signed=False)


def receipt_proofs(message: MessageId, device: Device) -> MessageProofs:
    """Return the receipts for all copies of a message, and the data that these receipts cover.

    A receipt is omitted if no stored key bundle proves its device list.
    """
    every = COPY_DELIVERY_TABLE.all(device.vault)
    proofs, cards = list[CopyProof](), dict[bytes, bytes]()
    for copy in (copy for copy in every if copy.message == message):
        covered = RECEIPT_COVERAGE_TABLE.load(copy.envelope.hex(), device.vault)
        if covered is None:
            continue
        receipts = _stored_receipts(copy.envelope, device)
        proven = {one.head: _proving_bundle(copy.person, one.head, device) for one in receipts}
        cards |= {head: card for head, card in proven.items() if card}
        receipts = [one for one in receipts if one.head in cards]
        said = tuple(SignedReceipt(one.statement, one.proof) for one in receipts)
        proofs.append(CopyProof(message, copy.person, copy.device, covered.marks, said))
    return MessageProofs(tuple(proofs), tuple(sorted(set(cards.values()))))


def _proving_bundle(person: PersonId, head: bytes, device: Device) -> bytes | None:
    """Return the key bundle that proves the device list of a receipt.

    This key bundle was stored with the receipt, or is a newer one that includes the same list.
    Return None if there is no such key bundle.
    """
    return device.vault.get(RECEIPT_KEY_BUNDLE, head.hex()) or key_bundle_including_head(
        person, head, device
    )


def _stored_receipts(envelope: EnvelopeId, device: Device) -> list[ProvenReceipt]:
    keys = RECEIPT_TABLE.keys(device.vault, envelope.hex())
    found = (RECEIPT_TABLE.load(key, device.vault) for key in keys)
    return [one for one in found if one is not None]
