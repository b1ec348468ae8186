"""Keys and signatures of a device's Olm account; each change returns a new account."""

import pytest

from entrenous.base.identity import BadSignature
from entrenous.crypto.identity_keys import (
    add_one_time_keys,
    curve25519_public_key,
    ed25519_public_key,
    new_olm_account,
    replace_fallback_key,
    sign_with_device_ed25519,
    verify_device_ed25519_signature,
)

ACCOUNT = new_olm_account()


def test_public_device_keys_stay_the_same() -> None:
    later, _ = add_one_time_keys(ACCOUNT, 3)
    later, _, _ = replace_fallback_key(later)
    assert ed25519_public_key(later) == ed25519_public_key(ACCOUNT)
    assert curve25519_public_key(later) == curve25519_public_key(ACCOUNT)
    assert (len(ed25519_public_key(ACCOUNT)), len(curve25519_public_key(ACCOUNT))) == (32, 32)
    assert ed25519_public_key(new_olm_account()) != ed25519_public_key(ACCOUNT)


def test_one_time_keys_are_all_different_and_given_once() -> None:
    first, some = add_one_time_keys(ACCOUNT, 50)
    _, more = add_one_time_keys(first, 20)
    everything = some | more
    assert (len(some), len(more), len(everything)) == (50, 20, 70)
    assert len(set(everything.values())) == 70
    assert {len(key_id) for key_id in everything} == {8}
    assert {len(public) for public in everything.values()} == {32}


def test_a_fallback_key_is_replaced() -> None:
    first, first_id, first_key = replace_fallback_key(ACCOUNT)
    _, second_id, second_key = replace_fallback_key(first)
    assert (len(first_id), len(first_key)) == (8, 32)
    assert first_id != second_id
    assert first_key != second_key


@pytest.mark.parametrize("count", [0, 51, -1])
def test_key_count_outside_1_to_50_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 50"):
        add_one_time_keys(ACCOUNT, count)


@pytest.mark.threat("key-confusion")
def test_signature_is_valid_only_for_its_key_context_and_statement() -> None:
    signature = sign_with_device_ed25519(ACCOUNT, b"role", b"statement")
    verify_device_ed25519_signature(
        ed25519_public_key(ACCOUNT), b"role", b"statement", signature, what="prekey"
    )
    for key, context, statement, signed in (
        (ed25519_public_key(new_olm_account()), b"role", b"statement", signature),
        (ed25519_public_key(ACCOUNT), b"other", b"statement", signature),
        (ed25519_public_key(ACCOUNT), b"role", b"Statement", signature),
        (ed25519_public_key(ACCOUNT), b"role", b"statement", signature[:-1]),
        (ed25519_public_key(ACCOUNT), b"role", b"statement", bytes(64)),
        (b"short", b"role", b"statement", signature),
    ):
        with pytest.raises(BadSignature, match="prekey"):
            verify_device_ed25519_signature(key, context, statement, signed, what="prekey")


def test_repr_hides_private_keys() -> None:
    assert repr(ACCOUNT) == f"Secret({len(ACCOUNT)} bytes)"
