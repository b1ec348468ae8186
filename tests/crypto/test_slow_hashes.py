"""Tests of argon2id and scrypt, which make guessing a passphrase slow, with published vectors.

Wycheproof has no vectors for either. RFC 9106 has one for argon2id, but it uses a key and
associated data. The function that we call accepts neither, so this test calls a lower-level
function of the same library. The vectors of the reference implementation test our function.
"""

import hashlib
from collections.abc import Callable

import pytest
from argon2.low_level import ARGON2_VERSION, Type, core, ffi, hash_secret_raw

from tests.sizes import size

pytestmark = pytest.mark.slow

RecordVectors = Callable[[str, int], None]

#: Passes, KiB, lanes, passphrase, salt and hash: the vectors of version 19 in ``src/test.c`` of
#: P-H-C/phc-winner-argon2 at f57e61e.
_REFERENCE = """
2  65536 1 password          somesalt 09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7
2 262144 1 password          somesalt 78fe1ec91fb3aa5657d72e710854e4c3d9b9198c742f9616c2f085bed95b2e8c
2    256 1 password          somesalt 9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe
2    256 2 password          somesalt 6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037
1  65536 1 password          somesalt f6a5adc1ba723dddef9b5ac1d464e180fcd9dffc9d1cbf76cca2fed795d9ca98
4  65536 1 password          somesalt 9025d48e68ef7395cca9079da4c4ec3affb3c8911fe4f86d1a2520856f63172c
2  65536 1 differentpassword somesalt 0b84d652cf6b0c4beaef0dfe278ba6a80df6696281d7e0d2891b817d8c458fde
2  65536 1 password          diffsalt bdf32b05ccc42eb15d58fd19b1f856b113da1e9a5874fdcc544308565aa8141c
"""  # noqa: E501 -- a table

#: RFC 9106 section 5.3: 32 KiB, 3 passes, 4 lanes.
_RFC_9106 = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"

#: RFC 7914 section 12: passphrase, salt, N, r, p and key. The last vector needs 1 GiB, the most
#: that a file may require of us; only ``make nightly`` computes it.
_RFC_7914 = """
- -                                  16 1  1 77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906
password NaCl                      1024 8 16 fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640
pleaseletmein SodiumChloride      16384 8  1 7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887
pleaseletmein SodiumChloride    1048576 8  1 2101cb9b6a511aaeaddbbe09cf70f881ec568d574a2ffd4dabe5ee9820adaa478e56fd8f4ba5d09ffa1c6d927c40f4c337304049e8a952fbcbf45c6fa77a41a4
"""  # noqa: E501 -- a table


def test_argon2id_matches_rfc_9106(record_vectors: RecordVectors) -> None:
    parts = [bytes([value]) * size for value, size in ((1, 32), (2, 16), (3, 8), (4, 12))]
    passphrase, salt, key, associated_data = (ffi.new("uint8_t[]", part) for part in parts)
    out = ffi.new("uint8_t[32]")
    fields = {"out": out, "outlen": 32, "version": ARGON2_VERSION, "flags": 0}
    fields |= {"pwd": passphrase, "pwdlen": 32, "salt": salt, "saltlen": 16}
    fields |= {"secret": key, "secretlen": 8, "ad": associated_data, "adlen": 12}
    fields |= {"t_cost": 3, "m_cost": 32, "lanes": 4, "threads": 4}
    fields |= {"allocate_cbk": ffi.NULL, "free_cbk": ffi.NULL}
    assert core(ffi.new("argon2_context *", fields), Type.ID.value) == 0
    assert bytes(ffi.buffer(out)).hex() == _RFC_9106
    record_vectors("rfc 9106 argon2id", 1)


def test_argon2id_matches_the_reference_implementation(record_vectors: RecordVectors) -> None:
    """The test calls the function with which crypto/vault_key.py stretches a passphrase."""
    lines = _REFERENCE.split("\n")[1:-1]
    for line in lines:
        passes, kib, lanes, passphrase, salt, expected = line.split()
        costs = (int(passes), int(kib), int(lanes))
        got = hash_secret_raw(passphrase.encode(), salt.encode(), *costs, 32, Type.ID)
        assert got.hex() == expected
    record_vectors("phc-winner-argon2 argon2id", len(lines))


def test_scrypt_matches_rfc_7914(record_vectors: RecordVectors) -> None:
    """The test calls the same function as crypto/encryption_at_rest.py."""
    lines = _RFC_7914.split("\n")[1:-1][: size(3, 4)]
    for line in lines:
        passphrase, salt, *costs, expected = line.split()
        n, r, p = map(int, costs)
        inputs = [b"" if text == "-" else text.encode() for text in (passphrase, salt)]
        memory_limit = 128 * r * (n + 2 * p) + 1024**2
        got = hashlib.scrypt(
            inputs[0], salt=inputs[1], n=n, r=r, p=p, maxmem=memory_limit, dklen=64
        )
        assert got.hex() == expected
    record_vectors("rfc 7914 scrypt", len(lines))
