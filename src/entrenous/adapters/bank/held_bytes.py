"""How the bytes of uploads lie in the database (docs/spec/gate.md section 5.5).

A row of before has the bytes alone. What is written now says by its first bytes whether it is
sealed, so that no upload can be taken for a sealed one, whatever its own first bytes are.
"""

from dataclasses import dataclass
from typing import Final

from entrenous.craft.crypto.held import NAME_BYTES, name_of, open_held, seal_held
from entrenous.model.letter import DoesNotOpen
from entrenous.model.review import UploadShut
from entrenous.model.secret import Secret

_MAGIC: Final = b"entrenous/1 held"
_PLAIN: Final = _MAGIC + b"\0"
_SEALED: Final = _MAGIC + b"\1"
HEAD_BYTES: Final = len(_SEALED) + NAME_BYTES


@dataclass(frozen=True, slots=True)
class HeldBytes:
    """``keys``, the newest first, of 32 bytes each: the first one seals, any of them opens. Without
    any, nothing is sealed.
    """

    keys: tuple[Secret, ...] = ()

    def stored(self, case: str, data: bytes) -> bytes:
        """As they are kept of this case."""
        if not self.keys:
            return _PLAIN + data if data.startswith(_MAGIC) else data
        key = self.keys[0]
        return b"".join((_SEALED, name_of(key), seal_held(key, data, case.encode())))

    def has_key_of(self, stored: bytes) -> bool:
        """Whether they are not sealed, or under one of these keys; ``HEAD_BYTES`` of them do."""
        if not stored.startswith(_SEALED):
            return True
        return stored[len(_SEALED) : HEAD_BYTES] in map(name_of, self.keys)

    def opened(self, case: str, stored: bytes) -> bytes:
        """What was brought; raises UploadShut."""
        if stored.startswith(_PLAIN):
            return stored[len(_PLAIN) :]
        if not stored.startswith(_SEALED):
            return stored
        name, sealed = stored[len(_SEALED) : HEAD_BYTES], stored[HEAD_BYTES:]
        for key in self.keys:
            if name_of(key) == name:
                try:
                    return open_held(key, sealed, case.encode())
                except DoesNotOpen:
                    break
        raise UploadShut(case=case)
