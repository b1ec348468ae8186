"""Tests of the OPRF: vectors of RFC 9497, invalid elements, and how libsodium is loaded."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.secret import Secret
from entrenous.crypto import oprf
from entrenous.crypto.nouns import NotAPoint
from entrenous.crypto.oprf import blind, check_element, evaluate, finalize, scalar_from_random

KEY = scalar_from_random(bytes(range(64)))
# The order of the group ristretto255 (RFC 9496 section 4).
ORDER = 2**252 + 27742317777372353535851937790883648493
scalars = st.binary(min_size=64, max_size=64).filter(any).map(scalar_from_random)
inputs = st.binary(max_size=100).map(Secret)


def oprf_suites(public_vectors: Path) -> list[dict[str, Any]]:
    suites = json.loads((public_vectors / "voprf/allVectors.json").read_text())
    return [one for one in suites if (one["identifier"], one["mode"]) == ("ristretto255-SHA512", 0)]


def test_rfc_9497_vectors_are_reproduced(
    public_vectors: Path, record_vectors: Callable[[str, int], None]
) -> None:
    """Appendix A.1.1 of RFC 9497 lists these vectors of the OPRF mode."""
    (suite,) = oprf_suites(public_vectors)
    key = Secret(bytes.fromhex(suite["skSm"]))
    for vector in suite["vectors"]:
        fields = {name: bytes.fromhex(text) for name, text in vector.items() if name != "Batch"}
        secret_input, scalar = Secret(fields["Input"]), Secret(fields["Blind"])
        assert blind(secret_input, scalar) == fields["BlindedElement"]
        assert evaluate(key, fields["BlindedElement"]) == fields["EvaluationElement"]
        assert (
            finalize(secret_input, scalar, fields["EvaluationElement"]).reveal() == fields["Output"]
        )
    assert len(suite["vectors"]) == 2
    record_vectors("RFC 9497 ristretto255-SHA512", len(suite["vectors"]))


@given(inputs, scalars, scalars)
def test_output_does_not_depend_on_the_blind(
    secret_input: Secret, one: Secret, other: Secret
) -> None:
    values = [
        finalize(secret_input, s, evaluate(KEY, blind(secret_input, s))) for s in (one, other)
    ]
    assert values[0] == values[1]
    assert len(values[0]) == 64


@given(inputs, inputs, scalars)
def test_other_input_or_key_gives_another_output(
    one: Secret, other: Secret, scalar: Secret
) -> None:
    value = finalize(one, scalar, evaluate(KEY, blind(one, scalar)))
    assert (finalize(other, scalar, evaluate(KEY, blind(other, scalar))) == value) == (one == other)
    assert (finalize(one, scalar, evaluate(scalar, blind(one, scalar))) == value) == (scalar == KEY)


@given(inputs, scalars, scalars)
def test_each_blind_gives_another_blinded_element(
    secret_input: Secret, one: Secret, other: Secret
) -> None:
    blinded = blind(secret_input, one)
    assert (blinded == blind(secret_input, other)) == (one == other)
    check_element(blinded)


@given(st.binary(max_size=40))
def test_random_element_is_refused_by_each_function_or_evaluated(element: bytes) -> None:
    try:
        check_element(element)
    except NotAPoint:
        with pytest.raises(NotAPoint):
            evaluate(KEY, element)
        with pytest.raises(NotAPoint):
            finalize(Secret(b"x"), KEY, element)
    else:
        assert len(evaluate(KEY, element)) == 32


@pytest.mark.parametrize("element", [bytes(32), b"\xff" * 32, b"\x01" + bytes(31), b"", bytes(31)])
def test_identity_and_invalid_encodings_are_refused(element: bytes) -> None:
    with pytest.raises(NotAPoint):
        evaluate(KEY, element)


@pytest.mark.parametrize("uniform", [bytes(64), bytes(63), bytes(65), ORDER.to_bytes(64, "little")])
def test_zero_scalar_or_bytes_of_another_length_are_refused(uniform: bytes) -> None:
    with pytest.raises(ValueError, match="scalar"):
        scalar_from_random(uniform)


# This program simulates another local user who can write to the folder for temporary files. Just
# before a library is loaded from that folder, the program replaces the library by a modified copy.
REPLACE_LIBRARY_PROGRAM = """
import os, sys
written, shared = [], os.environ["TMPDIR"]
def watch(event, arguments):
    if event in ("open", "tempfile.mkstemp", "tempfile.mkdtemp", "os.mkdir"):
        written.extend(str(one) for one in arguments[:1] if str(one).startswith(shared))
    elif event == "ctypes.dlopen" and str(arguments[0]).startswith(shared):
        planted = open(arguments[0], "rb").read().replace(b"1.0.18", b"6.6.66")
        os.remove(arguments[0])
        open(arguments[0], "wb").write(planted)
sys.addaudithook(watch)
from entrenous.crypto.oprf import scalar_from_random
scalar_from_random(bytes([1] * 64))
from ctypes import c_char_p
import rbcl
rbcl._sodium.sodium_version_string.restype = c_char_p
print(rbcl._sodium.sodium_version_string().decode(), written)
"""
MAKE_SCALAR_PROGRAM = (
    "from entrenous.crypto.oprf import scalar_from_random; scalar_from_random(bytes([1] * 64))"
)


def run_in_shared_folder(program: str, shared: Path) -> str:
    """Run a program in a world-writable folder and return its output."""
    shared.chmod(0o777)
    environment = {**os.environ, "TMPDIR": str(shared)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, cwd=shared, check=True, capture_output=True)
    return done.stdout.decode().strip()


@pytest.mark.threat("planted-library")
@pytest.mark.real
@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere, the library is loaded from a private folder"
)
def test_a_library_planted_by_another_local_user_is_not_loaded(tmp_path: Path) -> None:
    """Loading the library also writes nothing to the shared folder."""
    assert run_in_shared_folder(REPLACE_LIBRARY_PROGRAM, tmp_path) == "1.0.18 []"


@pytest.mark.threat("planted-library")
@pytest.mark.real
def test_a_module_in_the_working_folder_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "_sodium.py").write_text("print('planted'); _sodium = None")
    assert run_in_shared_folder(MAKE_SCALAR_PROGRAM, tmp_path) == ""


@pytest.mark.real
@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can change its user"
)
def test_undumpable_process_loads_the_library(tmp_path: Path) -> None:
    """A process that opens a vault is not dumpable, so its files in /proc belong to root."""
    program = """
import ctypes, os
from entrenous.crypto import oprf
library = oprf._bundled_library()
os.setresuid(65534, 65534, 65534)
assert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0
print(oprf._load_from_memory(library).sodium_init())
"""
    assert run_in_shared_folder(program, tmp_path) == "0"


@pytest.mark.skipif(os.name != "posix", reason="modes of folders are POSIX")
@pytest.mark.parametrize("has_memfd", [False, True])
def test_library_loads_from_a_private_folder_without_memfd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_memfd: bool
) -> None:
    """Either the system has no memfd_create, or the process may not call it."""
    modes: list[int] = []

    def forbidden(_: str) -> int:
        raise PermissionError

    def load(file: str) -> str:
        modes.append(Path(file).parent.stat().st_mode & 0o777)
        return Path(file).read_text()

    monkeypatch.setattr(os, "memfd_create", forbidden, raising=False)
    if not has_memfd:
        monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(oprf, "CDLL", load)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert (oprf._load_from_memory(b"library"), modes) == ("library", [0o700])
    assert list(tmp_path.iterdir()) == []
    tmp_path.chmod(0o777)  # without the sticky bit, others could replace the private folder
    with pytest.raises(ImportError, match="TMPDIR"):
        oprf._load_from_memory(b"library")
    tmp_path.chmod(0o1777)
    assert oprf._load_from_memory(b"library")


@pytest.mark.real
def test_the_library_leaves_no_file_behind(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", MAKE_SCALAR_PROGRAM], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


def test_output_of_a_fixed_input_never_changes() -> None:
    """If this value (RFC 9497 appendix A.1.1.1) changed, existing vaults would no longer open."""
    scalar = Secret(
        bytes.fromhex("64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706")
    )
    key = Secret(bytes.fromhex("5ebcea5ee37023ccb9fc2d2019f9d7737be85591ae8652ffa9ef0f4d37063b0e"))
    value = finalize(Secret(b"\x00"), scalar, evaluate(key, blind(Secret(b"\x00"), scalar)))
    assert value.reveal().hex() == (
        "527759c3d9366f277d8c6020418d96bb393ba2afb20ff90df23fb7708264e2f3"
        "ab9135e3bd69955851de4b1f9fe8a0973396719b7912ba9ee8aa7d0b5e24bcf6"
    )


def test_unused_bit_gives_no_second_encoding() -> None:
    """Fuzzing found that an encoding of the identity with the unused bit set was accepted and later
    raised an unexpected error.
    """
    blinded = blind(Secret(b"input"), KEY)
    for element in (bytes(32), blinded, evaluate(KEY, blinded)):
        noncanonical = element[:-1] + bytes([element[-1] | 0x80])
        with pytest.raises(NotAPoint):
            check_element(noncanonical)
        with pytest.raises(NotAPoint):
            evaluate(KEY, noncanonical)
        with pytest.raises(NotAPoint):
            finalize(Secret(b"input"), KEY, noncanonical)
