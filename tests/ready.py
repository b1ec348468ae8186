"""Start Python programs quickly: fork them from a process that has already imported the code.

Starting Python and importing the code takes half a second for a command, and more for a server.
Here one process, the fork server, does that once, and forks each program that a test starts. A
forked program is a child process of the test, with its own arguments, environment, folder and
files; it runs its module or its code from the first line.

A forked program differs from a newly started one above all in three ways. The modules are already
imported. ``/proc`` shows the arguments and the initial environment of the fork server. A vault that
the program creates has the lowest Argon2 cost (tests/vaults.py). A test of one of these properties
passes ``fresh_process``; ``make nightly`` starts every program anew, as people do.

``python -m tests.ready NUMBER`` is the fork server; NUMBER is the file descriptor of the socket on
which it receives requests.
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

#: Modules that commands and servers import. A program that needs other modules imports them itself.
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
_CLONE_PARENT: Final = 0x8000  # flag of clone(2): the new process gets the caller's parent
#: The system call number of clone(2) on each supported architecture.
_CLONE_CALL_NUMBERS: Final = {"x86_64": 56, "aarch64": 220}


def start_program(
    command: Sequence[str | Path], *, fresh_process: bool = False, **popen_options: Any
) -> Popen[Any]:
    """Start a program, as Popen does.

    The program is forked if possible, except in ``make nightly`` and with ``fresh_process``.
    """
    arguments = [str(word) for word in command]
    is_forked = not (fresh_process or NIGHTLY) and _can_be_forked(arguments, popen_options)
    return (ForkedProgram if is_forked else Popen)(arguments, **popen_options)


def run_program(
    command: Sequence[str | Path],
    *,
    fresh_process: bool = False,
    typed: Any = None,
    **popen_options: Any,
) -> CompletedProcess[Any]:
    """Run a program to its end and return its output; ``typed`` is its standard input."""
    stdin = None if typed is None else PIPE
    with start_program(
        command, fresh_process=fresh_process, stdin=stdin, stdout=PIPE, stderr=PIPE, **popen_options
    ) as process:
        out, err = process.communicate(typed)
    return CompletedProcess(process.args, process.returncode, out, err)


def _can_be_forked(arguments: list[str], popen_options: dict[str, Any]) -> bool:
    environment = popen_options.get("env") or os.environ
    python_settings = [
        {name: value for name, value in one.items() if name in _PYTHON_VARIABLES}
        for one in (environment, os.environ)
    ]
    is_python = (
        arguments[0] == sys.executable
        and arguments[1] in ("-c", "-m")
        and python_settings[0] == python_settings[1]
    )
    return is_python and sys.platform == "linux" and platform.machine() in _CLONE_CALL_NUMBERS


class ForkedProgram(Popen[Any]):
    """A Popen of ``python -m MODULE`` or ``python -c CODE``. The fork server forks the process."""

    def _execute_child(self, *given: Any) -> None:
        """Replace Popen's own fork and exec."""
        popen: Any = Popen
        arguments = inspect.signature(popen._execute_child).bind(self, *given).arguments
        assert not arguments["pass_fds"]
        assert arguments["preexec_fn"] is None
        self.pid = _fork_server().fork(
            {
                "arguments": list(arguments["args"])[1:],
                "environment": dict(arguments["env"] or os.environ),
                "folder": str(arguments["cwd"] or Path.cwd()),
                "new_session": arguments["start_new_session"],
            },
            [arguments["p2cread"], arguments["c2pwrite"], arguments["errwrite"]],
        )
        own: Any = self
        own._child_created = True
        own._close_pipe_fds(
            *(
                arguments[f"{way}{end}"]
                for way in ("p2c", "c2p", "err")
                for end in ("read", "write")
            )
        )


class ForkServer:
    """The fork server, a process that has already imported the code, and the connection to it."""

    def __init__(self) -> None:
        self._socket, server_socket = socket.socketpair()
        self._lock = threading.Lock()
        with server_socket:
            self._process = Popen(
                (sys.executable, "-m", "tests.ready", str(server_socket.fileno())),
                cwd=_ROOT,
                pass_fds=(server_socket.fileno(),),
                stdin=DEVNULL,
            )
        atexit.register(self.close)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()

    def fork(self, request: dict[str, object], files: list[int]) -> int:
        """Fork a program as a child of this process, and return its process ID."""
        data = json.dumps(request).encode()
        with self._lock:
            file_descriptors = [n if n != -1 else own for own, n in enumerate(files)]
            socket.send_fds(self._socket, [_UINT32.pack(len(data))], file_descriptors)
            self._socket.sendall(data)
            return int.from_bytes(_receive_exactly(self._socket, _UINT32.size))


def _fork_server() -> ForkServer:
    with _FORK_SERVER_LOCK:  # several threads may start programs at the same time
        return _start_fork_server_once()


@cache
def _start_fork_server_once() -> ForkServer:
    return ForkServer()


def _receive_exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _receive_request(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Receive one request: the program and its three files. Return None if the socket is closed."""
    head, files, _, _ = socket.recv_fds(connection, _UINT32.size, 3)
    if not head:
        return None
    (size,) = _UINT32.unpack(head)
    return json.loads(_receive_exactly(connection, size)), files


def _serve_requests(connection: socket.socket) -> dict[str, Any] | None:
    """Fork for each request.

    Return the request in the new process. In this process, return None when the socket is closed.
    """
    while (request := _receive_request(connection)) is not None:
        program, files = request
        process = _fork_sibling()
        if process == 0:
            connection.close()
            _replace_standard_files(files)
            return program
        connection.sendall(_UINT32.pack(process))
        for file in files:
            os.close(file)
    return None


def _fork_sibling() -> int:
    """Fork as os.fork does, but make the new process a child of this process's parent.

    The C library does not know about the fork, and so resets nothing in the new process. A reset is
    not necessary: this process has one thread, and the libraries that generate keys use different
    random numbers in each new process (tested for OpenSSL, libsodium, vodozemac and age).
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
    """Make these files the standard input, output and error."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    for file in files:
        os.close(file)


def _open_standard_streams() -> None:
    is_unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        raw = io.FileIO(number, "rb" if number == 0 else "wb", closefd=False)
        buffered = io.BufferedReader(raw) if number == 0 else io.BufferedWriter(raw)
        stream = io.TextIOWrapper(
            buffered,
            encoding="utf-8",
            errors="backslashreplace" if number == 2 else "strict",
            line_buffering=number == 2 or raw.isatty(),
            write_through=number > 0 and is_unbuffered,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _run_in_this_process(request: dict[str, Any]) -> None:
    """Run the requested program in this forked process."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    if request["new_session"]:
        os.setsid()
    time.tzset()
    random.seed()
    _open_standard_streams()
    sys.path[0] = request["folder"]
    kind, program, *arguments = request["arguments"]
    sys.argv[:] = [program if kind == "-m" else kind, *arguments]
    if kind == "-m":
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(program, "<string>", "exec"), vars(main))


def _import_programs() -> None:
    """Import what programs need, and prepare templates and vaults; start no thread."""
    gc.disable()  # garbage collection would take time and free little memory
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

    create_environment = language._template_environment

    @cache
    def create_with_shared_cache(of: language.Language) -> Environment:
        environment = create_environment(of)
        environment.bytecode_cache = FileSystemBytecodeCache(str(_COMPILED_TEMPLATES))
        return environment

    _COMPILED_TEMPLATES.mkdir(parents=True, exist_ok=True)
    language._template_environment = create_with_shared_cache


def main() -> None:
    _import_programs()
    request = _serve_requests(socket.socket(fileno=int(sys.argv[1])))
    if request is not None:
        os._exit(_run_to_exit_status(request))


def _run_to_exit_status(request: dict[str, Any]) -> int:
    """Run the program, finish it as Python does, and return its exit status.

    Objects are not freed, since that would copy their memory in a forked process.
    """
    status = 0
    try:
        _run_in_this_process(request)
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
