"""The safety number: what two people compare in order to know that nobody stands between them."""

from entrenous.craft.crypto.hashing import sha256
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contact_named
from entrenous.send.devices.self import who_am_i

_GROUPS = 12
_ROUNDS = 5200  # as Signal's numeric fingerprints: makes a search for a like number dearer


def safety_number(name: str, device: Device) -> str:
    """Sixty digits over both persons' master keys, the same on both devices.

    Raises:
        UnknownPerson, OfflineDevice.
    """
    mine = who_am_i(device).person.id
    theirs = contact_named(name, device).person.id
    digest = b"".join(sorted((bytes(mine), bytes(theirs))))
    for _ in range(_ROUNDS):
        digest = sha256(b"entrenous/1 safety number\x00" + digest)
    digest += sha256(b"entrenous/1 safety number\x01" + digest)
    groups = (int.from_bytes(digest[5 * i : 5 * i + 5]) % 100_000 for i in range(_GROUPS))
    return " ".join(f"{group:05d}" for group in groups)
