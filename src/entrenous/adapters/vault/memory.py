"""A vault in memory, for the village and for tests."""

import contextlib
import secrets
from collections.abc import Iterator
from typing import BinaryIO

from entrenous.model.envelope import NoSuchBlob
from entrenous.model.ids import ID_BYTES, BlobId


class MemoryVault:
    """The ``Vault`` port in dictionaries; see ports/ for what each method promises."""

    def __init__(self) -> None:
        self._drawers: dict[str, dict[str, bytes]] = {}
        self._files: dict[BlobId, bytes] = {}
        self._depth = 0

    def get(self, drawer: str, key: str) -> bytes | None:
        """The record, or None."""
        return self._drawers.get(drawer, {}).get(key)

    def put(self, drawer: str, key: str, record: bytes) -> None:
        """Store or replace a record."""
        self._drawers.setdefault(drawer, {})[key] = record

    def drop(self, drawer: str, key: str) -> None:
        """Forget a record; it need not exist."""
        self._drawers.get(drawer, {}).pop(key, None)

    def items(self, drawer: str) -> Iterator[tuple[str, bytes]]:
        """Every record of a drawer, sorted by key."""
        return iter(sorted(self._drawers.get(drawer, {}).items()))

    def keys(self, drawer: str, start: str = "") -> tuple[str, ...]:
        """The sorted keys of a drawer that begin so."""
        held = self._drawers.get(drawer, {})
        return tuple(sorted(key for key in held if key.startswith(start)))

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """All changes inside, or none of them; nested uses join the outer one."""
        before = None
        if self._depth == 0:  # records are bytes, so that a copy of each drawer is enough
            before = {name: dict(held) for name, held in self._drawers.items()}
        self._depth += 1
        try:
            yield
        except BaseException:
            if before is not None:
                self._drawers = before
            raise
        finally:
            self._depth -= 1

    def keep(self, data: bytes) -> BlobId:
        """Keep a large thing under a random name."""
        blob = BlobId(secrets.token_bytes(ID_BYTES))
        self._files[blob] = data
        return blob

    def kept(self, blob: BlobId) -> bytes:
        """What was kept; raises NoSuchBlob."""
        if blob not in self._files:
            raise NoSuchBlob
        return self._files[blob]

    def keep_from(self, reader: BinaryIO) -> BlobId:
        """As ``keep``, of all that ``reader`` yields."""
        return self.keep(reader.read())

    def keep_sealed(self, sealed: bytes | BinaryIO) -> BlobId:
        """Keep what is ciphertext already, as it is."""
        return self.keep(sealed if isinstance(sealed, bytes) else sealed.read())

    def read_to(self, blob: BlobId, writer: BinaryIO) -> None:
        """Write what was kept to ``writer``; raises NoSuchBlob."""
        writer.write(self.kept(blob))

    def forget(self, blob: BlobId) -> None:
        """Remove it; it need not exist."""
        self._files.pop(blob, None)
