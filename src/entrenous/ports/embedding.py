"""What looking at a picture by its embedding needs (docs/spec/gate.md section 3, 3.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from entrenous.model.embedding import Embedding, KeptEmbedding, NearEmbedding


class Embedder(Protocol):
    """A network, installed here."""

    def embed(self, squares: Sequence[bytes]) -> tuple[Embedding, ...]:
        """One of each square of 224 x 224 RGB samples, row by row."""
        ...


class EmbeddingStore(Protocol):
    """The embeddings of claims, as a BankStore keeps them. Raises BankUnreachable."""

    def embeddings(self, after: int) -> tuple[KeptEmbedding, ...]:
        """Those with a number above ``after``, in order; perhaps only the first of them."""
        ...

    def embedding_count(self) -> int:
        """How many there are."""
        ...


class EmbeddingIndex(Protocol):
    """Finds registered embeddings; follows an EmbeddingStore as an IndexStore does a BankStore."""

    def alike(
        self, queries: Sequence[Embedding], at_least: Sequence[float]
    ) -> Sequence[NearEmbedding]:
        """All whose cosine with a query is at least that query's number. None is missed."""
        ...


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a platform with the extra has: a network, and the embeddings of claims."""

    embedder: Embedder
    index: EmbeddingIndex
