"""The sender's own names for copies, each once."""

from collections.abc import Iterable
from typing import TypeVar

from entrenous.model.ids import RecipientId
from entrenous.model.message import Copy

T = TypeVar("T")


def by_label(copies: Iterable[Copy], values: Iterable[T]) -> dict[RecipientId, T]:
    """One value per copy, by the sender's name for it; a person's further devices are numbered."""
    labelled: dict[RecipientId, T] = {}
    for copy, value in zip(copies, values, strict=True):
        label, number = copy.to, 2
        while label in labelled:
            label, number = RecipientId(f"{copy.to} (device {number})"), number + 1
        labelled[label] = value
    return labelled
