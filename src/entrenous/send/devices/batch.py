"""Sign many statements at once, as this device (docs/spec/identity.md section 5)."""

from collections.abc import Callable, Sequence

from entrenous.craft.crypto.device import DeviceSigner, mldsa65_key
from entrenous.craft.crypto.merkle import path_of, root_of
from entrenous.craft.wire.identity.batch import write_batch
from entrenous.model.ids import MailboxId
from entrenous.model.signed_batch import Batch, Place, SignedBatch
from entrenous.ports import Device
from entrenous.send.devices.self import signer_of, who_am_i


def signed_batch(
    leaves: Sequence[bytes],
    mailbox: MailboxId | None,
    sign: Callable[[DeviceSigner, bytes], bytes],
    device: Device,
) -> SignedBatch:
    """One signature over statements whose leaves these are, 32 bytes each, in this order.

    ``sign`` is that of craft/crypto/statements.py for what the statements are.

    Raises:
        ValueError: none, or more than 64.
        OfflineDevice, RolledBack, NotConfirmed.
    """
    signer = signer_of(device)
    batch = Batch(who_am_i(device).key.device, mailbox, len(leaves), root_of(leaves))
    statement = write_batch(batch)
    return SignedBatch(batch, statement, mldsa65_key(signer), sign(signer, statement))


def place_in(leaves: Sequence[bytes], index: int) -> Place:
    """Where the statement with this index is in the batch of these leaves."""
    return Place(index, path_of(leaves, index))
