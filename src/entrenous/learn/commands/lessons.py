"""``entrenous learn``: the lessons at the terminal, and their export."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from entrenous.base.language import translated
from entrenous.learn.lesson import (
    Lesson,
    NoSuchLesson,
    all_lessons,
    is_right_choice,
    lesson_as_text,
    verdict_in_words,
)
from entrenous.terminal.output import hint, print_line
from entrenous.terminal.output_files import write_new
from entrenous.terminal.session import EXIT_NO, EXIT_YES

_TEXT_COLUMNS_MAX: Final = 88  # width of the text in columns; longer lines are hard to read
QuizFlag = Annotated[bool, typer.Option("--quiz", help="Ask the lesson's question at the end.")]


class _LessonGroup(TyperGroup):
    """The command group ``learn``, in which each lesson is a command."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = super().get_command(ctx, cmd_name)
        if found is None and not cmd_name.startswith("-"):
            raise NoSuchLesson(name=cmd_name)
        return found


def add_commands(app: typer.Typer) -> None:
    learn = typer.Typer(
        cls=_LessonGroup,
        help="Five-minute lessons; each ends with one setting that you change.",
        invoke_without_command=True,
    )
    learn.callback()(list_lessons)
    learn.command("export")(export)
    for one in all_lessons():
        learn.command(one.name, help=one.title)(_make_show_command(one))
    app.add_typer(learn, name="learn")


def list_lessons(context: typer.Context) -> None:
    """Five-minute lessons; each ends with one setting that you change."""
    if context.invoked_subcommand is not None:
        return
    width = max(len(one.name) for one in all_lessons())
    for one in all_lessons():
        print_line(f"{one.name:{width}}  {one.title}")
        closes = translated("closes: {what}").format(what=one.closes)
        print_line(f"{'':{width}}  {closes}")
    print_line(translated("read one: entrenous learn where-copies-hide"))


def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder for the files.")],
) -> None:
    """Write all lessons as a web site, with a sheet to print for each (A4 and Letter)."""
    from entrenous.learn.export import INDEX_FILE_NAME, site_files  # noqa: PLC0415 -- fonts and templates

    count = 0
    for name, data in site_files(all_lessons()):
        write_new(folder / name, data)
        count += 1
    index = folder / INDEX_FILE_NAME
    print_line(
        translated("{count} files are in {folder}. Open {index}").format(
            count=count, folder=folder, index=index
        )
    )


def _make_show_command(lesson: Lesson) -> Callable[[bool], None]:
    def show_lesson(quiz: QuizFlag = False) -> None:
        width = min(shutil.get_terminal_size().columns, _TEXT_COLUMNS_MAX)
        print_line(lesson_as_text(lesson, width))
        if quiz:
            raise typer.Exit(EXIT_NO if _ask_lesson_question(lesson) is False else EXIT_YES)

    return show_lesson


def _ask_lesson_question(lesson: Lesson) -> bool | None:
    """Ask a lesson's question. Return whether the answer is right, or None if the question was
    skipped.
    """
    if not sys.stdin.isatty():
        raise typer.BadParameter(translated("there is no terminal to ask you at: leave out --quiz"))
    hint("")
    hint(lesson.question.ask)
    for number, choice in enumerate(lesson.question.choices, 1):
        hint(f"  {number}  {choice}")
    answer = _read_choice(len(lesson.question.choices))
    if answer is None:
        return None
    print_line(verdict_in_words(lesson.question, answer))
    return is_right_choice(lesson.question, answer)


def _read_choice(choice_count: int) -> int | None:
    """Return the typed number, or None for an empty line; ask again after anything else."""
    while True:
        typed = typer.prompt(
            translated("Your answer"), err=True, default="", show_default=False
        ).strip()
        if typed.isdigit() and 1 <= int(typed) <= choice_count:
            return int(typed)
        if not typed:
            return None
        hint(
            translated(
                "Type a number from 1 to {most}, or only press Enter to skip the question."
            ).format(most=choice_count)
        )
