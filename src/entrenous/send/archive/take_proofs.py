"""Take in an archive's receipts, each once it is proven anew (docs/spec/receipts.md section 1)."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from entrenous.craft.crypto.commitments import marks_hash
from entrenous.craft.crypto.statements import verify_card, verify_receipt
from entrenous.craft.wire.identity.card import read_card
from entrenous.craft.wire.letter.message_body import write_commitments
from entrenous.craft.wire.letter.receipt import read_receipt_proof, read_receipt_statement
from entrenous.model.errors import EntrenousError
from entrenous.model.person import Person
from entrenous.model.receipt import Covered, ProvenReceipt
from entrenous.model.sealed_copy import SealedCopy
from entrenous.ports import Device
from entrenous.send.archive.parts import COVERS, RECEIPT_CARDS, RECEIPTS, Item, within
from entrenous.send.drawers import COVERED, RECEIPT, RECEIPT_CARD, SEALED, take


def take_proofs(items: Sequence[Item], device: Device) -> None:
    """Store what receipts cover, and those that hold with their cards; the others are left out."""
    for item in within(COVERS, items):
        known = device.vault.get(SEALED, item.key) is not None
        if known and device.vault.get(COVERED, item.key) is None:
            device.vault.put(COVERED, item.key, item.data)
    cards = {item.key: item.data for item in within(RECEIPT_CARDS, items)}
    people = _proven(cards)
    for item in within(RECEIPTS, items):
        key, receipt = item.key.replace("/", " "), item.noun
        if device.vault.get(RECEIPT, key) is None and _holds(key, receipt, people, device):
            device.vault.put(RECEIPT, key, item.data)
            device.vault.put(RECEIPT_CARD, receipt.head.hex(), cards[receipt.head.hex()])


def _proven(cards: Mapping[str, bytes]) -> Mapping[bytes, Person]:
    """Whose devices may have signed, by the head of their list."""
    people = dict[bytes, Person]()
    for head, untrusted in cards.items():
        with suppress(EntrenousError):
            person = verify_card(read_card(untrusted))
            if person.head.hex() == head:
                people[person.head] = person
    return people


def _holds(
    key: str, receipt: ProvenReceipt, people: Mapping[bytes, Person], device: Device
) -> bool:
    """Whether the device that a copy went to signed just this about it."""
    envelope, _, event = key.partition(" ")
    copy = take(SealedCopy, SEALED, envelope, device.vault)
    covered = take(Covered, COVERED, envelope, device.vault)
    person = people.get(receipt.head)
    if copy is None or covered is None or person is None or event != str(int(receipt.event)):
        return False
    try:
        said = read_receipt_statement(receipt.statement)
        signer = next(one for one in person.devices if one.device == copy.device)
        verify_receipt(receipt.statement, read_receipt_proof(receipt.proof), signer)
    except (EntrenousError, StopIteration):
        return False
    marks = marks_hash(write_commitments(covered.marks))
    about = (said.message, said.envelope, said.recipient, said.device)
    what = (said.head, said.event, said.at, said.manifest, said.marks)
    return (about, person.id, what) == (
        (copy.message, copy.envelope, copy.person, copy.device),
        copy.person,
        (receipt.head, receipt.event, receipt.at, covered.manifest, marks),
    )
