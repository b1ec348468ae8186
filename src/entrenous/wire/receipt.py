"""Receipts, and commitments to hidden marks, as CBOR (docs/spec/receipts.md,
docs/spec/content.md section 6).
"""

from collections.abc import Sequence
from typing import Final

from entrenous.base.copies import BadReceipt, Copy, ReceiptEvent, ReceiptProof, ReceiptStatement
from entrenous.base.identifiers import ID_BYTES, DeviceId, EnvelopeId, MessageId, PersonId
from entrenous.wire.cbor import (
    BadCbor,
    as_bytes,
    as_list,
    as_time,
    as_uint,
    bad_cbor_as,
    decode,
    encode,
    encode_checked,
    to_unix_seconds,
)
from entrenous.wire.key_bundle import (
    as_position,
    as_signed_batch,
    position_fields,
    signed_batch_fields,
)


def write_mark_commitments(commitments: Sequence[bytes | None]) -> bytes:
    return encode(list(commitments))


def write_committed_mark(message: MessageId, place: int, copy: Copy) -> bytes:
    """Encode the mark of a copy; the commitment to the mark is a hash of these bytes.

    ``place`` is the number of the file in its message, from 1.

    Raises:
        ValueError: the copy was not sent through a relay, or has no nonce.
    """
    if copy.person is None or copy.device is None or copy.nonce is None:
        raise ValueError("only a copy for a device, with its nonce, is committed to")
    seed, nonce = copy.seed.reveal(), copy.nonce.reveal()
    return encode([message, place, copy.person, copy.device, seed, copy.sha256, nonce])


def write_receipt_statement(statement: ReceiptStatement) -> bytes:
    """Encode a receipt's statement, which a recipient's device signs as part of a batch.

    Raises:
        ValueError: the time is before 1970.
    """
    return encode(
        [
            statement.sender,
            statement.message,
            statement.envelope,
            statement.recipient,
            statement.device,
            statement.head,
            int(statement.event),
            to_unix_seconds(statement.at),
            statement.manifest,
            statement.marks,
        ]
    )


RECEIPT_PROOF_BYTES_MAX: Final = 8 * 1024  # the longest proofs of the current version take 5.6 kB


def read_receipt_statement(untrusted: bytes) -> ReceiptStatement:
    """Parse a receipt statement; the caller verifies the signature of its batch.

    Raises:
        BadReceipt: this is not a receipt statement.
    """
    with bad_cbor_as(BadReceipt):
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
    """Encode the proof of one receipt: its position in its batch, and the signed batch.

    Raises:
        ValueError: a field has the wrong length.
    """
    fields = [*position_fields(proof.place), signed_batch_fields(proof.batch)]
    return encode_checked(fields, read_receipt_proof)


def read_receipt_proof(untrusted: bytes) -> ReceiptProof:
    """Parse the proof of one receipt, without verifying it.

    Raises:
        BadReceipt: this is not a proof of a receipt.
    """
    with bad_cbor_as(BadReceipt):
        if len(untrusted) > RECEIPT_PROOF_BYTES_MAX:
            raise BadCbor
        index, path, batch = as_list(decode(untrusted), 3, 3)
        return ReceiptProof(as_position(index, path), as_signed_batch(batch))
