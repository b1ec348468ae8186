"""``entrenous gate run``: a platform's upload gate."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.adapters.bank.settings import SLOW_LOOK_PROCESSES_MAX, gate_settings
from entrenous.adapters.forking import fork_whole
from entrenous.adapters.http_server import Ways, serve
from entrenous.adapters.judging.pool import Judges
from entrenous.adapters.kept_running import kept_running
from entrenous.adapters.processors import processors
from entrenous.adapters.server_log import start_log
from entrenous.adapters.tls import Certificate
from entrenous.craft.media.memory import keep_freed_memory
from entrenous.faces.cli.device.opened import session_of
from entrenous.faces.cli.listen import host_and_port
from entrenous.faces.cli.output import hint, put_json, say
from entrenous.faces.cli.stop.judge import command as judge_command
from entrenous.faces.cli.stop.judge import without_slow_looks
from entrenous.faces.cli.stop.slow_look import command as slow_look_command
from entrenous.faces.cli.stop.status import NO_APPEAL
from entrenous.model.gate_front import GateFront
from entrenous.model.relay_settings import LogKind
from entrenous.wiring.platform import (
    TOKEN_ROLES,
    GateTokens,
    front_of,
    open_platform,
    token_file,
)

_JUDGES_MAX: Final = 64


def join(gate: typer.Typer) -> None:
    """Add this module's command to ``entrenous gate``."""
    gate.command("run")(run)


def run(
    context: typer.Context,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the database.")],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Host and port; port 0 takes a free one.")
    ] = ("127.0.0.1:7802"),
    slow_look: Annotated[
        bool,
        typer.Option(
            "--slow-look/--no-slow-look",
            help="After its answer, look for an upload's parts, by processes beside the gate.",
        ),
    ] = True,
    judges: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=_JUDGES_MAX,
            metavar="N",
            show_default="one more than processors",
            help="Processes that judge pictures once two are there at a time; 0: the gate's own.",
        ),
    ] = None,
    show_tokens: Annotated[
        bool,
        typer.Option(
            "--show-tokens", help="Print its tokens too; a service's log would keep them."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line once it serves.")] = False,
) -> None:
    """Run a gate: uploads that fit a registered fingerprint are held or refused.

    Its tokens are in files of its folder that only its account can read.
    """
    host, port = host_and_port(listen)
    front = front_of(data)
    ways = Ways(_certificate(front))
    if not front.appeal_url:
        hint(NO_APPEAL)
    start_log(LogKind.ERRORS, sys.stderr)
    keep_freed_memory()
    fork_whole()
    with ExitStack() as opened:
        platform, tokens = opened.enter_context(open_platform(data, serves=True))
        if not slow_look:
            platform = without_slow_looks(platform)
        if platform.limits.slow_looks > 0:
            count = _slow_looks_at_once(data)
            opened.enter_context(kept_running(slow_look_command(data), count=count))
        if gate_settings(data).fetch_minutes:
            opened.enter_context(kept_running(follow_command(data)))

        def announce(url: str) -> None:
            shown = _shown(tokens) if show_tokens else {}
            if as_json:
                put_json({"schema": "entrenous/gate/1", "url": url, **_files(data), **shown})
                return
            say(f"The gate serves at {url}. Stop it with Ctrl-C.")
            say(f"  Its tokens are in {data}: operator.token, uploader.token, metrics.token.")
            for name, token in shown.items():
                say(f"  {name}: {token}")

        beside = _judges(data, judges, slow_look=slow_look)
        app = session_of(context).apps["gate"](platform, tokens, beside, front)
        serve(app, host, port, announce, ways)


def _certificate(front: GateFront) -> Certificate | None:
    if front.tls_cert is None or front.tls_key is None:
        return None
    return Certificate(front.tls_cert, front.tls_key)


def _judges(data: Path, wanted: int | None, *, slow_look: bool) -> Judges | None:
    """None on a machine with one processor, where they gain nothing."""
    count = wanted
    if count is None:
        count = min(processors() + 1, _JUDGES_MAX) if processors() > 1 else 0
    return Judges(judge_command(data, slow_look=slow_look), count) if count else None


def follow_command(data: Path) -> list[str]:
    """Return the command that fetches from other platforms as often as the gate's settings say."""
    return [sys.executable, "-m", "entrenous", "gate", "follow", "--data", str(data)]


def _slow_looks_at_once(data: Path) -> int:
    """As set, or half as many as processors: each takes what uploads leave idle, and has memory of
    its own.
    """
    wanted = gate_settings(data).slow_look_processes
    return wanted or min(max(1, processors() // 2), SLOW_LOOK_PROCESSES_MAX)


def _files(data: Path) -> dict[str, str]:
    """Where its tokens are, since what a service prints is kept in logs that others read."""
    return {f"{role}_token_file": str(token_file(data.absolute(), role)) for role in TOKEN_ROLES}


def _shown(tokens: GateTokens) -> dict[str, str]:
    return {f"{role}_token": getattr(tokens, role).reveal().decode() for role in TOKEN_ROLES}
