"""Start Python programs quickly: fork them from a process that has already imported the code.

The start of Python and its imports take half a second of each command, and more of a server. Here
one process does that once, and forks each program that a test starts. Such a program is a separate
process, a child of the test's, with its own arguments, environment, folder and files; it runs its
module or its code from the first line.

It differs from a program that is started anew in three ways: its modules are already imported,
``/proc`` shows the arguments and initial environment of the process that it was forked from, and a
vault that it creates has the lowest Argon2 cost (tests/vaults.py). A test that is about one of
these passes ``fresh_process``; ``make nightly`` starts every program anew, as people do.

``python -m tests.ready NUMBER`` is the process that forks; NUMBER is the file descriptor of the
socket on which it receives requests.
"""

import atexit
import ctypes
import gc
import importlib
import inspect
import io
import json
import os
import pkgutil
import platform
import random
import runpy
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from subprocess import DEVNULL, PIPE, CompletedProcess, Popen
from types import ModuleType
from typing import Any, Final

import pytest

from tests.sizes import NIGHTLY

#: What commands and servers import. A missing module only costs its importers time.
MODULES: Final = (
    *("anyio._backends._asyncio", "cryptography.hazmat.backends.openssl", "encodings.idna"),
    *("PIL.GifImagePlugin", "PIL.JpegImagePlugin", "PIL.PngImagePlugin", "PIL.PpmImagePlugin"),
    *("sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.sqlite", "typer._adapters"),
    *("uvicorn.lifespan.on", "uvloop", "xkcdpass.xkcd_password", "zxcvbn"),
    *("entrenous.app.commands", "entrenous.app.server", "entrenous.archive.commands"),
    *("entrenous.carry.commands.run", "entrenous.carry.http.relay_app"),
    *("entrenous.carry.open_relay", "entrenous.carry.store.postgres", "entrenous.cli"),
    *("entrenous.connectors.exchange.commands", "entrenous.connectors.exchange.exchange_app"),
    *("entrenous.connectors.hma_app", "entrenous.device.commands", "entrenous.learn.export"),
    *("entrenous.send.commands.catch_up", "entrenous.send.commands.devices"),
    *("entrenous.send.commands.inbox", "entrenous.send.commands.people"),
    *("entrenous.send.commands.recall", "entrenous.send.commands.send"),
    *("entrenous.send.commands.setup", "entrenous.send.commands.vault_lock"),
    *("entrenous.send.copies.mark_clip", "entrenous.send.copies.picture_copies"),
    *("entrenous.send.copies.sound_copies", "entrenous.serving.http_server"),
    *("entrenous.stop.commands.gate_run", "entrenous.stop.commands.gate_status"),
    *("entrenous.stop.commands.protect_command", "entrenous.stop.http.gate_app"),
    *("entrenous.respond.commands.case", "entrenous.respond.commands.evidence"),
    *("entrenous.trace.commands", "entrenous.trace.explain.pdf"),
    *("entrenous.trace.explain.sections", "entrenous.demo.commands"),
)
_ROOT: Final = Path(__file__).parents[1]
#: The page templates as compiled by Jinja, each with a hash of its source.
_COMPILED_TEMPLATES: Final = _ROOT / ".pytest_cache" / "d" / "templates"
_PYTHON_VARIABLES: Final = {"PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONUTF8"}
_UINT32: Final = struct.Struct("!I")
_FORK_SERVER_LOCK: Final = threading.Lock()
_CLONE_PARENT: Final = 0x8000  # of clone(2): the new process has the caller's parent
#: The system call number of clone(2) on each architecture.
_CLONE_CALL_NUMBERS: Final = {"x86_64": 56, "aarch64": 220}


def start_program(
    command: Sequence[str | Path], *, fresh_process: bool = False, **how: Any
) -> Popen[Any]:
    """Start a program like Popen.

    It is forked if that is possible, but not in ``make nightly``, nor with ``fresh_process``.
    """
    words = [str(word) for word in command]
    at_once = not (fresh_process or NIGHTLY) and _can_be_forked(words, how)
    return (ForkedProgram if at_once else Popen)(words, **how)


def run_program(
    command: Sequence[str | Path], *, fresh_process: bool = False, typed: Any = None, **how: Any
) -> CompletedProcess[Any]:
    """Run a program to its end and return its output; ``typed`` is its standard input."""
    stdin = None if typed is None else PIPE
    with start_program(
        command, fresh_process=fresh_process, stdin=stdin, stdout=PIPE, stderr=PIPE, **how
    ) as process:
        out, err = process.communicate(typed)
    return CompletedProcess(process.args, process.returncode, out, err)


def _can_be_forked(words: list[str], how: dict[str, Any]) -> bool:
    around = how.get("env") or os.environ
    python = [
        {name: value for name, value in one.items() if name in _PYTHON_VARIABLES}
        for one in (around, os.environ)
    ]
    is_python = words[0] == sys.executable and words[1] in ("-c", "-m") and python[0] == python[1]
    return is_python and sys.platform == "linux" and platform.machine() in _CLONE_CALL_NUMBERS


class ForkedProgram(Popen[Any]):
    """A Popen of ``python -m MODULE`` or ``python -c CODE`` that was forked by :class:`ForkServer`."""

    def _execute_child(self, *given: Any) -> None:
        """Replace Popen's own fork and exec."""
        popen: Any = Popen
        asked = inspect.signature(popen._execute_child).bind(self, *given).arguments
        assert not asked["pass_fds"]
        assert asked["preexec_fn"] is None
        self.pid = _fork_server().fork(
            {
                "words": list(asked["args"])[1:],
                "environment": dict(asked["env"] or os.environ),
                "folder": str(asked["cwd"] or Path.cwd()),
                "alone": asked["start_new_session"],
            },
            [asked["p2cread"], asked["c2pwrite"], asked["errwrite"]],
        )
        own: Any = self
        own._child_created = True
        own._close_pipe_fds(
            *(asked[f"{way}{end}"] for way in ("p2c", "c2p", "err") for end in ("read", "write"))
        )


class ForkServer:
    """The connection to the process that has imported everything and forks programs."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair()
        self._one_at_a_time = threading.Lock()
        with theirs:
            self._process = Popen(
                (sys.executable, "-m", "tests.ready", str(theirs.fileno())),
                cwd=_ROOT,
                pass_fds=(theirs.fileno(),),
                stdin=DEVNULL,
            )
        atexit.register(self.close)

    def close(self) -> None:
        self._line.close()
        self._process.wait()

    def fork(self, asked: dict[str, object], files: list[int]) -> int:
        """Fork a program as a child of this process, and return its process ID."""
        data = json.dumps(asked).encode()
        with self._one_at_a_time:
            given = [n if n != -1 else own for own, n in enumerate(files)]
            socket.send_fds(self._line, [_UINT32.pack(len(data))], given)
            self._line.sendall(data)
            return int.from_bytes(_receive_exactly(self._line, _UINT32.size))


def _fork_server() -> ForkServer:
    with _FORK_SERVER_LOCK:  # threads may ask at the same time
        return _start_fork_server_once()


@cache
def _start_fork_server_once() -> ForkServer:
    return ForkServer()


def _receive_exactly(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = line.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _receive_request(line: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Receive one request: the program and its three files; None when the socket is closed."""
    head, files, _, _ = socket.recv_fds(line, _UINT32.size, 3)
    if not head:
        return None
    (size,) = _UINT32.unpack(head)
    return json.loads(_receive_exactly(line, size)), files


def _serve_requests(line: socket.socket) -> dict[str, Any] | None:
    """Fork for each request. Return it in the new process; return None in this one, at the end."""
    while (one := _receive_request(line)) is not None:
        asked, files = one
        process = _fork_sibling()
        if process == 0:
            line.close()
            _replace_standard_files(files)
            return asked
        line.sendall(_UINT32.pack(process))
        for file in files:
            os.close(file)
    return None


def _fork_sibling() -> int:
    """Fork like os.fork, but as a child of this process's parent, which waits for its end.

    The C library does not know of the new process, and so resets nothing in it. Nothing needs to be
    reset: this process has one thread, and the libraries that generate keys use other random
    numbers in each new process (tested for OpenSSL, libsodium, vodozemac and age).
    """
    python = ctypes.pythonapi
    python.PyOS_BeforeFork()
    flags = _CLONE_PARENT | signal.SIGCHLD
    process = ctypes.PyDLL(None).syscall(_CLONE_CALL_NUMBERS[platform.machine()], flags, 0, 0, 0, 0)
    if process == 0:
        python.PyOS_AfterFork_Child()
        return 0
    python.PyOS_AfterFork_Parent()
    assert process > 0
    return int(process)


def _replace_standard_files(files: list[int]) -> None:
    """Make these the standard input, output and error, as a new Python finds them."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    for file in files:
        os.close(file)


def _open_standard_streams() -> None:
    straight = bool(os.environ.get("PYTHONUNBUFFERED"))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        raw = io.FileIO(number, "rb" if number == 0 else "wb", closefd=False)
        buffered = io.BufferedReader(raw) if number == 0 else io.BufferedWriter(raw)
        stream = io.TextIOWrapper(
            buffered,
            encoding="utf-8",
            errors="backslashreplace" if number == 2 else "strict",
            line_buffering=number == 2 or raw.isatty(),
            write_through=number > 0 and straight,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _run_in_this_process(asked: dict[str, Any]) -> None:
    """Run the program as this process, which was forked for it."""
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    if asked["alone"]:
        os.setsid()
    time.tzset()
    random.seed()
    _open_standard_streams()
    sys.path[0] = asked["folder"]
    kind, what, *arguments = asked["words"]
    sys.argv[:] = [what if kind == "-m" else kind, *arguments]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), vars(main))


def _import_programs() -> None:
    """Import and load what programs need, without starting a thread or keeping a file open."""
    gc.disable()  # it would take a quarter of the imports' time, and find nothing
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the program does
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    for name in MODULES:
        importlib.import_module(name)
    for page in pkgutil.iter_modules(importlib.import_module("entrenous.app.pages").__path__):
        importlib.import_module(f"entrenous.app.pages.{page.name}")
    with suppress(ImportError):
        importlib.import_module("threatexchange.cli.main")
    from entrenous.crypto.oprf import scalar_from_random
    from entrenous.device.client import http_courier
    from tests.vaults import make_vaults_open_quickly

    scalar_from_random(b"1" * 64)  # loads libsodium
    http_courier._public_authorities_context()  # reads the certificates
    _compile_templates_once()
    make_vaults_open_quickly(pytest.MonkeyPatch())
    gc.freeze()
    gc.enable()
    assert len(list(Path("/proc/self/task").iterdir())) == 1


def _compile_templates_once() -> None:
    """Let all apps share the compiled page templates; otherwise each would compile its own."""
    from jinja2 import Environment, FileSystemBytecodeCache

    from entrenous.app import language

    make = language._template_environment

    @cache
    def make_with_shared_cache(of: language.Language) -> Environment:
        environment = make(of)
        environment.bytecode_cache = FileSystemBytecodeCache(str(_COMPILED_TEMPLATES))
        return environment

    _COMPILED_TEMPLATES.mkdir(parents=True, exist_ok=True)
    language._template_environment = make_with_shared_cache


def main() -> None:
    _import_programs()
    asked = _serve_requests(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        os._exit(_run_to_exit_status(asked))


def _run_to_exit_status(asked: dict[str, Any]) -> int:
    """Run the program, finish it as Python does, and return its exit status.

    Only its objects are not freed: in a forked process that would first copy their memory.
    """
    status = 0
    try:
        _run_in_this_process(asked)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
    except BaseException:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    main()
