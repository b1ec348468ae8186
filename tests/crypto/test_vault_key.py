"""The vault key depends on passphrase, salt, device secret, relay share and Argon2 cost."""

import pytest
from argon2.low_level import Type, hash_secret_raw

from entrenous.base.secret import Secret
from entrenous.crypto.key_derivation import derive
from entrenous.crypto.vault_key import (
    NO_RELAY_SHARE,
    Argon2Cost,
    first_format_vault_key,
    offline_share_key,
    oprf_input,
    stretch_passphrase,
    vault_key,
)

CHEAP_COST = Argon2Cost(memory_kib=19_456, passes=2, lanes=1)
PASSPHRASE = Secret(b"correct horse battery staple")
SALT, DEVICE_SECRET = b"s" * 16, b"d" * 32
OPRF_OUTPUT = Secret(b"o" * 64)
STRETCHED = stretch_passphrase(PASSPHRASE, SALT, CHEAP_COST)


def test_vault_key_follows_the_specification() -> None:
    stretched = hash_secret_raw(PASSPHRASE.reveal(), SALT, 2, 19_456, 1, 32, Type.ID)
    assert stretched == STRETCHED.reveal()
    first = derive(Secret(stretched + DEVICE_SECRET), b"entrenous/1 vault", salt=SALT)
    assert first_format_vault_key(STRETCHED, DEVICE_SECRET, SALT) == first
    for output in (OPRF_OUTPUT, NO_RELAY_SHARE):
        every = Secret(stretched + output.reveal() + DEVICE_SECRET)
        expected = derive(every, b"entrenous/2 vault", salt=SALT)
        assert vault_key(STRETCHED, output, DEVICE_SECRET, SALT) == expected
    assert oprf_input(STRETCHED) == derive(STRETCHED, b"entrenous/2 oprf input")
    assert offline_share_key(STRETCHED) == derive(STRETCHED, b"entrenous/2 offline")


def test_every_part_changes_the_vault_key() -> None:
    capital = stretch_passphrase(Secret(b"Correct horse battery staple"), SALT, CHEAP_COST)
    slower = stretch_passphrase(PASSPHRASE, SALT, Argon2Cost(memory_kib=19_456, passes=3, lanes=1))
    keys = [
        vault_key(STRETCHED, OPRF_OUTPUT, DEVICE_SECRET, SALT),
        vault_key(STRETCHED, NO_RELAY_SHARE, DEVICE_SECRET, SALT),
        vault_key(STRETCHED, Secret(b"p" * 64), DEVICE_SECRET, SALT),
        vault_key(capital, OPRF_OUTPUT, DEVICE_SECRET, SALT),
        vault_key(slower, OPRF_OUTPUT, DEVICE_SECRET, SALT),
        vault_key(STRETCHED, OPRF_OUTPUT, b"e" * 32, SALT),
        vault_key(STRETCHED, OPRF_OUTPUT, DEVICE_SECRET, b"t" * 16),
        vault_key(
            stretch_passphrase(PASSPHRASE, b"t" * 16, CHEAP_COST), OPRF_OUTPUT, DEVICE_SECRET, SALT
        ),
        first_format_vault_key(STRETCHED, DEVICE_SECRET, SALT),
        oprf_input(STRETCHED),
        offline_share_key(STRETCHED),
    ]
    assert len({key.reveal() for key in keys}) == len(keys)
    assert {len(key) for key in keys} == {32}


def test_default_cost_is_64_mib_3_passes_and_4_lanes() -> None:
    assert Argon2Cost() == Argon2Cost(memory_kib=65_536, passes=3, lanes=4)
    assert stretch_passphrase(PASSPHRASE, SALT) == stretch_passphrase(
        PASSPHRASE, SALT, Argon2Cost()
    )


def test_parts_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="salt of 16"):
        stretch_passphrase(PASSPHRASE, b"s" * 15, CHEAP_COST)
    for stretched, device in (
        (Secret(b"x" * 31), DEVICE_SECRET),
        (STRETCHED, b"d" * 31),
        (STRETCHED, b""),
    ):
        with pytest.raises(ValueError, match="32 bytes each"):
            vault_key(stretched, OPRF_OUTPUT, device, SALT)
        with pytest.raises(ValueError, match="32 bytes each"):
            first_format_vault_key(stretched, device, SALT)
    with pytest.raises(ValueError, match="64 bytes"):
        vault_key(STRETCHED, Secret(b"o" * 63), DEVICE_SECRET, SALT)


@pytest.mark.parametrize(
    "costs",
    [
        {"memory_kib": 1024},
        {"memory_kib": 2**40},
        {"passes": 0},
        {"passes": 10**9},
        {"lanes": 0},
        {"lanes": 65},
    ],
)
def test_cost_out_of_bounds_is_refused(costs: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="argon2id"):
        Argon2Cost(**costs)
