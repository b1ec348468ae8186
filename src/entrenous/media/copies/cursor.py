"""Reading a file's structure: so many bytes, and an error if they are not as required."""

from typing import Final, Literal

from entrenous.base.errors import Malformed
from entrenous.media.icc_profile import parse_profile, write_profile


class NotACopy(Malformed):
    """
    This file is not a picture, clip or sound as Entrenous writes them: it is broken, or it holds
    something else, or more than that.
    """


Order = Literal["big", "little"]
PROFILE_BYTES_MAX: Final = 65_536


class Cursor:
    """A place in a file that moves forward only.

    Raises:
        NotACopy: from each method, where the bytes are missing or others than they must be.
    """

    def __init__(self, untrusted_data: bytes, order: Order = "big") -> None:
        self.data, self.at, self._order = untrusted_data, 0, order

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        end = self.at + size
        insist(size >= 0 and end <= len(self.data))
        found, self.at = self.data[self.at : end], end
        return found

    def number(self, size: int) -> int:
        """The next unsigned number of ``size`` bytes."""
        return int.from_bytes(self.take(size), self._order)

    def expect(self, wanted: bytes) -> None:
        """Exactly these bytes come next."""
        insist(self.take(len(wanted)) == wanted)

    def left(self) -> int:
        """How many bytes have not been read."""
        return len(self.data) - self.at

    def end(self) -> None:
        """Nothing is left."""
        insist(self.left() == 0)


def insist(holds: object) -> None:
    """Raises NotACopy unless ``holds``."""
    if not holds:
        raise NotACopy


def insist_on_profile(profile: bytes) -> None:
    """A colour profile holds numbers only, in the form of our writer; raises NotACopy."""
    insist(len(profile) <= PROFILE_BYTES_MAX)
    numbers = parse_profile(profile)
    insist(numbers is not None and write_profile(numbers) == profile)
