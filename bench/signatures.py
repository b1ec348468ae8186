"""Compare signing with two keys to Ed25519 alone (docs/decisions/0038-signed-batches.md).

    python -m bench.signatures

Both sides of a ratio run in turns, and only processor time counts, so that other work on the
machine does not change the ratio. The last line is JSON.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from entrenous.base.limits import ONE_TIME_KEYS_MAX
from entrenous.crypto.hashing import inclusion_proofs, leaf_hash, merkle_root
from entrenous.crypto.identity_keys import (
    DeviceSigner,
    add_one_time_keys,
    mldsa65_public_key,
    new_device_signer,
    sign_with_device_keys,
    unpickle_olm_account,
)

SCHEMA: Final = "entrenous/bench-signatures/1"
_STATEMENT: Final = bytes(90)  # as long as the statement of a batch
_PREKEY_STATEMENTS: Final = tuple(bytes([number]) * 110 for number in range(ONE_TIME_KEYS_MAX + 2))
Step = Callable[[], object]


def measured(rounds: int) -> dict[str, float]:
    """Return each step's runs per second of processor time, and ratios of times to two decimals."""
    seconds = _in_turns(_steps(), rounds)
    per_second = {f"{name}_per_s": round(1 / seconds[name]) for name in seconds}
    ratios = {
        "sign_both_to_ed25519": seconds["sign_both"] / seconds["sign_ed25519"],
        "verify_both_to_ed25519": seconds["verify_both"] / seconds["verify_ed25519"],
        "set_as_batch_to_each": seconds["set_as_batch"] / seconds["set_each_ed25519"],
    }
    return {**per_second, **{name: round(value, 2) for name, value in ratios.items()}}


def _steps() -> dict[str, Step]:
    ed25519, mldsa65 = Ed25519PrivateKey.generate(), MLDSA65PrivateKey.generate()
    public, large = ed25519.public_key(), mldsa65.public_key()
    one, other = ed25519.sign(_STATEMENT), mldsa65.sign(_STATEMENT)
    fresh = new_device_signer(bytes(32))
    account, _ = add_one_time_keys(fresh.account, ONE_TIME_KEYS_MAX)
    signer = DeviceSigner(account, fresh.seed)
    return {
        "sign_ed25519": lambda: ed25519.sign(_STATEMENT),
        "sign_both": lambda: (ed25519.sign(_STATEMENT), mldsa65.sign(_STATEMENT)),
        "verify_ed25519": lambda: public.verify(one, _STATEMENT),
        "verify_both": lambda: (public.verify(one, _STATEMENT), large.verify(other, _STATEMENT)),
        "set_each_ed25519": lambda: _each(signer),
        "set_as_batch": lambda: _batch(signer),
    }


def _each(signer: DeviceSigner) -> object:
    """Sign each prekey of a set with Ed25519 alone, as devices did before there were batches."""
    opened = unpickle_olm_account(signer.account)
    return [opened.sign(b"bench\x00" + statement).to_base64() for statement in _PREKEY_STATEMENTS]


def _batch(signer: DeviceSigner) -> object:
    """Sign a set of prekeys as one batch with both keys, and make each prekey's inclusion proof.

    Unlike a device, this does not pad the set to 64 leaves.
    """
    leaves = [leaf_hash(b"bench", statement) for statement in _PREKEY_STATEMENTS]
    signed = sign_with_device_keys(signer, b"bench", merkle_root(leaves))
    return signed, mldsa65_public_key(signer), inclusion_proofs(leaves)


def _in_turns(steps: dict[str, Step], rounds: int) -> dict[str, float]:
    took: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            before = time.process_time_ns()
            for _ in range(10):
                step()
            took[name].append((time.process_time_ns() - before) / 10e9)
    return {name: median(several) for name, several in took.items()}


def main() -> None:
    """Measure, and print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    result = {"schema": SCHEMA, **measured(parser.parse_args().rounds)}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
