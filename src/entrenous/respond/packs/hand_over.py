"""Encrypt a pack for one recipient, and check a pack that was handed over, without a vault."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from entrenous.base.errors import Malformed, Refused
from entrenous.base.language import translated
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import decrypt_as_recipient, encrypt_to_recipient
from entrenous.crypto.hashing import sha256
from entrenous.crypto.nouns import BadKey, DecryptionFailed


class NotAPublicKey(Malformed):
    """
    This is not a public key that a pack can be encrypted to, so no pack was made. Ask the person
    who gets the pack for their public key: either a key for the encryption program “age”, which
    begins with age1, or an SSH key, which begins with ssh-ed25519 or ssh-rsa.
    """


class PackIsEncrypted(Refused):
    """This pack is encrypted. Provide the private key that belongs to it: --identity FILE"""


class NotAPrivateKey(Malformed):
    """
    This file contains no private key that can decrypt a case pack, so nothing was opened. Use a
    private key for the encryption program “age”, which begins with AGE-SECRET-KEY-1, or an SSH key.
    An SSH key that is protected by a passphrase cannot be used here.
    """


class PackDoesNotOpen(Malformed):
    """This key does not open the pack: the pack was encrypted to a different key, or was changed
    afterwards. Ask the person who made the pack which key it was encrypted to.
    """


_AGE_HEADER: Final = b"age-encryption.org/"
_KEY_CHARS_MAX: Final = 4096


def read_recipient_key(typed: str) -> str:
    """Return the public key that was typed, or the first key in the file whose path was typed.

    Raises NotAPublicKey if there is no usable key.
    """
    if _key_lines(typed):
        return first_recipient_key(typed)
    path = Path(typed)
    try:
        text = path.read_text(errors="replace")[:_KEY_CHARS_MAX] if path.is_file() else ""
    except OSError:  # too long for a path, or a file that cannot be read
        raise NotAPublicKey from None
    return first_recipient_key(text)


def first_recipient_key(text: str) -> str:
    """Return the first public key in a text; raises NotAPublicKey if there is no usable key."""
    keys = _key_lines(text)
    if not keys:
        raise NotAPublicKey
    encrypt_pack_for(keys[0], b"")
    return keys[0]


def _key_lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith(("age1", "ssh-"))]


def encrypt_pack_for(recipient: str, zipped: bytes) -> bytes:
    """Encrypt a pack to an age file for one recipient; raises NotAPublicKey."""
    try:
        return encrypt_to_recipient(recipient, zipped)
    except ValueError:
        raise NotAPublicKey from None


@dataclass(frozen=True, slots=True)
class PackCheckResult:
    """The verifier's result: each check in words, what the pack does not have and so could not be
    checked, and what each valid stamp states.
    """

    fingerprint: str | None
    checks: tuple[tuple[bool, str], ...]
    absent: tuple[str, ...]
    stamps: tuple[dict[str, Any], ...]

    @property
    def holds(self) -> bool:
        return all(good for good, _ in self.checks)

    def lines(self) -> Iterator[str]:
        """The result, line by line."""
        for good, what in self.checks:
            words = translated("holds: {what}") if good else translated("DOES NOT HOLD: {what}")
            yield words.format(what=what)
        for what in self.absent:
            yield translated("not in this pack, so not checked: {what}").format(what=what)
        for stamp in self.stamps:
            items = ", ".join(map(str, stamp["items"]))
            by = translated("Stamp {stamp}: items {items} existed by {at}")
            yield by.format(stamp=stamp["stamp"], at=stamp["at"], items=items)
            root = translated("by {authority}; the SHA-256 of its root is {root}")
            root = root.format(authority=stamp["authority"], root=stamp["root_sha256"])
            yield f"  {root}"
        if not self.stamps:
            yield translated("No stamp holds, so nothing here proves a time.")
        if self.fingerprint is not None:
            shown = translated("The fingerprint of this pack: {fingerprint}")
            yield shown.format(fingerprint=self.fingerprint)
            yield translated("Compare it with the one that you were given by another way.")
        yield (
            translated("Everything in this pack holds.")
            if self.holds
            else translated("This pack does not hold.")
        )


def check_received_pack(
    untrusted_place: Path | bytes, identity: Secret | None = None, ca: bytes | None = None
) -> PackCheckResult:
    """Check a pack with the verifier that every pack contains.

    Args:
        untrusted_place: the pack's bytes, or the folder that it was unpacked to.
        identity: the private key for an encrypted pack.
        ca: trusted root certificates in PEM, instead of those in the pack.

    Raises PackIsEncrypted, NotAPrivateKey, PackDoesNotOpen.
    """
    from entrenous.respond.packs import verify_pack  # noqa: PLC0415 - loads cryptography

    place = untrusted_place
    if isinstance(place, bytes) and place.startswith(_AGE_HEADER):
        place = _decrypt_pack(place, identity)
    report = verify_pack.CheckReport()
    files = report.run("the pack", verify_pack.read_pack, place)
    if files is not None:
        report = verify_pack.check_pack(files, ca)
    sums = (files or {}).get(verify_pack.SUMS)
    fingerprint = None if sums is None else sha256(sums).hex()
    return PackCheckResult(
        fingerprint, tuple(report.checks), tuple(report.absent), tuple(report.stamps)
    )


def _decrypt_pack(sealed: bytes, identity: Secret | None) -> bytes:
    if identity is None:
        raise PackIsEncrypted
    try:
        return decrypt_as_recipient(identity, sealed)
    except BadKey:
        raise NotAPrivateKey from None
    except DecryptionFailed:
        raise PackDoesNotOpen from None
