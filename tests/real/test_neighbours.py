"""Arguments, environments and the relay's log contain no typed secret. Other processes of the same
account cannot read the memory of our programs, and a crash leaves no core dump.

The other processes have no capabilities, such as root's right to trace. They try to read the
environment, memory, open files and folder of our programs in /proc.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from entrenous.device.lock_errors import VaultInUse
from entrenous.device.store.database import lock_folder
from tests.real.processes import Server, Shell, wait_until
from tests.village.world import photo

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="this is about Linux and its /proc"),
]

TEXT = "meet me where the heron nests"
REACTION = "\U0001f9a9"
POLL_INTERVAL_S = 0.002

# Root may trace every process. Without capabilities(7), root is an account like any other.
DROP_CAPABILITIES_PROGRAM = """
import ctypes, os, sys

for capability in range(64):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
UNPRIVILEGED_PYTHON = (sys.executable, "-c", DROP_CAPABILITIES_PROGRAM)
UNPRIVILEGED_PROGRAM = (*UNPRIVILEGED_PYTHON, "-m", "entrenous")
PROBE_PROGRAM = """
import json, os, sys

place = f"/proc/{sys.argv[1]}"


def succeeds(try_it):
    try:
        try_it()
    except OSError:
        return False
    return True


tries = {
    "its environment": lambda: open(f"{place}/environ", "rb").read(),
    "where its memory is": lambda: open(f"{place}/maps", "rb").read(),
    "its memory": lambda: open(f"{place}/mem", "rb").close(),
    "its open files": lambda: os.stat(f"{place}/fd/0"),
    "its folder": lambda: os.listdir(f"{place}/cwd/"),
}
print(json.dumps([what for what, try_it in tries.items() if succeeds(try_it)]))
"""


@dataclass
class RelayAndPeople:
    """A relay and two people who use it and are not contacts yet."""

    folder: Path
    relay: Server
    ana: Shell
    ben: Shell


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayAndPeople]:
    folder = tmp_path_factory.mktemp("people")
    people = RelayAndPeople(
        folder,
        Server(folder / "relay", ("relay", "run"), fresh_process=True),
        Shell("ana", folder / "ana"),
        Shell("ben", folder / "ben"),
    )
    people.relay.start()
    for one in (people.ana, people.ben):
        one.run("setup", "--name", one.name, "--relay", people.relay.url)
        one.fresh_process = True  # the tests read the arguments and environments of the processes
    people.ben.program = UNPRIVILEGED_PROGRAM
    yield people
    people.relay.stop()


@dataclass
class ProcessObserver(threading.Thread):
    """A thread that observes the programs that this process starts, and their child processes.

    The thread records the arguments of both, and the environments of the child processes.
    """

    arguments: set[bytes] = field(default_factory=set)
    environments: set[bytes] = field(default_factory=set)
    ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        while not self.ended.wait(POLL_INTERVAL_S):
            for program in child_pids(os.getpid()):
                self.arguments.add(read_proc(program, "cmdline"))
                for child in child_pids(program):
                    self.record_child(child, read_proc(program, "cmdline"))

    def record_child(self, child: int, parent_arguments: bytes) -> None:
        """Record the arguments of a child process, and its environment once it has called exec.

        Before the exec, the child has the arguments and the environment of its parent.
        """
        arguments = read_proc(child, "cmdline")
        self.arguments.add(arguments)
        if arguments != parent_arguments:
            self.environments.add(read_proc(child, "environ"))


def child_pids(pid: int) -> list[int]:
    found = list[int]()
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def read_proc(pid: int, name: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


@contextmanager
def observe_processes() -> Iterator[ProcessObserver]:
    observer = ProcessObserver()
    observer.start()
    try:
        yield observer
    finally:
        observer.ended.set()
        observer.join()


@pytest.mark.threat("neighbours")
def test_typed_secrets_appear_in_no_arguments_environment_or_log(people: RelayAndPeople) -> None:
    """The typed secrets are an invite link, a text and a reaction."""
    ana, ben, beach = people.ana, people.ben, people.folder / "beach.jpg"
    beach.write_bytes(photo(width_px=160))
    link = str(ben.run("invite", "--json").answer["link"])
    with observe_processes() as observer:
        ana.run_with_input(link + "\n", "person", "add", "-", "--as", "ben", "--json")
        to = ("--to", "ben", "--confirm", "ben", "--text", "-", "--json")
        message = ana.run_with_input(TEXT + "\n", "send", str(beach), *to).answer["message"]
        opened = ben.run("open", message, "--out", str(people.folder / "out"), "--json").answer
        reacted = ben.run_with_input(REACTION, "react", message, "-", "--json").answer
    assert (opened["text"], reacted["reaction"], reacted["to"]) == (TEXT, REACTION, ["ana"])
    assert any(b"person" in one for one in observer.arguments)
    assert any(b"sandbox" in one for one in observer.arguments)  # a child of our program
    log = people.relay.log.read_bytes()
    for secret in (link, TEXT, REACTION, ana.passphrase, ben.passphrase):
        assert not any(secret.encode() in one for one in observer.arguments), secret
        assert not any(secret.encode() in one for one in observer.environments), secret
        assert secret.encode() not in log


def parts_readable_by_another_process(pid: int) -> list[str]:
    """Return the names of the parts of a process that another process of this account can read."""
    program = (*UNPRIVILEGED_PYTHON, "-c", PROBE_PROGRAM, str(pid))
    found: list[str] = json.loads(subprocess.run(program, check=True, capture_output=True).stdout)
    return found


@contextmanager
def allow_core_dumps() -> Iterator[None]:
    """Let programs that are started in this context leave the largest allowed core dump."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@contextmanager
def run_command_with_open_vault(people: RelayAndPeople) -> Iterator[int]:
    """Run a command that keeps Ben's vault open, and yield the command's process id."""
    command = people.ben.start("inbox", "--wait", "60", "--json")
    try:
        assert wait_until(lambda: is_locked(people.ben.home), 120)
        yield command.pid
    finally:
        command.kill()
        command.communicate()


def is_locked(home: Path) -> bool:
    time.sleep(0.05)  # the check locks the folder for a moment, so let the command run
    try:
        os.close(lock_folder(home, 0))
    except VaultInUse:
        return True
    return False


@contextmanager
def run_server(folder: Path, command: str) -> Iterator[int]:
    """Run a relay or a gate, and yield its process id."""
    server = Server(folder / command, (command, "run"), program=UNPRIVILEGED_PROGRAM)
    server.start()
    try:
        yield server.pid
    finally:
        server.stop(signal.SIGKILL)


def check_process_is_unreadable(pid: int) -> None:
    limits = read_proc(pid, "limits").decode().splitlines()
    (core,) = (line.split() for line in limits if line.startswith("Max core file size"))
    assert core[4:6] == ["0", "0"]
    assert parts_readable_by_another_process(pid) == []
    if os.getuid() != 0:
        assert Path(f"/proc/{pid}").stat().st_uid == 0


@pytest.mark.threat("neighbours")
@pytest.mark.parametrize("program", ["device", "relay", "gate"])
def test_other_processes_read_nothing_and_a_crash_leaves_no_dump(
    people: RelayAndPeople, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where a core dump would be
    with (
        allow_core_dumps(),
        run_command_with_open_vault(people)
        if program == "device"
        else run_server(tmp_path, program) as pid,
    ):
        check_process_is_unreadable(pid)
        server_children = child_pids(pid)
        for child in server_children:  # a gate has one child, for deferred scans
            assert wait_until(
                lambda child=child: parts_readable_by_another_process(child) == [], 120
            )
            check_process_is_unreadable(child)
        assert bool(server_children) == (program == "gate")
        os.kill(pid, signal.SIGSEGV)
        _, status = os.waitpid(pid, 0)
        assert os.WTERMSIG(status) == signal.SIGSEGV
        assert not os.WCOREDUMP(status)
    assert not list(tmp_path.glob("*core*"))


def test_unprotected_process_can_be_read_by_another_process() -> None:
    """The test above proves something only if the probe can read other processes."""
    program = (*UNPRIVILEGED_PYTHON, "-c", "print(flush=True); input()")
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as unprotected:
        assert unprotected.stdout is not None
        unprotected.stdout.readline()
        assert {"its environment", "its open files"} <= set(
            parts_readable_by_another_process(unprotected.pid)
        )
        unprotected.communicate(b"\n")
