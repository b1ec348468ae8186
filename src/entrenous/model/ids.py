"""Identifiers: each kind of thing has a type of its own, so that they are never mixed up."""

from typing import Final, NewType

PersonId = NewType("PersonId", bytes)  # SHA-256 over both master keys, 32 bytes
DeviceId = NewType("DeviceId", bytes)  # random, 16 bytes
MessageId = NewType("MessageId", bytes)  # random, 16 bytes
EnvelopeId = NewType(
    "EnvelopeId", bytes
)  # random, 16 bytes; chosen by the sender, makes posting repeatable
BlobId = NewType("BlobId", bytes)  # random, 16 bytes
MailboxId = NewType("MailboxId", bytes)  # random, 16 bytes
RecipientId = NewType("RecipientId", str)  # how the sender calls the holder of one copy, e.g. "ben"
MessageName = NewType("MessageName", str)  # what people type, e.g. "7-lunar-otter"
CaseName = NewType("CaseName", str)  # what people type, e.g. "case-3-quiet-heron"
ClaimId = NewType("ClaimId", str)
BankName = NewType("BankName", str)

ID_BYTES: Final = 16
