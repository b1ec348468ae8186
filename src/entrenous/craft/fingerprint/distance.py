"""How far apart two fingerprints are."""

from entrenous.model.fingerprint import Fingerprint


def distance(one: Fingerprint, other: Fingerprint) -> int:
    """In how many of 256 bits two fingerprints differ; unrelated pictures differ in about 128."""
    return (int.from_bytes(one.bits, "big") ^ int.from_bytes(other.bits, "big")).bit_count()
