"""A command is killed while it downloads a large message; the next command continues to download
the message.
"""

import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from entrenous.base.environment import SystemClock, SystemRandomSource
from entrenous.base.secret import Secret
from entrenous.device.client.http_courier import HttpCourier, new_relay_client
from entrenous.device.device import Device
from entrenous.device.store.ledger import VaultLedger
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.media.picture_reader import read_picture
from entrenous.send.fetch import fetch_messages
from entrenous.send.letter.letter_nouns import ContentFile, FileRole
from entrenous.send.message.draft import MessagePolicy
from entrenous.send.people.invite import add_person
from entrenous.send.set_up import set_up
from tests.real.counting import CountingProxy
from tests.real.processes import Server, Shell, wait_until
from tests.sizes import size
from tests.village.sealed import send_unmarked

pytestmark = pytest.mark.real

CLIP_BYTES = size(32, 100) * 1024 * 1024


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[CountingProxy]:
    server = Server(tmp_path / "relay", ("relay", "run"))
    server.start()
    host, _, port = server.url.removeprefix("http://").partition(":")
    counting_proxy = CountingProxy((host, int(port)))
    threading.Thread(target=counting_proxy.serve, daemon=True).start()
    yield counting_proxy
    counting_proxy.cut.set()
    counting_proxy.listener.close()
    server.stop(signal.SIGKILL)


@contextmanager
def set_up_ana(url: str, folder: Path) -> Iterator[Device]:
    """Set up Ana's device in this process, with a vault on disk."""
    folder.mkdir()
    vault = SqlcipherVault(folder, Secret(b"k" * 32))
    with new_relay_client() as web:
        device = Device(
            *(SystemClock(), SystemRandomSource(), vault, VaultLedger(vault)),
            *(HttpCourier(web), read_picture),
        )
        set_up("ana", url, device)
        yield device
    vault.close()


def stored_bytes(home: Path) -> int:
    """Return how many bytes of encrypted files a vault has stored."""
    return sum(file.stat().st_size for file in (home / "files").glob("*.age"))


def test_download_killed_at_half_is_continued(proxy: CountingProxy, tmp_path: Path) -> None:
    """After SIGKILL at 50 %, the next command downloads at most 52 % of the file."""
    ben, data = Shell("ben", tmp_path / "ben"), secrets.token_bytes(CLIP_BYTES)
    ben.run("setup", "--name", "ben", "--relay", proxy.url)
    with set_up_ana(proxy.url, tmp_path / "ana") as ana:
        add_person(str(ben.run("invite", "--json").answer["link"]), "ben", ana)
        ben.run("person", "list", "--json")  # receives and answers the greeting
        fetch_messages(ana)
        clip = ContentFile("video/mp4", data, FileRole.CLIP)
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
        send_unmarked((clip,), None, MessagePolicy(until), "ben", ana)
    ((name, inbox_state),) = ben.inbox().items()
    assert inbox_state == "waiting"

    proxy.received_bytes_max = proxy.received_bytes + 51 * CLIP_BYTES // 100
    opening = ben.start("open", name, "--unchecked", "--out", str(tmp_path / "out"), "--json")
    assert proxy.limit_reached.wait(180)
    assert wait_until(lambda: stored_bytes(ben.home) >= CLIP_BYTES // 2, 180)
    opening.send_signal(signal.SIGKILL)
    opening.communicate()
    assert CLIP_BYTES // 2 <= stored_bytes(ben.home) < CLIP_BYTES, "it was killed too late"

    proxy.cut.set()
    proxy.received_bytes, proxy.received_bytes_max = 0, None
    (file,) = ben.run("open", name, "--unchecked", "--out", str(tmp_path / "out"), "--json").answer[
        "files"
    ]
    assert Path(file).read_bytes() == data
    assert proxy.received_bytes <= 0.52 * CLIP_BYTES
