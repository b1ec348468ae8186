"""Send tokens that grow from one seed (docs/spec/letter.md section 9)."""

from typing import Final

from entrenous.craft.crypto.derive import derive
from entrenous.model.secret import Secret

_TOKEN: Final = b"entrenous/2 send token\x00"


def send_token(seed: Secret, index: int) -> Secret:
    """Token number ``index``, 32 bytes; without the seed nobody tells it from a random one.

    Raises:
        ValueError: the seed has not 32 bytes.
        OverflowError: an index below 0 or beyond 64 bits.
    """
    if len(seed) != 32:
        raise ValueError("a window of tokens grows from 32 bytes")
    return derive(seed, _TOKEN + index.to_bytes(8, "big"))
