"""Which sent pictures a found one may be, before it is laid over any of them."""

from dataclasses import dataclass
from typing import Final

from entrenous.model.ids import MessageId

_LIKELY_POINTS: Final = 9  # among 10,000 strangers the luckiest hardly reaches it
_LIKELY_BITS: Final = 60  # of 256; the luckiest of 10,000 strangers differs in more


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sent picture: number ``place`` of ``message``.

    ``look`` numbers what it looks like: the same for a picture that was sent in several messages.
    ``agreeing`` points of the found picture lie on it in one way, ``fresh`` of them where no
    likelier candidate has any; the fingerprints differ in ``bits``. ``learnt`` is false when its
    points were never kept, or were damaged.
    """

    message: MessageId
    place: int
    look: int
    agreeing: int
    fresh: int
    bits: int
    learnt: bool = True

    @property
    def likely(self) -> bool:
        """Whether chance alone would hardly make it resemble the found picture so much."""
        return self.agreeing >= _LIKELY_POINTS or self.same_print

    @property
    def same_print(self) -> bool:
        """Whether the fingerprints are those of one picture."""
        return self.bits <= _LIKELY_BITS
