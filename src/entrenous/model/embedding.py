"""Embeddings: a picture as 512 numbers of a network (docs/spec/gate.md section 3, 3.2)."""

from dataclasses import dataclass
from typing import Final

from entrenous.model.errors import Refused
from entrenous.model.ids import ClaimId

NUMBERS: Final = 512
LARGEST: Final = 127
SQUARE_PX: Final = 224  # of each side of what the network is shown
MODEL: Final = "sscd-distilled-224"  # the network, and the side of the square that it is shown
EMBEDDINGS_MAX: Final = 100_000  # of one gate: 51 MB


@dataclass(frozen=True, slots=True)
class Embedding:
    """``numbers`` are 512 signed bytes, of which the largest is 127 or -127. Only their angle to
    those of another picture says something, and only for the same ``model``.
    """

    numbers: bytes
    model: str = MODEL

    def __post_init__(self) -> None:
        if len(self.numbers) != NUMBERS:
            raise ValueError("an embedding has 512 numbers")
        signed = memoryview(self.numbers).cast("b")
        if max(map(abs, signed)) != LARGEST:
            raise ValueError("the largest number of an embedding is 127 or -127")
        if not (0 < len(self.model) <= 40 and self.model.isascii() and self.model.isprintable()):
            raise ValueError("a network's name has 1 to 40 characters")


@dataclass(frozen=True, slots=True)
class KeptEmbedding:
    """What a claim registered: ``entry`` is the number of the hash of its whole picture."""

    number: int
    entry: int
    claim: ClaimId
    embedding: Embedding


@dataclass(frozen=True, slots=True)
class NearEmbedding:
    """Query number ``query`` and what ``claim`` registered have this cosine, from -1 to 1."""

    query: int
    entry: int
    claim: ClaimId
    cosine: float


class LacksEmbedding(Refused):
    """
    Finding pictures by how they look needs a network that is not installed here, so nothing was
    sent. With Python 3.12 or newer, install it, in the folder of Entrenous:
    .venv/bin/pip install -e '.[embedding]'. Or leave --embedding out: the picture's fingerprints
    are found without it.
    """


class TakesNoEmbedding(Refused):
    """
    The platform at {url} does not compare pictures by how they look, or not by the same network, so
    nothing was sent. Give the same command without --embedding.
    """
