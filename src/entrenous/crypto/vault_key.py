"""The key of a device's vault, derived from the passphrase, the relay's share and a secret.

The relay's share is the output of an oblivious function (crypto/oprf.py). The secret is stored on
the device.
"""

from dataclasses import dataclass
from typing import Final

from argon2.low_level import Type, hash_secret_raw

from entrenous.base.secret import Secret
from entrenous.crypto.key_derivation import derive

SALT_BYTES: Final = 16
DEVICE_SECRET_BYTES: Final = 32
STRETCHED_BYTES: Final = 32
RELAY_SHARE_BYTES: Final = 64
_FIRST_FORMAT_CONTEXT: Final = b"entrenous/1 vault"
_VAULT_KEY_CONTEXT: Final = b"entrenous/2 vault"
_OPRF_INPUT_CONTEXT: Final = b"entrenous/2 oprf input"
_OFFLINE_SHARE_KEY_CONTEXT: Final = b"entrenous/2 offline"
NO_RELAY_SHARE: Final = Secret(b"")  # used in place of the relay's share if no relay has one


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """The cost of one guess at the passphrase, as parameters of argon2id (RFC 9106).

    The cost is stored unencrypted beside the vault, so that it can be raised later. Bounds keep a
    manipulated file from requiring too much memory. If somebody lowers the cost in the file, the
    result is a wrong key, which decrypts nothing.
    """

    memory_kib: int = 65_536
    passes: int = 3
    lanes: int = 4

    def __post_init__(self) -> None:
        if not 19_456 <= self.memory_kib <= 4_194_304:
            raise ValueError("argon2id needs 19 MiB to 4 GiB")
        if not 2 <= self.passes <= 64 or not 1 <= self.lanes <= 64:
            raise ValueError("argon2id needs 2 to 64 passes and 1 to 64 lanes")


DEFAULT_ARGON2_COST: Final = Argon2Cost()


def stretch_passphrase(
    passphrase: Secret, salt: bytes, cost: Argon2Cost = DEFAULT_ARGON2_COST
) -> Secret:
    """Return the argon2id hash (RFC 9106) of a passphrase, 32 bytes.

    The salt must have at least 16 bytes.
    """
    if len(salt) < SALT_BYTES:
        raise ValueError("a passphrase is stretched with a salt of 16 bytes")
    return Secret(
        hash_secret_raw(
            passphrase.reveal(),
            salt,
            time_cost=cost.passes,
            memory_cost=cost.memory_kib,
            parallelism=cost.lanes,
            hash_len=STRETCHED_BYTES,
            type=Type.ID,
        )
    )


def vault_key(stretched: Secret, relay_share: Secret, device_secret: bytes, salt: bytes) -> Secret:
    """Derive the vault's key, 32 bytes, from its three parts with HKDF.

    ``stretched`` is the hash of the passphrase. ``relay_share`` is the relay's share (64 bytes), or
    :data:`NO_RELAY_SHARE`.

    Raises:
        ValueError: a part has the wrong length, which could let two sets of parts give the same
            key.
    """
    _check_sizes(stretched, device_secret)
    if len(relay_share) not in (0, RELAY_SHARE_BYTES):
        raise ValueError("a relay's part of a vault key has 64 bytes")
    parts = Secret(stretched.reveal() + relay_share.reveal() + device_secret)
    return derive(parts, _VAULT_KEY_CONTEXT, salt=salt)


def first_format_vault_key(stretched: Secret, device_secret: bytes, salt: bytes) -> Secret:
    """Derive the key of a vault in the first format, which uses no relay (content.md section 5)."""
    _check_sizes(stretched, device_secret)
    return derive(Secret(stretched.reveal() + device_secret), _FIRST_FORMAT_CONTEXT, salt=salt)


def oprf_input(stretched: Secret) -> Secret:
    """Return the input of the relay's function (crypto/oprf.py), 32 bytes.

    The relay sees only the blinded input, never the passphrase.
    """
    return derive(stretched, _OPRF_INPUT_CONTEXT)


def offline_share_key(stretched: Secret) -> Secret:
    """Return the key, 32 bytes, that encrypts a stored copy of the relay's share.

    The copy is kept for as long as the vault may be opened offline.
    """
    return derive(stretched, _OFFLINE_SHARE_KEY_CONTEXT)


def _check_sizes(stretched: Secret, device_secret: bytes) -> None:
    if len(stretched) != STRETCHED_BYTES or len(device_secret) != DEVICE_SECRET_BYTES:
        raise ValueError(
            "a vault key needs a stretched passphrase and a device secret, 32 bytes each"
        )
