"""``entrenous gate judge``: what a busy gate runs beside itself; not for people."""

import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from entrenous.adapters.forking import fork_whole
from entrenous.adapters.garbage import collect_seldom
from entrenous.adapters.judging.words import READY, read_question, write_answer
from entrenous.craft.media.jailed.ends import QUESTIONS, read_from, set_answers_apart, write_to
from entrenous.craft.media.memory import keep_freed_memory
from entrenous.ports import Platform
from entrenous.stop.gate import decide_upload
from entrenous.wiring.platform import open_platform


def join(gate: typer.Typer) -> None:
    """Add this module's command to ``entrenous gate``."""
    gate.command("judge", hidden=True)(judge)


def judge(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the gate.")],
    slow_look: Annotated[bool, typer.Option("--slow-look/--no-slow-look")] = True,
) -> None:
    """Judge upload after upload from standard input, until it ends."""
    # A service manager tells all processes of a gate to stop; the gate still waits for answers.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answers = set_answers_apart()
    keep_freed_memory()
    fork_whole()
    with open_platform(data, serves=True) as (opened, _):
        platform = opened if slow_look else without_slow_looks(opened)
        collect_seldom()
        write_to(answers, READY)
        while _judge_one(platform, answers):
            pass


def _judge_one(platform: Platform, answers: int) -> bool:
    """False when there are no more. Nothing of an upload is kept until the next one comes."""
    asked = read_question(partial(read_from, QUESTIONS))
    if asked is None:
        return False
    upload, reference, publishes = asked
    decide = partial(decide_upload, upload, platform, reference, publishes)
    write_to(answers, write_answer(decide))
    return True


def without_slow_looks(platform: Platform) -> Platform:
    """The same, but what can be looked for is looked for before the answer."""
    return replace(platform, limits=replace(platform.limits, slow_looks=0))


def command(data: Path, *, slow_look: bool) -> list[str]:
    """What a gate runs beside itself."""
    looks = "--slow-look" if slow_look else "--no-slow-look"
    return [sys.executable, "-m", "entrenous", "gate", "judge", "--data", str(data), looks]
