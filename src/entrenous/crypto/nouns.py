"""Errors of encryption and decryption, and the reference to an encrypted blob."""

from dataclasses import dataclass

from entrenous.base.errors import Malformed, Refused, Unproven
from entrenous.base.identifiers import BlobId


class BadKey(Malformed):
    """
    The key of one of this person's devices is not valid, so nothing was encrypted with it. Nothing
    was sent to that device. Ask the person to update Entrenous and to write to you once.
    """


class DecryptionFailed(Unproven):
    """
    The file could not be decrypted with its key, so nothing was written. Half of the key comes from
    the relay, which may have sent a wrong value. Try again. If it happens again, ask the person to
    send the file again.
    """


class NotForThisMailbox(Unproven):
    """A message that arrived does not belong to this mailbox or conversation ({what}), so it was
    not opened. Somebody may have replaced parts of it on the way. Ask the person to send it again.
    """


class BlobChanged(Unproven):
    """
    The relay returned a file that differs from the one that was sent, so nothing was opened. Try
    again. If it happens again, ask the person to send it again, and tell the people who run the
    relay.
    """


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A blob at the relay: its id, and the size in bytes and SHA-256 hash of its ciphertext."""

    id: BlobId
    size: int
    sha256: bytes


class BadLetter(Malformed):
    """
    A message that arrived is damaged, or another program made it. It was not opened. Other messages
    are not affected.
    """


class LetterTooLong(Refused):
    """
    This message is too long: for each device, at most {limit_bytes} bytes can be sent. Nothing was
    sent. Send it to fewer people at a time, then to the others in a second message.
    """


class NotAPoint(Malformed):
    """
    A message between this device and its relay was damaged, so the vault was not unlocked. No try
    was used up. Try again.
    """
