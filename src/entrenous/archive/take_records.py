"""Import an archive's messages, copies, receipts, traces and cases.

Records that this device has already are not changed, except older versions of cases.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from entrenous.archive.archive_format import BadArchive
from entrenous.archive.contents import (
    CASES_FOLDER,
    CUSTODY_FOLDER,
    ERASED_CASE_TABLE,
    LEDGER_FOLDER,
    PICTURE_RECORDS_FOLDER,
    RECEIPT_COVERAGE_FOLDER,
    RECEIPT_KEY_BUNDLES_FOLDER,
    RECEIPTS_FOLDER,
    RECEIVED_FOLDER,
    SENT_COPIES_FOLDER,
    TRACES_FOLDER,
    ArchiveRecord,
    records_in,
)
from entrenous.base.errors import EntrenousError
from entrenous.base.identifiers import MessageId, MessageName
from entrenous.base.identity import Person
from entrenous.crypto.hashing import mark_commitments_hash, sha256
from entrenous.crypto.statements import devices_on_list, verify_key_bundle, verify_receipt
from entrenous.device.device import Device
from entrenous.device.sent_copies import (
    RECEIPT_COVERAGE_TABLE,
    RECEIPT_TABLE,
    ProvenReceipt,
)
from entrenous.device.sent_messages import COPY_DELIVERY_TABLE, CopyDelivery, Message
from entrenous.device.vault_tables import (
    COPY_DELIVERY,
    RECEIPT,
    RECEIPT_COVERAGE,
    RECEIPT_KEY_BUNDLE,
    inbox_key,
    unpack,
)
from entrenous.respond.nouns import Case
from entrenous.send.inbox import (
    free_message_name,
    inbox_message_names,
    index_message_name,
    is_message_name,
)
from entrenous.send.message.states import INBOX_TABLE, ReceivedMessage
from entrenous.send.message_index import index_copy, index_received
from entrenous.watermark.verdict import Trace
from entrenous.wire.key_bundle import read_key_bundle
from entrenous.wire.receipt import (
    read_receipt_proof,
    read_receipt_statement,
    write_mark_commitments,
)
from entrenous.wire.text import is_name


def import_receipts(items: Sequence[ArchiveRecord], device: Device) -> None:
    """Store valid receipts, the data that they cover, and the key bundles that prove them."""
    for item in records_in(RECEIPT_COVERAGE_FOLDER, items):
        known = COPY_DELIVERY_TABLE.has(item.key, device.vault)
        if known and not RECEIPT_COVERAGE_TABLE.has(item.key, device.vault):
            device.vault.put(RECEIPT_COVERAGE, item.key, item.data)
    key_bundles = {item.key: item.data for item in records_in(RECEIPT_KEY_BUNDLES_FOLDER, items)}
    signers = _verified_signers_by_head(key_bundles)
    for item in records_in(RECEIPTS_FOLDER, items):
        key, receipt = item.key.replace("/", " "), item.decoded
        if not RECEIPT_TABLE.has(key, device.vault) and _is_valid_receipt(
            key, receipt, signers, device
        ):
            device.vault.put(RECEIPT, key, item.data)
            device.vault.put(
                RECEIPT_KEY_BUNDLE, receipt.head.hex(), key_bundles[receipt.head.hex()]
            )


def _verified_signers_by_head(key_bundles: Mapping[str, bytes]) -> Mapping[bytes, Person]:
    """Return, for the head of each device list that receipts may name, the person with the devices
    whose receipts are valid under this list. It may be older than the newest list of the bundle.
    """
    signers = dict[bytes, Person]()
    for encoded_head, untrusted in key_bundles.items():
        with suppress(EntrenousError, ValueError):
            head, bundle = bytes.fromhex(encoded_head), read_key_bundle(untrusted)
            person = verify_key_bundle(bundle)
            signers[head] = replace(person, devices=devices_on_list(person, bundle, head))
    return signers


def _is_valid_receipt(
    key: str, receipt: ProvenReceipt, signers: Mapping[bytes, Person], device: Device
) -> bool:
    """Check that a receipt was signed by the device to which the copy was sent, and that it is
    about this copy and its marks.
    """
    envelope, _, event = key.partition(" ")
    copy = COPY_DELIVERY_TABLE.load(envelope, device.vault)
    covered = RECEIPT_COVERAGE_TABLE.load(envelope, device.vault)
    person = signers.get(receipt.head)
    if copy is None or covered is None or person is None or event != str(int(receipt.event)):
        return False
    try:
        signed = read_receipt_statement(receipt.statement)
        signer = next(one for one in person.devices if one.device == copy.device)
        verify_receipt(receipt.statement, read_receipt_proof(receipt.proof), signer)
    except (EntrenousError, StopIteration):
        return False
    marks = mark_commitments_hash(write_mark_commitments(covered.marks))
    signed_recipient = (signed.message, signed.envelope, signed.recipient, signed.device)
    signed_content = (signed.head, signed.event, signed.at, signed.manifest, signed.marks)
    return (signed_recipient, person.id, signed_content) == (
        (copy.message, copy.envelope, copy.person, copy.device),
        copy.person,
        (receipt.head, receipt.event, receipt.at, covered.manifest, marks),
    )


PLACEHOLDER_NAME: Final = "somebody"  # replaces a name that is not valid
_PICTURE_RECORD_KEY_PATTERN: Final = re.compile(r"([0-9a-f]{32})/([0-9]{4})")


@dataclass(frozen=True, slots=True)
class ImportedSentMessages:
    """New sent messages, and the local name of each message in the archive."""

    new: tuple[Message, ...]
    names: Mapping[MessageName, MessageName]


def import_sent_messages(items: Sequence[ArchiveRecord], device: Device) -> ImportedSentMessages:
    """Import messages that were sent, or only marked to be sent by other means, and the features of
    their pictures.
    """
    here = {message.id: message.name for message in device.ledger.messages()}
    taken = {*here.values(), *inbox_message_names(device)}
    names, new = dict[MessageName, MessageName](), list[Message]()
    for item in records_in(LEDGER_FOLDER, items):
        message: Message = item.decoded
        if message.id in here:
            names[message.name] = here[message.id]
            continue
        name = message.name
        if name in taken or not is_message_name(name):
            name = free_message_name(name, device)
        taken.add(name)
        names[message.name] = name
        new.append(replace(message, name=name))
        device.ledger.store_message(new[-1])
    _import_picture_records(items, new, device)
    return ImportedSentMessages(tuple(new), names)


def _import_picture_records(
    items: Sequence[ArchiveRecord], new: Sequence[Message], device: Device
) -> None:
    """Import the features that find a leaked picture's original.

    Features that cannot be read are left out, and later computed again from the original.
    """
    pictures = {message.id: len(message.pictures) for message in new}
    for item in records_in(PICTURE_RECORDS_FOLDER, items):
        match = _PICTURE_RECORD_KEY_PATTERN.fullmatch(item.key)
        if match is None:
            continue
        message, position = MessageId(bytes.fromhex(match[1])), int(match[2])
        if position < pictures.get(message, 0):
            device.ledger.store_existing_picture_record(message, position, item.data)


def import_sent_copies_and_receipts(items: Sequence[ArchiveRecord], device: Device) -> None:
    """Import the receipts, and the records needed to recall copies and to ask for their status.

    The message of a copy may be here already, from an archive that was made before the copy was
    sent.
    """
    known = {message.id: message.sent_at for message in device.ledger.messages()}
    for item in records_in(SENT_COPIES_FOLDER, items):
        copy: CopyDelivery = item.decoded
        key = copy.envelope.hex()
        if copy.message in known and not COPY_DELIVERY_TABLE.has(key, device.vault):
            device.vault.put(COPY_DELIVERY, key, item.data)
            index_copy(copy, known[copy.message], device.vault)
    import_receipts(items, device)


def import_received_messages(
    items: Sequence[ArchiveRecord], device: Device
) -> tuple[ReceivedMessage, ...]:
    """Import received messages; returns the new ones."""
    taken = {message.name for message in device.ledger.messages()} | inbox_message_names(device)
    new = list[ReceivedMessage]()
    for item in records_in(RECEIVED_FOLDER, items):
        received: ReceivedMessage = item.decoded
        key = inbox_key(received.sender, received.id)
        if INBOX_TABLE.has(key, device.vault):
            continue
        if received.name in taken or not is_message_name(received.name):
            received = replace(received, name=free_message_name(received.name, device))
        if not is_name(received.sender_name):
            received = replace(received, sender_name=PLACEHOLDER_NAME)
        taken.add(received.name)
        INBOX_TABLE.store(received, key, device.vault)
        index_message_name(received, device)
        index_received(received, device.vault)
        new.append(received)
    return tuple(new)


def import_traces(
    items: Sequence[ArchiveRecord], ledger: ImportedSentMessages, device: Device
) -> int:
    """Import traces that this device lacks; return their number.

    Two traces are the same if they have the same time and the same file.
    """
    here = {(trace.at, trace.leak_sha256) for trace in device.ledger.traces()}
    numbers = {trace.number for trace in device.ledger.traces()}
    new = 0
    for item in records_in(TRACES_FOLDER, items):
        trace: Trace = item.decoded
        if (trace.at, trace.leak_sha256) in here:
            continue
        number = trace.number if trace.number not in numbers else max(numbers) + 1
        numbers.add(number)
        device.ledger.record_trace(_with_local_names(replace(trace, number=number), ledger.names))
        new += 1
    return new


def _with_local_names(trace: Trace, names: Mapping[MessageName, MessageName]) -> Trace:
    message = None if trace.message is None else names.get(trace.message, trace.message)
    others = tuple(
        replace(part, message=names.get(part.message, part.message)) for part in trace.others
    )
    return replace(trace, message=message, others=others)


@dataclass(frozen=True, slots=True)
class ImportedCases:
    """The imported cases, and the names of cases that were left out.

    ``others`` were left out because this device has a different case with that name, ``erased``
    because they were erased on this device as cases of somebody under 18.
    """

    new: tuple[Case, ...]
    others: tuple[str, ...]
    erased: tuple[str, ...]


def import_cases(items: Sequence[ArchiveRecord], device: Device) -> ImportedCases:
    """Store cases that are new, or newer than this device's version.

    Raises:
        BadArchive: a case is stored under another case's name, or the links of a custody chain are
            not numbered from 0 in ascending order.
    """
    chains = _custody_chains(items)
    new, others, erased = list[Case](), list[str](), list[str]()
    for item in records_in(CASES_FOLDER, items):
        case: Case = item.decoded
        if item.key != case.name:
            raise BadArchive
        links = chains.get(case.name, [])
        if _was_case_erased(links, device):
            erased.append(case.name)
        elif _is_different_case(case, links, device):
            others.append(case.name)
        else:
            new.extend(_store_case_if_newer(item, links, device))
    return ImportedCases(tuple(new), tuple(others), tuple(erased))


def _custody_chains(items: Sequence[ArchiveRecord]) -> dict[str, list[ArchiveRecord]]:
    """Return the custody chain of each case, by its name.

    Raises:
        BadArchive: the links of a case are not numbered from 0 in ascending order.
    """
    chains = dict[str, list[ArchiveRecord]]()
    for item in records_in(CUSTODY_FOLDER, items):
        name, _, number = item.key.partition("/")
        chain = chains.setdefault(name, [])
        if number != f"{item.decoded.number:010d}" or item.decoded.number != len(chain):
            raise BadArchive
        chain.append(item)
    return chains


def _was_case_erased(links: Sequence[ArchiveRecord], device: Device) -> bool:
    """Check whether a case was erased here and must not return (docs/spec/case.md section 1)."""
    first = sha256(links[0].data).hex() if links else ""
    return device.vault.get(ERASED_CASE_TABLE, first) is not None


def _is_different_case(case: Case, links: Sequence[ArchiveRecord], device: Device) -> bool:
    """Check whether this device has a different case with this name.

    An earlier or a later state of the same case does not count as different.
    """
    record = device.vault.get(CASES_FOLDER, case.name)
    if record is None:
        return False
    last = min(unpack(Case, record).links, case.links, len(links)) - 1
    here = device.vault.get(CUSTODY_FOLDER, f"{case.name}/{last:010d}") if last >= 0 else None
    return here is None or here != links[last].data


def _store_case_if_newer(
    item: ArchiveRecord, links: Sequence[ArchiveRecord], device: Device
) -> tuple[Case, ...]:
    """Store a case with its custody chain if that chain is longer than the one here.

    Return the case, or an empty tuple if this device's version is at least as new.
    """
    case: Case = item.decoded
    here = device.vault.get(CASES_FOLDER, case.name)
    if here is not None and unpack(Case, here).links >= case.links:
        return ()
    device.vault.put(CASES_FOLDER, case.name, item.data)
    for link in links:
        device.vault.put(CUSTODY_FOLDER, link.key, link.data)
    return (case,)
