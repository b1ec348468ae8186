"""What work will ask for, written down before it runs, so that it is read for many at once."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from entrenous.adapters.mail.wording import Ask, How
from entrenous.model.held import HELD, HeldLetter
from entrenous.model.ids import MailboxId

Row = TypeVar("Row")


class Ahead:
    """A :class:`entrenous.ports.MailView` that holds nothing and remembers every question.

    ``is_known`` tells of a row's kind and key whether nobody has to ask; ``pages`` says whether
    letters are asked for.
    """

    def __init__(
        self, is_known: Callable[[type, tuple[object, ...]], bool], *, pages: bool
    ) -> None:
        self._is_known = is_known
        self._pages = pages
        self._many: dict[tuple[How, type, tuple[str, ...]], dict[tuple[object, ...], None]] = {}
        self._ones: dict[Ask, None] = {}

    def asks(self) -> Sequence[Ask]:
        """All questions; those of one form are one."""
        many = [Ask(*form, tuple(values)) for form, values in self._many.items()]
        return [*many, *self._ones]

    def get(self, kind: type[Row], *key: object) -> Row | None:
        """A row will be asked for."""
        if not self._is_known(kind, key):
            self._add("rows", kind, HELD[kind], key)
        return None

    def find(self, kind: type[Row], limit: int | None = None, **fields: object) -> list[Row]:
        """Rows will be; a list that ends early depends on too much to be read ahead."""
        if limit is None:
            self._add("rows", kind, tuple(fields), tuple(fields.values()))
        return []

    def count(self, kind: type[object], **fields: object) -> int:
        """How many there are will be."""
        self._add("counts", kind, tuple(fields), tuple(fields.values()))
        return 0

    def weigh(self, kind: type[object], what: str, **fields: object) -> tuple[int, int]:
        """How much they weigh will be."""
        self._ones[Ask("weigh", kind, tuple(fields), (what, *fields.values()))] = None
        return 0, 0

    def letters(
        self, mailbox: MailboxId, after: int, at: datetime, limit: int, full_bytes: int
    ) -> list[HeldLetter]:
        """Letters will be."""
        if self._pages:
            ask = Ask("letters", HeldLetter, (), (mailbox, after, at, limit, full_bytes))
            self._ones[ask] = None
        return []

    def due(self, kind: type[Row], at: datetime, limit: int) -> list[Row]:
        """What is due will be."""
        self._ones[Ask("due", kind, (), (at, limit))] = None
        return []

    def _add(
        self, how: How, kind: type, names: tuple[str, ...], values: tuple[object, ...]
    ) -> None:
        self._many.setdefault((how, kind, names), {})[values] = None
