"""Progress bars on standard error, only where somebody watches."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.text import Text


@contextmanager
def bar(label: str, total: int) -> Iterator["Steps"]:
    """A progress bar on standard error, only where somebody watches."""
    with _display(MofNCompleteColumn()) as progress:
        yield Steps(progress, label, total)


class Steps:
    """Counts the steps of one long task."""

    def __init__(self, progress: Progress, label: str, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task(label, total=total)

    def done(self) -> None:
        """One more is done."""
        self._progress.advance(self._task)

    def reached(self, done: int, total: int) -> None:
        """So many are done, of so many: for whom the total is not known beforehand."""
        self._progress.update(self._task, completed=done, total=total)


class Bars:
    """One bar for each stage of long work, shown once there is something to show."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks = dict[str, TaskID]()

    def reached(self, label: str, done: int, total: int) -> None:
        """So many bytes of that stage are done."""
        self._show(label, done, total, counts=False)

    def counted(self, label: str, done: int, total: int) -> None:
        """So many are done of what is no bytes; in the same display, for two erase each other."""
        self._show(label, done, total, counts=True)

    def _show(self, label: str, done: int, total: int, *, counts: bool) -> None:
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(label, total=total, counts=counts)
        self._progress.update(self._tasks[label], completed=done, total=total)


class _Amount(ProgressColumn):
    """Bytes, or a count, as a row asks for it."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes, self._count = DownloadColumn(), MofNCompleteColumn()

    def render(self, task: Task) -> Text:
        column = self._count if task.fields["counts"] else self._bytes
        return column.render(task)


@contextmanager
def bars() -> Iterator[Bars]:
    """Progress bars on standard error, only where somebody watches."""
    with _display(_Amount()) as progress:
        yield Bars(progress)


def _display(amount: ProgressColumn) -> Progress:
    # Colour only on a terminal and without NO_COLOR; nothing in a label is interpreted.
    shown = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
    return Progress(
        TextColumn("  {task.description:<9}"),
        BarColumn(bar_width=20),
        amount,
        console=shown,
        transient=False,
        disable=not shown.is_terminal,
    )
