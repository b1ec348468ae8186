"""Embeddings of claims in the tables, each function inside of an open transaction."""

from typing import Final

import sqlalchemy as sa

from entrenous.adapters.bank.tables import EMBEDDING
from entrenous.model.embedding import Embedding, KeptEmbedding
from entrenous.model.ids import ClaimId

_EMBEDDINGS_MAX: Final = 10_000  # of news at once; at 0.6 kB each


def add_embedding(db: sa.Connection, claim: ClaimId, entry: int, embedding: Embedding) -> None:
    """What a claim registered; ``entry`` is the number of the hash of its whole picture."""
    row = {"claim": claim, "entry": entry, "model": embedding.model, "numbers": embedding.numbers}
    db.execute(EMBEDDING.insert().values(row))


def forget_embedding(db: sa.Connection, claim: ClaimId) -> None:
    """Before the claim's hashes."""
    db.execute(EMBEDDING.delete().where(EMBEDDING.c.claim == claim))


def embeddings_after(db: sa.Connection, after: int) -> tuple[KeptEmbedding, ...]:
    """News, by number."""
    wanted = sa.select(EMBEDDING).where(EMBEDDING.c.number > after)
    rows = db.execute(wanted.order_by(EMBEDDING.c.number).limit(_EMBEDDINGS_MAX))
    return tuple(
        KeptEmbedding(
            row.number, row.entry, ClaimId(row.claim), Embedding(bytes(row.numbers), row.model)
        )
        for row in rows
    )


def embedding_count(db: sa.Connection) -> int:
    """All of them."""
    return db.execute(sa.select(sa.func.count(EMBEDDING.c.claim))).scalar_one()
