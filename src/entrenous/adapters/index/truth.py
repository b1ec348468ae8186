"""What a bank holds, read a page at a time: a large bank never lies in memory as Python objects."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from entrenous.adapters.index.shard import UNDIVIDED, Shard
from entrenous.craft.fingerprint.index import Searchable, Words, as_words, searchable
from entrenous.model.bank import Entry
from entrenous.ports import BankStore

Rows = tuple[NDArray[np.int64], Words]  # entry numbers (N,) and hashes (N, 4)


def news_of(bank: BankStore, after: int) -> Iterator[Sequence[Entry]]:
    """Entries with a number above ``after``, in order, as many at a time as the bank gives."""
    while news := bank.entries(after):
        yield news
        after = news[-1].number


def truth_of(bank: BankStore, shard: Shard = UNDIVIDED) -> tuple[Searchable, Searchable]:
    """All of a shard that the bank holds now: whole pictures, and parts."""
    pages = [
        tuple(shard.some(*_rows(news, part=part)) for part in (False, True))
        for news in news_of(bank, 0)
    ]
    whole, parts = ([page[kind] for page in pages] for kind in (0, 1))
    return searchable(*_joined(whole), inverted=True), searchable(*_joined(parts))


def _rows(news: Sequence[Entry], *, part: bool) -> Rows:
    mine = [entry for entry in news if entry.part is part]
    numbers = np.asarray([entry.number for entry in mine], dtype=np.int64)
    return numbers, as_words([entry.bits for entry in mine])


def _joined(pages: Sequence[Rows]) -> Rows:
    none = (np.zeros(0, dtype=np.int64), as_words([]))
    numbers, words = zip(none, *pages, strict=True)
    return np.concatenate(numbers), np.concatenate(words)
