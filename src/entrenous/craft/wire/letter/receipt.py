"""Read what a receipt signs (docs/spec/receipts.md section 1); commitment.py writes it."""

from entrenous.craft.wire.cbor import as_bytes, as_list, as_time, as_uint, decode, encode, named
from entrenous.model.ids import ID_BYTES, DeviceId, EnvelopeId, MessageId, PersonId
from entrenous.model.receipt import BadReceipt, ReceiptEvent, ReceiptStatement


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
