"""Programs of incompatible versions at a real relay say how to update, and send nothing."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenous.base.errors import HOW_TO_UPDATE
from entrenous.terminal.session import EXIT_STATUS_BY_FAMILY
from tests.real.processes import PROGRAM, Server, Shell

pytestmark = pytest.mark.real

REFUSED = EXIT_STATUS_BY_FAMILY["refused"]


PATCHED_PROGRAM = """
import sys
from entrenous.__main__ import main
from entrenous.base.identity import ProtocolRange
from entrenous.device.client import relay_request
from entrenous.send.people import keep_contacts

constants = {{{constants}}}
for module in [vars(one) for name, one in sys.modules.items() if name.startswith("entrenous")]:
    module.update((name, value) for name, value in constants.items() if name in module)
main()
"""


def patched_program(**constants: str) -> tuple[str, ...]:
    """Return a command that runs our program with these constants replaced in all its modules."""
    changed = ", ".join(f"{name!r}: {value}" for name, value in constants.items())
    return (sys.executable, "-c", PATCHED_PROGRAM.format(constants=changed))


# A program older than the first release. It sends protocol version 1 in every request.
OLD_PROGRAM = patched_program(PROTOCOL_VERSION="1", PROTOCOLS_SPOKEN="ProtocolRange(1, 1)")
# A newer program that no longer supports our protocol, but can still use our relay.
NEW_PROGRAM = patched_program(PROTOCOLS_SPOKEN="ProtocolRange(3, 4)")


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Server]:
    relay = Server(tmp_path / "relay", ("relay", "run"))
    relay.start()
    yield relay
    relay.stop()


def set_up_person(
    name: str, relay: Server, folder: Path, *, program: tuple[str, ...] = PROGRAM
) -> Shell:
    shell = Shell(name, folder / name, program=program)
    shell.run("setup", "--name", name, "--relay", relay.url, "--json")
    return shell


def joined_lines(output: bytes) -> str:
    return " ".join(output.decode().split())


@pytest.mark.threat("downgrade")
def test_an_old_client_is_turned_away_and_told_how_to_update(relay: Server, tmp_path: Path) -> None:
    ana, ben = set_up_person("ana", relay, tmp_path), set_up_person("ben", relay, tmp_path)
    ana.add_contact(ben)
    ana.program = OLD_PROGRAM
    send = ("send", "--text", "in the old way", "--to", "ben", "--confirm", "ben")
    done = ana.run(*send, status=REFUSED)
    ranges = "supports protocol versions 2 to 2; this version of Entrenous uses 1"
    assert ranges in joined_lines(done.err)
    assert HOW_TO_UPDATE in joined_lines(done.err)
    assert ben.inbox() == {}
    caro = Shell("caro", tmp_path / "caro", program=OLD_PROGRAM)
    done = caro.run("setup", "--name", "caro", "--relay", relay.url, status=REFUSED)
    assert HOW_TO_UPDATE in joined_lines(done.err)


@pytest.mark.threat("downgrade")
def test_nothing_is_sent_to_a_contact_with_an_incompatible_newer_program(
    relay: Server, tmp_path: Path
) -> None:
    ana = set_up_person("ana", relay, tmp_path)
    ben = set_up_person("ben", relay, tmp_path, program=NEW_PROGRAM)
    link = str(ben.run("invite", "--json").answer["link"])
    ana.run("person", "add", link, "--as", "ben", "--json")
    (contact,) = ana.run("person", "list", "--json").answer["people"]
    assert contact["protocol"] == "newer"
    assert HOW_TO_UPDATE in joined_lines(ana.run("person", "list").out)
    done = ana.run("send", "--text", "hello", "--to", "ben", "--confirm", "ben", status=REFUSED)
    assert (
        "ben's program supports protocol versions 3 to 4; Entrenous on this device is older and "
        "uses 2." in joined_lines(done.err)
    )
    assert HOW_TO_UPDATE in joined_lines(done.err)
    assert ana.run("sent", "--json").answer["messages"] == []
    assert ben.inbox() == {}
