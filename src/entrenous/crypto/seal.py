"""Seal and open letters, which are encrypted twice (docs/spec/letter.md sections 2 to 4).

The inner seal is encryption with the Olm session of two devices; the outer seal is encryption with
HPKE. A hash binds the two.
"""

from dataclasses import dataclass
from typing import Final

import vodozemac

from entrenous.base.secret import Secret
from entrenous.crypto.hashing import equal_in_constant_time, sha256
from entrenous.crypto.hpke import SEAL_OVERHEAD_BYTES, open_sealed, seal_to
from entrenous.crypto.identity_keys import pickle_olm_account, unpickle_olm_account
from entrenous.crypto.nouns import BadKey, BadLetter, LetterTooLong, NotForThisMailbox

# the plaintext of HPKE is padded to one of these sizes in bytes (letter.md section 1)
PADDED_SIZES_BYTES: Final = (2048, 4096, 8192, 16384, 32768, 65536, 131072)
_BINDING_CONTEXT: Final = b"entrenous/2 binding\x00"
# protects nothing, as in identity_keys.py: the vault encrypts pickles
_PICKLE_KEY: Final = bytes(32)
_OLM_PREKEY_TYPE: Final = 0


@dataclass(frozen=True, slots=True)
class HalfOpenedLetter:
    """A letter whose outer seal was opened; its sender and its header are not authenticated yet."""

    info_sha256: bytes
    untrusted_header: bytes
    olm_type: int
    olm: bytes

    @property
    def begins_session(self) -> bool:
        """Whether the letter contains the keys that are needed to begin a session."""
        return self.olm_type == _OLM_PREKEY_TYPE


@dataclass(frozen=True, slots=True)
class OpenedLetter:
    """A letter with both seals opened, and the state of the session after it."""

    header: bytes
    body: bytes
    session: Secret


def begin_session(account: Secret, curve25519: bytes, prekey: bytes) -> Secret:
    """Start a session with a device, from its identity key and one of its prekeys (32 bytes each).

    Raises BadKey if either key is not valid.
    """
    try:
        session = unpickle_olm_account(account).create_outbound_session(
            vodozemac.Curve25519PublicKey.from_bytes(curve25519),
            vodozemac.Curve25519PublicKey.from_bytes(prekey),
        )
    except ValueError:
        raise BadKey from None
    return _pickle_session(session)


def seal_letter(
    session: Secret, to: bytes, info: bytes, header: bytes, body: bytes
) -> tuple[bytes, Secret]:
    """Encrypt a letter with both seals.

    Return the letter without its outer address, and the state of the session after it.

    ``to`` is the recipient's public X-Wing key (1,216 bytes); ``info``, ``header`` and ``body`` are
    encoded (send/formats/letter_format.py). The result is 1,136 bytes longer than one of
    ``PADDED_SIZES_BYTES``.

    Raises:
        LetterTooLong: header and body do not fit into the largest size.
        BadKey: ``to`` is not a valid key.
    """
    opened = _unpickle_session(session)
    message = opened.encrypt(_binding_hash(sha256(info), header) + body)
    olm_type, olm = message.to_parts()
    return seal_to(to, info, _write_inner_letter(header, olm_type, olm)), _pickle_session(opened)


def open_outer_seal(private: Secret, info: bytes, untrusted_sealed: bytes) -> HalfOpenedLetter:
    """Decrypt the outer seal.

    Raises:
        NotForThisMailbox: the letter was sealed to a different key or with a different ``info``, or
            was changed.
        BadLetter: the length is impossible, or the seal is valid but its content is not a letter.
    """
    if len(untrusted_sealed) - SEAL_OVERHEAD_BYTES not in PADDED_SIZES_BYTES:
        raise BadLetter
    untrusted_frame = open_sealed(private, info, untrusted_sealed)
    header, olm_type, olm = _parse_inner_letter(untrusted_frame)
    return HalfOpenedLetter(sha256(info), header, olm_type, olm)


def letter_began_session(session: Secret, outer: HalfOpenedLetter) -> bool:
    """Return whether the letter begins a session, and ``session`` is that session."""
    try:
        prekey = _olm_message(outer).to_pre_key()
    except BadLetter:
        return False
    return prekey is not None and _unpickle_session(session).session_matches(prekey)


def open_letter(session: Secret, outer: HalfOpenedLetter) -> OpenedLetter:
    """Decrypt the inner seal with an existing session.

    Raises:
        NotForThisMailbox: the letter belongs to a different session, was opened before, or was
            changed; its inner part does not match the outer one; or more than 40 later letters
            arrived before it, and a session stores only 40 message keys.
        BadLetter: the inner part is not an Olm message.
    """
    opened = _unpickle_session(session)
    message = _olm_message(outer)
    try:
        plaintext = opened.decrypt(message)
    except ValueError:
        raise NotForThisMailbox(what="it does not continue the encrypted conversation") from None
    return OpenedLetter(
        outer.untrusted_header, _verified_body(outer, plaintext), _pickle_session(opened)
    )


def open_first_letter(
    account: Secret, curve25519: bytes, outer: HalfOpenedLetter
) -> tuple[OpenedLetter, Secret]:
    """Decrypt the inner seal of a letter that begins a session, and start that session.

    Return the opened letter, and the account without the one-time key that the letter used.

    ``curve25519`` (32 bytes) is the sender's identity key. The letter proves that its sender has
    the private half. The caller must check against a key bundle that the key belongs to a certified
    device.

    Raises:
        NotForThisMailbox: the letter was made with a different key or a used one-time key, or was
            changed.
        BadLetter: the inner part is not an Olm message, or cannot begin a session.
    """
    opened = unpickle_olm_account(account)
    prekey = _olm_message(outer).to_pre_key()
    if prekey is None:
        raise BadLetter
    try:
        key = vodozemac.Curve25519PublicKey.from_bytes(curve25519)
        session, plaintext = opened.create_inbound_session(key, prekey)
    except ValueError:
        raise NotForThisMailbox(
            what="its first key belongs to another device, or was used before"
        ) from None
    letter = OpenedLetter(
        outer.untrusted_header, _verified_body(outer, plaintext), _pickle_session(session)
    )
    return letter, pickle_olm_account(opened)


def _binding_hash(info_sha256: bytes, header: bytes) -> bytes:
    return sha256(_BINDING_CONTEXT + info_sha256 + sha256(header))


def _verified_body(outer: HalfOpenedLetter, plaintext: bytes) -> bytes:
    if not equal_in_constant_time(
        plaintext[:32], _binding_hash(outer.info_sha256, outer.untrusted_header)
    ):
        raise NotForThisMailbox(what="its encrypted content does not belong to its envelope")
    return plaintext[32:]


def _write_inner_letter(header: bytes, olm_type: int, olm: bytes) -> bytes:
    frame = len(header).to_bytes(4, "big") + header + bytes([olm_type]) + olm
    framed = len(frame).to_bytes(4, "big") + frame
    size = next((size for size in PADDED_SIZES_BYTES if size >= len(framed)), None)
    if size is None:
        raise LetterTooLong(limit_bytes=PADDED_SIZES_BYTES[-1])
    return framed.ljust(size, b"\x00")


def _parse_inner_letter(untrusted: bytes) -> tuple[bytes, int, bytes]:
    """Split the plaintext of the outer seal into header, Olm message type and Olm ciphertext.

    Only what :func:`_write_inner_letter` writes is accepted.
    """
    frame = untrusted[4 : 4 + int.from_bytes(untrusted[:4], "big")]
    split = 4 + int.from_bytes(frame[:4], "big")
    header, olm_type, olm = frame[4:split], frame[split : split + 1], frame[split + 1 :]
    if (
        olm_type not in (b"\x00", b"\x01")
        or _write_inner_letter(header, olm_type[0], olm) != untrusted
    ):
        raise BadLetter
    return header, olm_type[0], olm


def _olm_message(outer: HalfOpenedLetter) -> vodozemac.AnyOlmMessage:
    try:
        return vodozemac.AnyOlmMessage.from_parts(outer.olm_type, outer.olm)
    except ValueError:
        raise BadLetter from None


def _pickle_session(session: vodozemac.Session) -> Secret:
    return Secret(session.pickle(_PICKLE_KEY).encode())


def _unpickle_session(session: Secret) -> vodozemac.Session:
    return vodozemac.Session.from_pickle(session.reveal().decode(), _PICKLE_KEY)
