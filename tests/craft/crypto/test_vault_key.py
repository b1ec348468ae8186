"""The vault's key needs the passphrase, the salt, the device and the same cost."""

import pytest
from argon2.low_level import Type, hash_secret_raw

from entrenous.craft.crypto.derive import derive
from entrenous.craft.crypto.vault_key import Cost, vault_key
from entrenous.model.secret import Secret

CHEAP = Cost(memory_kib=19_456, passes=2, lanes=1)
WORDS = Secret(b"correct horse battery staple")
SALT, DEVICE = b"s" * 16, b"d" * 32


def test_it_is_what_the_specification_says() -> None:
    stretched = hash_secret_raw(WORDS.reveal(), SALT, 2, 19_456, 1, 32, Type.ID)
    expected = derive(Secret(stretched + DEVICE), b"entrenous/1 vault", salt=SALT)
    assert vault_key(WORDS, SALT, DEVICE, CHEAP) == expected


def test_everything_counts() -> None:
    ours = vault_key(WORDS, SALT, DEVICE, CHEAP)
    others = (
        vault_key(Secret(b"Correct horse battery staple"), SALT, DEVICE, CHEAP),
        vault_key(WORDS, b"t" * 16, DEVICE, CHEAP),
        vault_key(WORDS, SALT, b"e" * 32, CHEAP),
        vault_key(WORDS, SALT, DEVICE, Cost(memory_kib=19_456, passes=3, lanes=1)),
    )
    assert all(other != ours and len(other) == 32 for other in others)


def test_the_default_cost_is_the_promised_one() -> None:
    assert Cost() == Cost(memory_kib=65_536, passes=3, lanes=4)
    assert vault_key(WORDS, SALT, DEVICE) == vault_key(WORDS, SALT, DEVICE, Cost())


@pytest.mark.parametrize("salt_and_device", [(b"s" * 15, DEVICE), (SALT, b"d" * 31), (SALT, b"")])
def test_short_parts_are_refused(salt_and_device: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="salt of 16"):
        vault_key(WORDS, *salt_and_device, CHEAP)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"memory_kib": 1024},
        {"memory_kib": 2**40},
        {"passes": 0},
        {"passes": 10**9},
        {"lanes": 0},
        {"lanes": 65},
    ],
)
def test_a_cost_without_sense_is_refused(nonsense: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="argon2id"):
        Cost(**nonsense)
