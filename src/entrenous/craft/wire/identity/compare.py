"""What a comparing of keys is about, as bytes (docs/spec/people.md section 3)."""

from entrenous.craft.wire.cbor import encode
from entrenous.model.compare import Half
from entrenous.model.ids import PersonId


def write_transcript(
    transaction: bytes, starter: tuple[PersonId, Half], other: tuple[PersonId, Half]
) -> bytes:
    """Both sides' persons, devices, lists and keys, the one who began first."""
    return encode([transaction, _side(*starter), _side(*other)])


def _side(person: PersonId, half: Half) -> list[bytes]:
    return [person, half.device, half.head, half.public]
