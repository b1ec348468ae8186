"""Progress bars on standard error, shown only on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from entrenous.base.language import translated

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID
    from rich.text import Text


@contextmanager
def step_bar(label: str, total: int) -> Iterator["StepCounter"]:
    """Show one progress bar on standard error, if standard error is a terminal."""
    with stage_bars() as shown:
        yield StepCounter(shown, label, total)


@contextmanager
def stage_bars() -> Iterator["StageBars"]:
    """Show several progress bars on standard error, if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield StageBars(None)
        return
    with _make_progress_display() as progress:
        yield StageBars(progress)


class StageBars:
    """One progress bar for each stage of long work, shown when the stage first reports progress.

    If ``progress`` is None, nothing is shown.
    """

    def __init__(self, progress: "Progress | None") -> None:
        self._progress = progress
        self._tasks = dict[str, "TaskID"]()

    def report_bytes(self, label: str, done: int, total: int) -> None:
        """Report how many bytes of a stage are done; ``label`` must be marked for translation."""
        self._show(translated(label), done, total, counts=False)

    def report_count(self, label: str, done: int, total: int) -> None:
        """Report how many steps of a stage are done, in the same display as the bytes.

        Two separate displays would erase each other.
        """
        self._show(label, done, total, counts=True)

    def _show(self, label: str, done: int, total: int, *, counts: bool) -> None:
        if self._progress is None:
            return
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(label, total=total, counts=counts)
        self._progress.update(self._tasks[label], completed=done, total=total)


class StepCounter:
    """The step counter of one long task, whose bar is shown from the start."""

    def __init__(self, shown: StageBars, label: str, total: int) -> None:
        self._shown, self._label, self._total = shown, label, total
        self._done = 0
        self.set_progress(0, total)

    def advance(self) -> None:
        """Count one step as done."""
        self.set_progress(self._done + 1, self._total)

    def set_progress(self, done: int, total: int) -> None:
        """Set the number of steps done, and the total, which may be unknown at the start."""
        self._done, self._total = done, total
        self._shown.report_count(self._label, done, total)


def _make_progress_display() -> "Progress":
    from rich import progress  # noqa: PLC0415 - slow to load, and needed only on a terminal
    from rich.console import Console  # noqa: PLC0415 - as above

    class AmountColumn(progress.ProgressColumn):
        """A column that shows bytes or a count, whichever the row's task has."""

        def __init__(self) -> None:
            super().__init__()
            self._bytes, self._count = progress.DownloadColumn(), progress.MofNCompleteColumn()

        def render(self, task: "Task") -> "Text":
            column = self._count if task.fields["counts"] else self._bytes
            return column.render(task)

    # Output is coloured unless NO_COLOR is set. Markup inside a label is not interpreted.
    shown = Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)
    return progress.Progress(
        progress.TextColumn("  {task.description:<9}"),
        progress.BarColumn(bar_width=20),
        AmountColumn(),
        console=shown,
        transient=False,
        disable=not shown.is_terminal,
    )
