"""Errors of encryption and decryption, and the reference to an encrypted blob."""

from dataclasses import dataclass

from entrenous.base.errors import Malformed, Refused, Unproven
from entrenous.base.identifiers import BlobId


class BadKey(Malformed):
    """
    A key is not valid. It belongs to a device that you are writing to, or that you are comparing
    keys with. Nothing was encrypted with this key, and nothing was sent to that device. If the
    device belongs to somebody else, ask them to update Entrenous and then to write to you once. If
    the device is your own, update Entrenous on it.
    """


class DecryptionFailed(Unproven):
    """
    The file could not be decrypted with its key, so nothing was written. Half of the key comes from
    the relay, which may have sent a wrong value. Try again. If that does not help, ask the person
    who sent the file to send it again.
    """


class NotForThisMailbox(Unproven):
    """
    A message that arrived could not be matched to this mailbox or conversation: {what}. The message
    was not opened. Somebody may have replaced parts of it on the way. If you are expecting a
    message, ask the person who wrote it to send it again.
    """


class BlobChanged(Unproven):
    """
    The relay returned a file that differs from the one that was sent, so nothing was opened. Try
    again. If it fails again, ask the sender of the file to send it again, and tell the people who
    run the relay.
    """


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A blob at the relay: its id, and the size in bytes and SHA-256 hash of its ciphertext."""

    id: BlobId
    size: int
    sha256: bytes


class BadLetter(Malformed):
    """
    A message that arrived is damaged or in a format that this version of Entrenous cannot read. It
    was not opened. Other messages are not affected. If you are expecting a message, update
    Entrenous and ask the person who wrote it to send it again.
    """


class LetterTooLong(Refused):
    """
    This message is too long: with its list of recipients, it can be at most {limit_bytes} bytes
    long. Nothing was sent. Send it to some of the people first, and to the others in a second
    message.
    """


class NotAPoint(Malformed):
    """
    A message between this device and its relay was damaged, so the vault was not unlocked. Your
    passphrase may be right, so try again. The relay may have counted this as one of the ten tries
    that it allows, but unlocking the vault resets that count.
    """
