"""``protect`` shows what a fingerprint reveals, and asks on a terminal, before it sends."""

import json
import os
import select
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import skimage.data

from tests.ready import start_program
from tests.real.processes import PROGRAM, Server, Shell
from tests.real.wire import RecordedTraffic, record_traffic
from tests.stop.platform_for_tests import jpeg

pytestmark = pytest.mark.real

WARNING = "a likeness of it, not the picture, can be guessed"
AGE_QUESTION, SEND_QUESTION = "18 or older when it was made?", "Send this to http://127.0.0.1:"
TIMEOUT_S = 60


@dataclass
class TerminalCommand:
    """A command on a terminal, with methods that wait for questions and type answers."""

    process: subprocess.Popen[bytes]
    master_fd: int
    shown: str = ""

    def wait_for(self, question: str) -> str:
        """Wait for a question, and return all output since the previous question."""
        while question not in " ".join(self.shown.split()):
            assert self._read_more(), self.shown
        shown, self.shown = " ".join(self.shown.split()), ""
        return shown

    def type_line(self, answer: str) -> None:
        os.write(self.master_fd, answer.encode() + b"\n")

    def wait(self) -> tuple[int, str]:
        """Wait until the command ends; return the exit status and the rest of the output."""
        while self._read_more():
            pass
        return self.process.wait(TIMEOUT_S), " ".join(self.shown.split())

    def _read_more(self) -> bool:
        assert select.select([self.master_fd], [], [], TIMEOUT_S)[0], self.shown
        try:
            read = os.read(self.master_fd, 4096)
        except OSError:  # Linux raises this when the other end is closed
            read = b""
        self.shown += read.decode()
        return bool(read)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("gate") / "gate", ("gate", "run", "--no-slow-look"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def ana(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("ana")
    relay = Server(folder / "relay", ("relay", "run"))
    relay.start()
    ana = Shell("ana", folder / "home")
    ana.run("setup", "--name", "ana", "--relay", relay.url)
    (folder / "beach.jpg").write_bytes(jpeg(skimage.data.astronaut()))
    yield ana
    relay.stop()


@pytest.fixture
def traffic(gate: Server) -> Iterator[RecordedTraffic]:
    with record_traffic(gate.url) as traffic:
        yield traffic


def photograph_path(ana: Shell) -> str:
    return str(ana.home.with_name("beach.jpg"))


@contextmanager
def run_protect_on_terminal(ana: Shell, *words: str) -> Iterator[TerminalCommand]:
    master_fd, slave = os.openpty()
    environment = {
        **os.environ,
        "ENTRENOUS_HOME": str(ana.home),
        "ENTRENOUS_PASSPHRASE": ana.passphrase,
        "TERM": "dumb",
    }
    with start_program(
        (*PROGRAM, "protect", photograph_path(ana), *words),
        env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(slave)
        try:
            yield TerminalCommand(process, master_fd)
        finally:
            process.kill()
            os.close(master_fd)


def registered_claims(ana: Shell) -> list[str]:
    listed = ana.run("protect", "--list", "--json").answer["claims"]
    return [str(one["claim"]) for one in listed]


@pytest.mark.threat("hash-inversion")
def test_answering_no_on_a_terminal_sends_and_stores_nothing(
    ana: Shell, traffic: RecordedTraffic
) -> None:
    before = registered_claims(ana)
    for answers in (("n",), ("y", "n"), ("y", "")):
        with run_protect_on_terminal(ana, "--gate", traffic.url) as screen:
            for question, answer in zip((AGE_QUESTION, SEND_QUESTION), answers, strict=False):
                shown = screen.wait_for(question)
                # The warning is shown only before the first question.
                assert (WARNING in shown) == (question == AGE_QUESTION)
                screen.type_line(answer)
            status, rest = screen.wait()
        assert status == 3
        why = "takeitdown.ncmec.org" if answers == ("n",) else "no fingerprint of it was sent"
        assert why in rest
    assert traffic.connections == []
    assert registered_claims(ana) == before


def test_on_a_terminal_fingerprints_are_sent_after_the_second_yes(
    ana: Shell, traffic: RecordedTraffic
) -> None:
    before = registered_claims(ana)
    with run_protect_on_terminal(ana, "--gate", traffic.url, "--whole-only") as screen:
        assert "--whole-only" not in screen.wait_for(AGE_QUESTION)
        screen.type_line("y")
        screen.wait_for(SEND_QUESTION)
        assert traffic.connections == []
        screen.type_line("y")
        status, rest = screen.wait()
    assert (status, "take it back at any time" in rest) == (0, True)
    (exchange,) = traffic.exchanges()
    assert (exchange.method, exchange.path, exchange.status) == ("POST", "/v1/claims", 201)
    (claim,) = set(registered_claims(ana)) - set(before)
    assert ana.run("unprotect", claim, "--json").answer["state"] == "withdrawn"


def test_option_yes_answers_only_the_second_question(ana: Shell, traffic: RecordedTraffic) -> None:
    with run_protect_on_terminal(ana, "--gate", traffic.url, "--yes") as screen:
        assert WARNING in screen.wait_for(AGE_QUESTION)
        assert traffic.connections == []
        screen.type_line("y")
        status, rest = screen.wait()
    assert (status, SEND_QUESTION in rest) == (0, False)
    assert len(traffic.exchanges()) == 1


@pytest.mark.threat("hash-inversion")
def test_script_gets_the_warning_before_anything_is_sent(ana: Shell) -> None:
    """The platform never answers. The warning must be on stderr when the command connects."""
    with socket.create_server(("127.0.0.1", 0)) as platform:
        platform.settimeout(TIMEOUT_S)
        url = f"http://127.0.0.1:{platform.getsockname()[1]}"
        command = ana.start("protect", photograph_path(ana), "--gate", url, "--json")
        connection, _ = platform.accept()
        assert command.stderr is not None
        os.set_blocking(command.stderr.fileno(), False)
        assert WARNING in " ".join(command.stderr.read().decode().split())
        connection.close()
    assert ana.wait(command).status == 6


def test_script_gets_one_json_object(ana: Shell, gate: Server) -> None:
    done = ana.run("protect", photograph_path(ana), "--gate", gate.url, "--json")
    claim = done.answer["claim"]
    assert json.loads(done.out) == {
        "schema": "entrenous/claim/1",
        "claim": claim,
        "kind": "pdq",
        "state": "waiting",
        "gate": gate.url,
    }
    assert done.out.count(b"\n") == 1
    assert claim in registered_claims(ana)
