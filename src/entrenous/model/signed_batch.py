"""What one signature of a device covers when it signs many things at once: identity.md section 5.

A batch is a Merkle tree (RFC 9162 section 2.1). Its leaves are statements, such as prekeys; only
the batch is signed, and each statement is proven by its path to the root.
"""

from dataclasses import dataclass

from entrenous.model.ids import DeviceId, MailboxId
from entrenous.spec import BATCH_SIZE_MAX


@dataclass(frozen=True, slots=True)
class Batch:
    """What a device signs about a batch of ``size`` statements whose tree has this ``root``
    (32 bytes). ``mailbox`` is where prekeys lie, and None for receipts.
    """

    device: DeviceId
    mailbox: MailboxId | None
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not 1 <= self.size <= BATCH_SIZE_MAX:
            raise ValueError(f"a batch holds 1 to {BATCH_SIZE_MAX} statements")


@dataclass(frozen=True, slots=True)
class SignedBatch:
    """A batch as it was read; unproven before craft/crypto/statements.py verified it.

    ``statement`` are the exact bytes that were signed; ``mldsa65`` is the device's public key
    (1,952 bytes), whose hash is in its certificate; ``signature`` holds both signatures, 3,373
    bytes (Ed25519, then ML-DSA-65).
    """

    batch: Batch
    statement: bytes
    mldsa65: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a statement is in a batch: its index from 0, and the hashes (32 bytes each) that lead
    from it to the root (RFC 9162 section 2.1.3).
    """

    index: int
    path: tuple[bytes, ...]
