"""Progress bars on standard error, shown only on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID
    from rich.text import Text


@contextmanager
def bar(label: str, total: int) -> Iterator["Steps"]:
    """A progress bar on standard error, only where somebody watches."""
    with bars() as shown:
        yield Steps(shown, label, total)


@contextmanager
def bars() -> Iterator["Bars"]:
    """Progress bars on standard error, only where somebody watches."""
    if not sys.stderr.isatty():
        yield Bars(None)
        return
    with _display() as progress:
        yield Bars(progress)


class Bars:
    """One bar for each stage of long work, shown once there is something to show; without a
    ``progress`` nothing is shown.
    """

    def __init__(self, progress: "Progress | None") -> None:
        self._progress = progress
        self._tasks = dict[str, "TaskID"]()

    def reached(self, label: str, done: int, total: int) -> None:
        """So many bytes of that stage are done."""
        self._show(label, done, total, counts=False)

    def counted(self, label: str, done: int, total: int) -> None:
        """So many are done of what is no bytes; in the same display, for two erase each other."""
        self._show(label, done, total, counts=True)

    def _show(self, label: str, done: int, total: int, *, counts: bool) -> None:
        if self._progress is None:
            return
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(label, total=total, counts=counts)
        self._progress.update(self._tasks[label], completed=done, total=total)


class Steps:
    """Counts the steps of one long task, whose bar is there from the first on."""

    def __init__(self, shown: Bars, label: str, total: int) -> None:
        self._shown, self._label, self._total = shown, label, total
        self._done = 0
        self.reached(0, total)

    def done(self) -> None:
        """One more is done."""
        self.reached(self._done + 1, self._total)

    def reached(self, done: int, total: int) -> None:
        """So many are done, of so many: for whom the total is not known beforehand."""
        self._done, self._total = done, total
        self._shown.counted(self._label, done, total)


def _display() -> "Progress":
    from rich import progress  # noqa: PLC0415 - takes as long to load as a small command to run
    from rich.console import Console  # noqa: PLC0415 - as above

    class Amount(progress.ProgressColumn):
        """Bytes, or a count, as a row asks for it."""

        def __init__(self) -> None:
            super().__init__()
            self._bytes, self._count = progress.DownloadColumn(), progress.MofNCompleteColumn()

        def render(self, task: "Task") -> "Text":
            column = self._count if task.fields["counts"] else self._bytes
            return column.render(task)

    # Colour only without NO_COLOR; nothing in a label is interpreted.
    shown = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
    return progress.Progress(
        progress.TextColumn("  {task.description:<9}"),
        progress.BarColumn(bar_width=20),
        Amount(),
        console=shown,
        transient=False,
        disable=not shown.is_terminal,
    )
