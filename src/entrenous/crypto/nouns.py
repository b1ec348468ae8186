"""Errors of encryption and decryption, and the reference to an encrypted blob."""

from dataclasses import dataclass

from entrenous.base.errors import Malformed, Refused, Unproven
from entrenous.base.identifiers import BlobId


class BadKey(Malformed):
    """A key that a letter should be encrypted to is not valid, so nothing was encrypted to it. Ask
    the person to update Entrenous and to write to you once.
    """


class DoesNotOpen(Unproven):
    """The file did not open with the key that belongs to it, so nothing was written. The relay may
    have given out a wrong half of the key. Try again; if it happens again, ask the person to send
    it anew.
    """


class NotBound(Unproven):
    """A letter that arrived does not belong where it was found ({what}). Somebody may have swapped
    parts of it on the way, so it was not opened.
    """


class BlobChanged(Unproven):
    """The relay returned other bytes than those that were sent, so nothing was opened. Try again;
    if it happens again, ask the person to send it anew, and tell whoever runs the relay.
    """


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A blob at the relay: its name, and the size in bytes and SHA-256 of its ciphertext."""

    id: BlobId
    size: int
    sha256: bytes


class BadLetter(Malformed):
    """A letter that arrived is damaged or was made by another program. It was put aside; other
    letters are not affected.
    """


class LetterTooLong(Refused):
    """A letter to one device holds at most {limit_bytes} bytes and this one would be longer.
    Nothing was sent. Send to fewer people at a time, and the rest in a second message.
    """


class NotAPoint(Malformed):
    """A message between this device and its relay was damaged while unlocking, so nothing was
    opened and no try was used. Try again.
    """
