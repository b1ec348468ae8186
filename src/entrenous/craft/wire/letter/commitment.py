"""What is hashed into a commitment to a mark, and what a receipt signs (content.md section 6)."""

from entrenous.craft.wire.cbor import encode, seconds
from entrenous.model.ids import MessageId
from entrenous.model.message import Copy
from entrenous.model.receipt import ReceiptStatement


def write_mark(message: MessageId, place: int, copy: Copy) -> bytes:
    """What the commitment to a copy's mark is taken of; ``place`` counts a message's files from 1.

    Raises:
        ValueError: the copy was not sent through a relay, or has no nonce.
    """
    if copy.person is None or copy.device is None or copy.nonce is None:
        raise ValueError("only a copy for a device, with its nonce, is committed to")
    seed, nonce = copy.seed.reveal(), copy.nonce.reveal()
    return encode([message, place, copy.person, copy.device, seed, copy.sha256, nonce])


def write_receipt_statement(said: ReceiptStatement) -> bytes:
    """What a recipient's device signs.

    Raises:
        ValueError: a time before 1970.
    """
    return encode(
        [
            said.sender,
            said.message,
            said.envelope,
            said.recipient,
            said.device,
            said.head,
            int(said.event),
            seconds(said.at),
            said.manifest,
            said.marks,
        ]
    )
