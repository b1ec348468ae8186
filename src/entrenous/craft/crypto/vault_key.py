"""The key of a device's vault, from what its owner knows and what the device has.

argon2id (RFC 9106) makes each guess at the passphrase cost memory; the device's secret, a file
beside the vault, makes a vault that was copied without it useless.
"""

from dataclasses import dataclass
from typing import Final

from argon2.low_level import Type, hash_secret_raw

from entrenous.craft.crypto.derive import derive
from entrenous.model.secret import Secret

SALT_BYTES: Final = 16
DEVICE_SECRET_BYTES: Final = 32
_CONTEXT: Final = b"entrenous/1 vault"


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess at the passphrase costs, in argon2id's parameters (RFC 9106).

    It is stored in clear beside the vault, so that it can be raised later. The bounds keep a
    tampered file from asking for more memory than there is; one that asks for less gives another
    key, which opens nothing.
    """

    memory_kib: int = 65_536
    passes: int = 3
    lanes: int = 4

    def __post_init__(self) -> None:
        if not 19_456 <= self.memory_kib <= 4_194_304:
            raise ValueError("argon2id needs 19 MiB to 4 GiB")
        if not 2 <= self.passes <= 64 or not 1 <= self.lanes <= 64:
            raise ValueError("argon2id needs 2 to 64 passes and 1 to 64 lanes")


DEFAULT_COST: Final = Cost()


def vault_key(
    passphrase: Secret,
    salt: bytes,
    device_secret: bytes,
    cost: Cost = DEFAULT_COST,
) -> Secret:
    """32 bytes: HKDF over argon2id(passphrase, salt) and the device's secret (32 bytes).

    Raises:
        ValueError: the salt has fewer than 16 bytes, or the device's secret not 32.
    """
    if len(salt) < SALT_BYTES or len(device_secret) != DEVICE_SECRET_BYTES:
        raise ValueError("a vault key needs a salt of 16 bytes and a device secret of 32")
    stretched = hash_secret_raw(
        passphrase.reveal(),
        salt,
        time_cost=cost.passes,
        memory_cost=cost.memory_kib,
        parallelism=cost.lanes,
        hash_len=32,
        type=Type.ID,
    )
    return derive(Secret(stretched + device_secret), _CONTEXT, salt=salt)
