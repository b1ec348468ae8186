"""``entrenous gate run``, and its child processes ``gate judge`` and ``gate slow-look``."""

import os
import signal
import sys
import threading
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.base.errors import EntrenousError
from entrenous.media.sandbox.confinement import (
    REQUEST_FD,
    keep_freed_memory,
    read_from,
    reserve_answer_fd,
    write_to,
)
from entrenous.serving.http_server import ServeOptions, serve
from entrenous.serving.server_process import LogKind, start_log, tune_garbage_collection
from entrenous.serving.tls import TlsCertificate
from entrenous.stop.commands.gate_status import NO_APPEAL_WARNING
from entrenous.stop.gate_settings import (
    SLOW_LOOK_PROCESSES_MAX,
    GateHttpSettings,
    read_gate_settings,
)
from entrenous.stop.judge.decide import decide_upload
from entrenous.stop.judge.deferred_scan import run_next_deferred_scan
from entrenous.stop.judge.judge_pool import (
    READY_MESSAGE,
    JudgePool,
    decide_and_encode_answer,
    disable_vfork,
    keep_running,
    processor_count,
    read_judge_request,
)
from entrenous.stop.nouns import BankUnreachable
from entrenous.stop.platform import Platform
from entrenous.stop.store.open_gate import (
    TOKEN_ROLES,
    GateTokens,
    open_existing,
    open_platform,
    read_gate_http_settings,
    token_path,
)
from entrenous.terminal.output import hint, print_json, print_line
from entrenous.terminal.session import session_of
from entrenous.terminal.typed_input import parse_host_and_port

_JUDGES_MAX: Final = 64


def add_commands(gate: typer.Typer) -> None:
    """Add this module's commands to the group ``entrenous gate``."""
    gate.command("judge", hidden=True)(judge_from_stdin)
    gate.command("slow-look")(make_deferred_scans)
    gate.command("run")(run_gate)


def run_gate(
    context: typer.Context,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the database.")],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Host and port; port 0 takes a free one.")
    ] = ("127.0.0.1:7802"),
    slow_look: Annotated[
        bool,
        typer.Option(
            "--slow-look/--no-slow-look",
            help="After the answer, scan uploads more slowly, in separate processes.",
        ),
    ] = True,
    judges: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=_JUDGES_MAX,
            metavar="N",
            show_default="one more than processors",
            help="Number of processes that judge pictures when several come at once; 0 for none.",
        ),
    ] = None,
    show_tokens: Annotated[
        bool,
        typer.Option(
            "--show-tokens", help="Also print its tokens; the log of a service would store them."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON when the server is ready.")
    ] = False,
) -> None:
    """Run a gate: it holds or refuses uploads that match a registered fingerprint.

    The gate's tokens are files in its data folder; only the account that runs it can read them.
    """
    host, port = parse_host_and_port(listen)
    http_settings = read_gate_http_settings(data)
    options = ServeOptions(_certificate_from_settings(http_settings))
    if not http_settings.appeal_url:
        hint(NO_APPEAL_WARNING)
    start_log(LogKind.ERRORS, sys.stderr)
    keep_freed_memory()
    disable_vfork()
    with ExitStack() as opened:
        platform, tokens = opened.enter_context(open_platform(data, serves=True))
        if not slow_look:
            platform = without_deferred_scans(platform)
        if platform.limits.slow_looks > 0:
            count = _deferred_scan_process_count(data)
            opened.enter_context(keep_running(deferred_scan_command(data), count=count))
        if read_gate_settings(data).fetch_minutes:
            opened.enter_context(keep_running(exchange_fetch_command(data)))

        def announce(url: str) -> None:
            shown = _tokens_as_text(tokens) if show_tokens else {}
            if as_json:
                print_json(
                    {"schema": "entrenous/gate/1", "url": url, **_token_file_paths(data), **shown}
                )
                return
            print_line(f"The gate serves at {url}. Stop it with Ctrl-C.")
            print_line(
                f"  Its tokens are in {data}: operator.token, uploader.token, metrics.token."
            )
            for name, token in shown.items():
                print_line(f"  {name}: {token}")

        beside = _open_judge_pool(data, judges, slow_look=slow_look)
        app = session_of(context).feature_functions["gate"](platform, tokens, beside, http_settings)
        serve(app, host, port, announce, options)


def _certificate_from_settings(http_settings: GateHttpSettings) -> TlsCertificate | None:
    if http_settings.tls_cert is None or http_settings.tls_key is None:
        return None
    return TlsCertificate(http_settings.tls_cert, http_settings.tls_key)


def _open_judge_pool(data: Path, wanted: int | None, *, slow_look: bool) -> JudgePool | None:
    """Return the pool of judge processes, or None for no judges.

    If ``wanted`` is None, there are none on a machine with one processor, where a pool is useless.
    """
    count = wanted
    if count is None:
        count = min(processor_count() + 1, _JUDGES_MAX) if processor_count() > 1 else 0
    return JudgePool(judge_command(data, slow_look=slow_look), count) if count else None


def exchange_fetch_command(data: Path) -> list[str]:
    """Return the command that fetches from other platforms at the interval in the settings."""
    return _gate_subcommand("follow", data)


def judge_command(data: Path, *, slow_look: bool) -> list[str]:
    """Return the command of a judge process."""
    return _gate_subcommand("judge", data, "--slow-look" if slow_look else "--no-slow-look")


def deferred_scan_command(data: Path) -> list[str]:
    """Return the command line of a process that makes deferred scans."""
    return _gate_subcommand("slow-look", data, "--follow")


def _gate_subcommand(name: str, data: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "entrenous", "gate", name, "--data", str(data), *more]


def _deferred_scan_process_count(data: Path) -> int:
    """Return how many processes make deferred scans: the setting, or half the number of
    processors.

    Half are enough, because scans run only while uploads leave processors idle; more processes
    would only use memory.
    """
    wanted = read_gate_settings(data).slow_look_processes
    return wanted or min(max(1, processor_count() // 2), SLOW_LOOK_PROCESSES_MAX)


def _token_file_paths(data: Path) -> dict[str, str]:
    """Return the paths of the token files.

    The tokens themselves are not printed, since other people may read the log.
    """
    return {f"{role}_token_file": str(token_path(data.absolute(), role)) for role in TOKEN_ROLES}


def _tokens_as_text(tokens: GateTokens) -> dict[str, str]:
    return {f"{role}_token": getattr(tokens, role).reveal().decode() for role in TOKEN_ROLES}


def judge_from_stdin(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the gate.")],
    slow_look: Annotated[bool, typer.Option("--slow-look/--no-slow-look")] = True,
) -> None:
    """Judge uploads from standard input until it ends."""
    # A service manager sends SIGTERM to all processes, but the gate still waits for answers.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answers = reserve_answer_fd()
    keep_freed_memory()
    disable_vfork()
    with open_platform(data, serves=True) as (opened, _):
        platform = opened if slow_look else without_deferred_scans(opened)
        tune_garbage_collection()
        write_to(answers, READY_MESSAGE)
        while _judge_one(platform, answers):
            pass


def _judge_one(platform: Platform, answers: int) -> bool:
    """Judge one upload; return False at the end of the input.

    The memory of the upload is released before this waits for the next one.
    """
    judge_request = read_judge_request(partial(read_from, REQUEST_FD))
    if judge_request is None:
        return False
    upload, reference, publishes = judge_request
    decide = partial(decide_upload, upload, platform, reference, publishes)
    write_to(answers, decide_and_encode_answer(decide))
    return True


def without_deferred_scans(platform: Platform) -> Platform:
    """Return the platform with deferred scans turned off.

    The second scan is then always made before the answer.
    """
    return replace(platform, limits=replace(platform.limits, slow_looks=0))


_DUE_SCAN_POLL_INTERVAL_S: Final = 1.0
_WAIT_FOR_DATABASE_S: Final = 60.0  # each failure writes a line to the log
_NICENESS_MAX: Final = 19  # the highest niceness: the lowest priority


def make_deferred_scans(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the gate.")],
    follow: Annotated[
        bool, typer.Option("--follow", help="Continue until standard input ends.")
    ] = False,
) -> None:
    """Search accepted uploads for parts of registered pictures; a running gate does so itself."""
    with suppress(AttributeError, OSError):  # os.nice does not exist on Windows
        os.nice(_NICENESS_MAX)
    disable_vfork()
    with open_existing(data) as (platform, _):
        if follow:
            _scan_until_end(platform)
            return
        made = 0
        while run_next_deferred_scan(platform):
            made += 1
        print_line(f"Uploads searched: {made}.")


def _scan_until_end(platform: Platform) -> None:
    ended = threading.Event()
    threading.Thread(target=_set_at_input_end, args=(ended,), daemon=True).start()
    while not ended.is_set():
        ended.wait(_scan_once(platform))


def _scan_once(platform: Platform) -> float:
    """Run one deferred scan, if one is due; return for how many seconds to wait before the next.

    If it fails, only the error's class is printed, since its message may be about an upload.
    """
    try:
        return 0 if run_next_deferred_scan(platform) else _DUE_SCAN_POLL_INTERVAL_S
    except EntrenousError as why:
        hint(f"slow look: {type(why).__name__}")
        is_away = isinstance(why, BankUnreachable)
        return _WAIT_FOR_DATABASE_S if is_away else _DUE_SCAN_POLL_INTERVAL_S


def _set_at_input_end(ended: threading.Event) -> None:
    with suppress(OSError, ValueError):
        sys.stdin.buffer.read()
    ended.set()
