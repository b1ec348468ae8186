"""Small age files under a passphrase, at a fixed price (age-encryption.org/v1, recipient scrypt).

The library sets the price by how fast the machine is at that moment, and refuses what was made on a
faster one; a file that is to be opened years later and elsewhere needs one that is always the same.
So the format is put together here, from the library's primitives; the public test kit judges it.
"""

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from entrenous.craft.crypto.derive import derive
from entrenous.craft.crypto.hashing import same
from entrenous.model.letter import BadKey, DoesNotOpen
from entrenous.model.secret import Secret

NOISE_BYTES: Final = 48
PRICE: Final = 18  # scrypt's N is 2 to the power of it: 256 MiB and about a second; age's own
_PRICE_MAX: Final = 20  # 1 GiB; a stranger's file asks for no more
_PART: Final = 16  # bytes of a file key, of a salt and of a nonce
_CHUNK: Final = 64 * 1024
_SALT: Final = b"age-encryption.org/v1/scrypt"
_FIRST: Final = bytes(12)
_ONLY: Final = bytes(11) + b"\1"  # the nonce of the first chunk when it is the last one too
_FILE: Final = re.compile(
    rb"(age-encryption\.org/v1\n"
    rb"-> scrypt (?P<salt>[A-Za-z0-9+/]{22}) (?P<price>[1-9][0-9]?)\n"
    rb"(?P<body>[A-Za-z0-9+/]{43})\n"
    rb"---) (?P<mac>[A-Za-z0-9+/]{43})\n"
    rb"(?P<nonce>.{16})(?P<chunk>.{16,65552})",
    re.DOTALL,
)


def seal_under(passphrase: Secret, data: bytes, noise: bytes, price: int) -> bytes:
    """An age file of at most 64 KiB; ``noise`` are 48 random bytes that were never used before.

    Raises:
        ValueError: more data, or another amount of noise.
    """
    if len(noise) != NOISE_BYTES or len(data) > _CHUNK:
        raise ValueError("a small file under a passphrase needs 48 random bytes")
    file_key, salt, nonce = (noise[at : at + _PART] for at in range(0, NOISE_BYTES, _PART))
    body = ChaCha20Poly1305(_wrapping(passphrase, salt, price)).encrypt(_FIRST, file_key, None)
    stanza = b"-> scrypt %b %d\n%b\n" % (_text(salt), price, _text(body))
    header = b"age-encryption.org/v1\n" + stanza + b"---"
    chunk = ChaCha20Poly1305(_payload(file_key, nonce)).encrypt(_ONLY, data, None)
    return header + b" " + _text(_mac(file_key, header)) + b"\n" + nonce + chunk


def open_under(passphrase: Secret, untrusted_file: bytes) -> bytes:
    """What such a file holds; all of it or nothing.

    Raises:
        BadKey: the passphrase is another one.
        DoesNotOpen: no such file, a changed one, or one that asks for more than 1 GiB of memory.
    """
    found = _FILE.fullmatch(untrusted_file)
    if found is None or int(found["price"]) > _PRICE_MAX:
        raise DoesNotOpen
    salt, body, mac = (_bytes(found[name]) for name in ("salt", "body", "mac"))
    try:
        wrapping = ChaCha20Poly1305(_wrapping(passphrase, salt, int(found["price"])))
        file_key = wrapping.decrypt(_FIRST, body, None)
    except InvalidTag:
        raise BadKey from None
    if not same(_mac(file_key, found[1]), mac):
        raise DoesNotOpen
    try:
        payload = ChaCha20Poly1305(_payload(file_key, found["nonce"]))
        return payload.decrypt(_ONLY, found["chunk"], None)
    except InvalidTag:
        raise DoesNotOpen from None


def _wrapping(passphrase: Secret, salt: bytes, price: int) -> bytes:
    words, block = passphrase.reveal(), 8
    room = 128 * block * 2**price + 1024**2
    return hashlib.scrypt(words, salt=_SALT + salt, n=2**price, r=block, p=1, maxmem=room, dklen=32)


def _mac(file_key: bytes, header: bytes) -> bytes:
    return hmac.digest(derive(Secret(file_key), b"header").reveal(), header, "sha256")


def _payload(file_key: bytes, nonce: bytes) -> bytes:
    return derive(Secret(file_key), b"payload", salt=nonce).reveal()


def _text(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _bytes(text: bytes) -> bytes:
    try:
        data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise DoesNotOpen from None
    if _text(data) != text:  # another spelling of the same bytes
        raise DoesNotOpen
    return data
