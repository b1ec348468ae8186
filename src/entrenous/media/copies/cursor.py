"""Strict reading of a file's structure."""

from typing import Final, Literal

from entrenous.base.errors import Malformed
from entrenous.media.icc_profile import parse_profile, write_profile


class NotACopy(Malformed):
    """
    This file is not a picture, clip or sound in the form that Entrenous writes. It is damaged, or
    contains other data as well. It was not opened. Ask the person who sent it to send it again.
    """


ByteOrder = Literal["big", "little"]
PROFILE_BYTES_MAX: Final = 65_536


class FileCursor:
    """A position in a file that only moves forward.

    Raises: NotACopy: any method raises this if bytes are missing or wrong.
    """

    def __init__(self, untrusted_data: bytes, order: ByteOrder = "big") -> None:
        self.data, self.at, self._order = untrusted_data, 0, order

    def read_bytes(self, size: int) -> bytes:
        end = self.at + size
        require(size >= 0 and end <= len(self.data))
        found, self.at = self.data[self.at : end], end
        return found

    def read_number(self, size: int) -> int:
        return int.from_bytes(self.read_bytes(size), self._order)

    def require_bytes(self, expected: bytes) -> None:
        """Require that exactly these bytes are next."""
        require(self.read_bytes(len(expected)) == expected)

    def bytes_left(self) -> int:
        return len(self.data) - self.at

    def require_end(self) -> None:
        require(self.bytes_left() == 0)


def require(holds: object) -> None:
    """Raise NotACopy unless ``holds`` is true."""
    if not holds:
        raise NotACopy


def require_own_profile(profile: bytes) -> None:
    """Raise NotACopy unless parsing a colour profile and writing it again gives the same bytes."""
    require(len(profile) <= PROFILE_BYTES_MAX)
    numbers = parse_profile(profile)
    require(numbers is not None and write_profile(numbers) == profile)
