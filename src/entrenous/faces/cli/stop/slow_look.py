"""``entrenous gate slow-look``: the slow looks that are due, one after the other."""

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.adapters.forking import fork_whole
from entrenous.faces.cli.output import hint, say
from entrenous.model.errors import EntrenousError
from entrenous.ports import Platform
from entrenous.stop.slow_look import look_slowly
from entrenous.wiring.platform import open_existing

_ASK_AGAIN_S: Final = 1.0
_LOWEST: Final = 19


def join(gate: typer.Typer) -> None:
    """Add this module's command to ``entrenous gate``."""
    gate.command("slow-look")(slow_look)


def slow_look(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the gate.")],
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until standard input ends.")
    ] = False,
) -> None:
    """Look slowly at uploads that were let through; a running gate does so by itself."""
    with suppress(AttributeError, OSError):  # Windows knows no such thing
        os.nice(_LOWEST)
    fork_whole()
    with open_existing(data) as (platform, _):
        if follow:
            _follow(platform)
            return
        made = 0
        while look_slowly(platform):
            made += 1
        say(f"Slow looks that were made: {made}.")


def command(data: Path) -> list[str]:
    """What a gate runs beside itself."""
    return [sys.executable, "-m", "entrenous", "gate", "slow-look", "--data", str(data), "--follow"]


def _follow(platform: Platform) -> None:
    ended = threading.Event()
    threading.Thread(target=_wait_for_end, args=(ended,), daemon=True).start()
    while not ended.is_set():
        if not _one(platform):
            ended.wait(_ASK_AGAIN_S)


def _one(platform: Platform) -> bool:
    """Of a failure only its kind is said, for its words may tell of an upload."""
    try:
        return look_slowly(platform)
    except EntrenousError as why:
        hint(f"slow look: {type(why).__name__}")
        return False


def _wait_for_end(ended: threading.Event) -> None:
    with suppress(OSError, ValueError):
        sys.stdin.buffer.read()
    ended.set()
