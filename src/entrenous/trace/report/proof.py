"""What recipients' own signatures show about the copies of a report (docs/spec/receipts.md 3).

A sender who edits her ledger after sending can say that another mark, or another file, was
somebody's. The commitment that she sealed into the letter says which it was, and the recipient's
device signed for it, with keys that a card proves. A label is in none of this: whose keys these are
is the sender's word.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from entrenous.craft.crypto.commitments import mark_commitment, marks_hash
from entrenous.craft.crypto.lists import head_of
from entrenous.craft.crypto.statements import verify_card, verify_receipt
from entrenous.craft.wire.identity.card import read_card
from entrenous.craft.wire.letter.commitment import write_mark
from entrenous.craft.wire.letter.message_body import write_commitments
from entrenous.craft.wire.letter.receipt import read_receipt_proof, read_receipt_statement
from entrenous.model.card import Card
from entrenous.model.device_list import DeviceList, ListedDevice
from entrenous.model.ids import PersonId, RecipientId
from entrenous.model.message import Copy
from entrenous.model.person import DeviceKey, Person
from entrenous.model.receipt import ReceiptEvent, ReceiptStatement
from entrenous.model.report import CopyProof, DisclosedCopy, DoesNotHold, Receipted


def proof_for(copy: Copy, proofs: Iterable[CopyProof]) -> CopyProof | None:
    """The proof of one copy, if its device was sent it: with the place of its commitment, or with
    the first if the ledger opens none.
    """
    for proof in proofs:
        if copy.nonce is not None and (proof.person, proof.device) == (copy.person, copy.device):
            places = range(1, len(proof.marks) + 1)
            fits = (
                place for place in places if _commitment(proof, place, copy) == _at(proof, place)
            )
            return replace(proof, place=next(fits, 1), nonce=copy.nonce)
    return None


def cards_for(copies: Iterable[DisclosedCopy], cards: Iterable[bytes]) -> tuple[bytes, ...]:
    """Those of these cards that prove a receipt of these copies: one for each list."""
    proofs = [copy.proof for copy in copies if copy.proof is not None]
    said = [read_receipt_statement(one.statement) for proof in proofs for one in proof.receipts]
    heads = {one.head for one in said}
    return tuple(card for card in cards if heads & _lists(read_card(card)).keys())


def check_proofs(
    copies: Iterable[DisclosedCopy], cards: Iterable[bytes]
) -> Mapping[str, tuple[ReceiptStatement, ...]]:
    """What the devices of these copies signed, by label, once everything about it holds; nothing is
    listed for a copy without receipts.

    Raises:
        DoesNotHold: a seed, a nonce and a hash do not open the commitment that a receipt covers, or
            a receipt is for another copy, or of nobody whose card is there; or they do not name one
            sender.
        BadSignature, BadCard, BadReceipt.
    """
    people = [(verify_card(card), card) for card in map(read_card, cards)]
    signed = {}
    for copy in copies:
        if copy.proof is not None and copy.proof.receipts:
            _opens(copy, copy.proof)
            receipts = copy.proof.receipts
            signed[copy.to] = tuple(_held(one, copy, copy.proof, people) for one in receipts)
    _one_sender(one.sender for said in signed.values() for one in said)
    return signed


def signer(signed: Iterable[ReceiptStatement]) -> PersonId | None:
    """Whose keys signed for one copy, as her card proves; None if nobody's did. A label is only
    what the sender calls her.
    """
    return next((one.recipient for one in signed), None)


def was_opened(signed: Iterable[ReceiptStatement]) -> bool:
    """Whether a device signed that it opened its copy."""
    return any(one.event in {ReceiptEvent.OPENED, ReceiptEvent.EXPORTED} for one in signed)


def _one_sender(senders: Iterable[PersonId]) -> None:
    several = set(senders)
    if len(several) > 1:
        found = ", ".join(sorted(one.hex() for one in several))
        raise DoesNotHold(what="who sent what was signed for", said="one sender", found=found)


def _opens(copy: DisclosedCopy, proof: CopyProof) -> None:
    """Return only if the commitment is to this copy's seed and file."""
    said = _at(proof, proof.place)
    if proof.nonce is None or said is None:
        raise _refused(copy, "a commitment with its nonce", "none")
    made = Copy(
        RecipientId(copy.to), copy.seed, copy.sha256, proof.person, proof.device, proof.nonce
    )
    found = _commitment(proof, proof.place, made)
    if found != said:
        raise _refused(copy, f"commitment {said.hex()}", f"{found.hex()} for this mark and file")


def _commitment(proof: CopyProof, place: int, copy: Copy) -> bytes:
    return mark_commitment(write_mark(proof.message, place, copy))


def _at(proof: CopyProof, place: int) -> bytes | None:
    return proof.marks[place - 1]


def _held(
    receipt: Receipted,
    copy: DisclosedCopy,
    proof: CopyProof,
    people: Iterable[tuple[Person, Card]],
) -> ReceiptStatement:
    said = read_receipt_statement(receipt.statement)
    wanted = (
        *(proof.message, proof.person, proof.device),
        marks_hash(write_commitments(proof.marks)),
    )
    if (said.message, said.recipient, said.device, said.marks) != wanted:
        raise _refused(copy, "a receipt for this copy", "one for another copy")
    key = _key(said, copy, people)
    verify_receipt(receipt.statement, read_receipt_proof(receipt.proof), key)
    return said


def _key(
    said: ReceiptStatement, copy: DisclosedCopy, people: Iterable[tuple[Person, Card]]
) -> DeviceKey:
    for person, card in people:
        listed = _lists(card).get(said.head)
        if person.id != said.recipient or listed is None:
            continue
        for key, now in zip(person.devices, card.newest.said.devices, strict=True):
            if key.device == said.device and _same_device(now, listed):
                return key
    raise _refused(copy, "a device of its recipient's list", "no card with that list")


def _lists(card: Card) -> Mapping[bytes, DeviceList]:
    """The lists of a card, by head: the newest, and those that led to it."""
    return {head_of(one.statement): one.said for one in card.lists}


def _same_device(now: ListedDevice, listed: DeviceList) -> bool:
    """Whether a list has the device with the certificate that it has now."""
    return (now.device, now.proof) in {(one.device, one.proof) for one in listed.devices}


def _refused(copy: DisclosedCopy, said: str, found: str) -> DoesNotHold:
    return DoesNotHold(what=f"what the device of {copy.to} signed", said=said, found=found)
