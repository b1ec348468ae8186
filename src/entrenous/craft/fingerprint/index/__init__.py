"""Which registered hashes lie within 31 bits of these? Exactly: none missed, none invented.

A bank of one hash or of sixteen equal ones is searched like any other. How it is searched depends
on its size (``plan.substrings_for``); all ways answer alike.
"""

from entrenous.craft.fingerprint.index.pairs import Pairs
from entrenous.craft.fingerprint.index.plan import plan_of, substrings_for
from entrenous.craft.fingerprint.index.scan import ScanIndex, Words, as_words
from entrenous.craft.fingerprint.index.segment import Segment
from entrenous.craft.fingerprint.index.sized import Searchable, searchable

__all__ = [
    "Pairs",
    "ScanIndex",
    "Searchable",
    "Segment",
    "Words",
    "as_words",
    "plan_of",
    "searchable",
    "substrings_for",
]
