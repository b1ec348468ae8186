"""Read what is signed of a receipt, which commitment.py writes, and what proves one by itself
(docs/spec/receipts.md section 1).
"""

from typing import Final

from entrenous.craft.wire.cbor import (
    BadCbor,
    as_bytes,
    as_list,
    as_time,
    as_uint,
    decode,
    encode,
    named,
    written,
)
from entrenous.craft.wire.identity.batch import (
    as_place,
    as_signed_batch,
    plain_place,
    plain_signed_batch,
)
from entrenous.model.ids import ID_BYTES, DeviceId, EnvelopeId, MessageId, PersonId
from entrenous.model.receipt import BadReceipt, ReceiptEvent, ReceiptProof, ReceiptStatement

PROOF_BYTES_MAX: Final = 8 * 1024  # of today's, the longest have 5.7 kB


def read_receipt_statement(untrusted: bytes) -> ReceiptStatement:
    """What a recipient's device signed; the signature is the caller's to check.

    Raises:
        BadReceipt: it is no such statement.
    """
    with named(BadReceipt):
        fields = as_list(decode(untrusted), 10, 10)
        if encode(fields) != untrusted:
            raise BadReceipt
        sender, message, envelope, recipient, device, head, event, at, manifest, marks = fields
        return ReceiptStatement(
            sender=PersonId(as_bytes(sender, 32)),
            message=MessageId(as_bytes(message, ID_BYTES)),
            envelope=EnvelopeId(as_bytes(envelope, ID_BYTES)),
            recipient=PersonId(as_bytes(recipient, 32)),
            device=DeviceId(as_bytes(device, ID_BYTES)),
            head=as_bytes(head, 32),
            event=ReceiptEvent(as_uint(event, max(ReceiptEvent), min(ReceiptEvent))),
            at=as_time(at),
            manifest=as_bytes(manifest, 32),
            marks=as_bytes(marks, 32),
        )


def write_receipt_proof(proof: ReceiptProof) -> bytes:
    """What proves one receipt: its place in its batch, and the batch.

    Raises:
        ValueError: a field has not the length of its kind.
    """
    fields = [*plain_place(proof.place), plain_signed_batch(proof.batch)]
    return written(fields, read_receipt_proof)


def read_receipt_proof(untrusted: bytes) -> ReceiptProof:
    """What is said to prove one receipt; unproven.

    Raises:
        BadReceipt: it is no such proof.
    """
    with named(BadReceipt):
        if len(untrusted) > PROOF_BYTES_MAX:
            raise BadCbor
        index, path, batch = as_list(decode(untrusted), 3, 3)
        return ReceiptProof(as_place(index, path), as_signed_batch(batch))
