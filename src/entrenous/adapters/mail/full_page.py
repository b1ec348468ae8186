"""Where a page of letters ends that has few because they are large."""

from collections.abc import Iterable

from entrenous.model.held import HeldLetter


def until_full(letters: Iterable[HeldLetter], full_bytes: int) -> list[HeldLetter]:
    """Up to the one with which their sealed bytes come to that; none behind it is asked for."""
    page, size = list[HeldLetter](), 0
    for one in letters:
        page.append(one)
        size += len(one.sealed)
        if size >= full_bytes:
            break
    return page
