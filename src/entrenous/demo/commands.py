"""``entrenous demo``: run the steps, print a line for each, and write a summary and a page."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.base.errors import EntrenousError, Refused
from entrenous.base.picture import UnwritableFolder
from entrenous.demo import steps
from entrenous.demo.result_page import write_page
from entrenous.demo.sample_photos import prepare_main_photo
from entrenous.demo.stage import DemoServers, DemoState, StepOutcome
from entrenous.terminal.output import hint, print_line
from entrenous.terminal.session import EXIT_NO, EXIT_YES


class NotADemoFolder(Refused):
    """
    {path} contains files that the demonstration did not make. Nothing was changed. Choose another
    folder: entrenous demo --out DIR
    """


MARKER_FILE_NAME: Final = ".entrenous-demo"
_MARKER_TEXT: Final = (
    "A demonstration of Entrenous made this folder, and the next one empties it.\n"
)


def prepare_empty_folder(out: Path) -> None:
    """Create the folder, or empty the one that an earlier demonstration made.

    Only a marker file shows that a demonstration made the folder. Names such as "summary.json" or
    "photo.jpg" prove nothing.

    Raises:
        NotADemoFolder: the folder has content that no demonstration made; nothing was changed.
        UnwritableFolder: the folder cannot be created or emptied.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        left = list(out.iterdir())
        if left and not (out / MARKER_FILE_NAME).is_file():
            raise NotADemoFolder(path=out)
        (out / MARKER_FILE_NAME).write_text(_MARKER_TEXT, encoding="utf-8")
        for place in left:
            _remove_unless_marker(place)
    except OSError:
        raise UnwritableFolder(path=out) from None


def _remove_unless_marker(place: Path) -> None:
    """Remove a file, folder or link; keep the marker file, in case the removal is interrupted."""
    if place.name == MARKER_FILE_NAME:
        return
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink()


SUMMARY_FILE_NAME: Final = "summary.json"
STEPS: Final[tuple[tuple[str, Callable[[DemoState], StepOutcome]], ...]] = (
    ("carry", steps.start_servers),
    ("setup", steps.set_up_people),
    ("send", steps.send_photo),
    ("stop", steps.register_photo),
    ("leak", steps.leak_a_copy),
    ("trace", steps.trace_leak),
    ("recall", steps.recall_second_message),
    ("respond", steps.open_demo_case),
)


@dataclass(frozen=True, slots=True)
class FinishedStep:
    step: int
    name: str
    outcome: StepOutcome
    ok: bool
    seconds: float


def add_commands(app: typer.Typer) -> None:
    app.command("demo")(demo)


def demo(
    photo: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your own photo instead of NASA's.")
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the result; it is emptied first.")
    ] = Path("demo-out"),
) -> None:
    """See a photo sent, leaked, stopped and traced, and a case opened, all on this machine."""
    data = prepare_main_photo(photo)
    prepare_empty_folder(out)
    sent = out / f"photo{_file_suffix(data)}"
    sent.write_bytes(data)
    print_line("Entrenous: one private photo, on this machine only. Nothing leaves it.")
    print_line()
    with DemoServers(out / "world") as stage:
        people = (
            stage.create_person("ana"),
            stage.create_person("ben"),
            stage.create_person("caro"),
        )
        story = DemoState(stage, out, sent, *people)
        finished = _run_steps(story)
        ok = len(finished) == len(STEPS) and all(one.ok for one in finished)
        if ok:
            finished.append(_run_step(9, "summary", write_page, story))
            ok = finished[-1].ok
    _write_and_print_summary(out, finished, ok=ok)
    raise typer.Exit(EXIT_YES if ok else EXIT_NO)


def _run_steps(story: DemoState) -> list[FinishedStep]:
    finished = []
    for number, (name, step) in enumerate(STEPS, 1):
        finished.append(_run_step(number, name, step, story))
        if not finished[-1].ok:
            break
    return finished


def _run_step(
    number: int, name: str, step: Callable[[DemoState], StepOutcome], story: DemoState
) -> FinishedStep:
    began = time.monotonic()
    try:
        outcome, ok = step(story), True
    except EntrenousError as error:
        outcome, ok = StepOutcome(str(error)), False
    seconds = round(time.monotonic() - began, 2)
    print_line(f"{number}  {outcome.words}  ({seconds:.1f} s)")
    return FinishedStep(number, name, outcome, ok, seconds)


def _write_and_print_summary(out: Path, finished: list[FinishedStep], *, ok: bool) -> None:
    summary = {
        "schema": "entrenous/demo/1",
        "ok": ok,
        "seconds": round(sum(one.seconds for one in finished), 2),
        "steps": [
            {
                "step": one.step,
                "name": one.name,
                "ok": one.ok,
                "seconds": one.seconds,
                "outcome": one.outcome.words,
                **one.outcome.facts,
            }
            for one in finished
        ],
    }
    text = json.dumps(summary, indent=2, ensure_ascii=False)
    (out / SUMMARY_FILE_NAME).write_text(text + "\n", encoding="utf-8")
    print_line()
    if ok:
        print_line("Everything was as it should be.")
        print_line(f"Look at it: {out / 'index.html'}    Figures: {out / SUMMARY_FILE_NAME}")
    else:
        hint("The demonstration stopped early; the line above says where and why.")


def _file_suffix(data: bytes) -> str:
    kinds = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"RI": ".webp", b"GI": ".gif", b"BM": ".bmp"}
    return kinds.get(data[:2], ".heic" if data[4:8] == b"ftyp" else ".picture")
