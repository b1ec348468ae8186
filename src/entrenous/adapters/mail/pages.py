"""The pages of many mailboxes in one question, for PostgreSQL.

Devices that ask for their letters at the same moment each want another mailbox, from another place
on. Asked one by one that is a statement each, and most of what a busy relay asks; a lateral join
reads every page by the same index and answers all of them at once.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from entrenous.adapters.mail.codec import codecs, write
from entrenous.adapters.mail.tables import table_name
from entrenous.adapters.mail.wording import Ask, Statement
from entrenous.model.held import HeldLetter

_WANTED: Final = ("mailbox", "sequence", "expires_at")
#: The lengths of large ones stand in their rows, so those behind a full page are not read for it.
_BEFORE: Final = (
    "coalesce(sum(octet_length(sealed)) OVER (ORDER BY sequence "
    "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)"
)


def pages(asks: Sequence[Ask]) -> Statement:
    """One statement for many ``letters``; :func:`by_ask` tells its rows apart."""
    mailboxes, after, times, limits, full = zip(*(ask.given for ask in asks), strict=True)
    at = [write(HeldLetter, "expires_at", time) for time in times]
    return _text(), [list(mailboxes), list(after), at, list(limits), list(full)]


def by_ask(rows: Sequence[Sequence[Any]], count: int) -> list[list[Sequence[Any]]]:
    """The rows of each of ``count`` questions, in their order and without the leading place."""
    found: list[list[Sequence[Any]]] = [[] for _ in range(count)]
    for place, *row in rows:
        found[place - 1].append(row)
    return found


@cache
def _text() -> str:
    of = codecs(HeldLetter)
    given = ", ".join(f"%b::{of[name].postgres}[]" for name in _WANTED)
    columns = ", ".join(f'page."{name}"' for name in of)
    return (
        f"SELECT wanted.place, {columns} FROM unnest({given}, %b::bigint[], %b::bigint[]) "  # noqa: S608 -- our own nouns
        "WITH ORDINALITY AS wanted(mailbox, after, at, most, full_bytes, place) CROSS JOIN LATERAL "
        f"(SELECT letter.*, {_BEFORE} AS before FROM {table_name(HeldLetter)} AS letter "
        "WHERE letter.mailbox = wanted.mailbox AND letter.sequence > wanted.after "
        "AND letter.expires_at > wanted.at ORDER BY letter.sequence LIMIT wanted.most"
        ") AS page WHERE page.before < wanted.full_bytes ORDER BY wanted.place, page.sequence"
    )
